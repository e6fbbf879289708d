"""Random damage to the spool's files is never taken for records."""

from __future__ import annotations

import random
from pathlib import Path

from data_collector.model.batch import TradeRun
from data_collector.pipeline.spool.segments import (
    HEADER_BYTES,
    SegmentReader,
    encode_frame,
    encode_header,
    recover,
    scan,
    segment_path,
)
from tests.market import SYMBOL
from tests.spooling import ids_of, run_of

FIRST_SEQUENCE = 1_000
DAMAGES = 100_000
DAMAGED_FILES = 500
SEED = 4

FRAMES = [[run_of(number * 4, 4), run_of(number * 2, 2, symbol="ETHUSDT")] for number in range(10)]


def segment_of(frames: list[list[TradeRun]]) -> bytes:
    content, sequence = encode_header(FIRST_SEQUENCE), FIRST_SEQUENCE
    for runs in frames:
        content += encode_frame(sequence, runs)
        sequence += len(runs)
    return content


def test_of_100_000_damages_none_makes_a_wrong_record() -> None:
    chance = random.Random(SEED)
    content = segment_of(FRAMES)
    good = [(frame.first_sequence, bytes(frame.runs)) for frame in scan(content).frames]
    ends = [HEADER_BYTES]
    for runs in FRAMES:
        ends.append(ends[-1] + len(encode_frame(0, runs)))
    seen_short = 0

    for _ in range(DAMAGES):
        damaged, first_damage = damage(content, chance)
        found = scan(damaged)
        read = [(frame.first_sequence, bytes(frame.runs)) for frame in found.frames]
        assert read == good[: len(read)]
        # What lies before the damage is still there.
        assert len(read) >= sum(end <= first_damage for end in ends[1:])
        seen_short += len(read) < len(good)

    assert seen_short > DAMAGES * 0.9


def damage(content: bytes, chance: random.Random) -> tuple[bytes, int]:
    """Flipped bits, a cut, zeros or another place's bytes; and where it begins at the earliest."""
    size = len(content)
    kind = chance.randrange(5)
    first, last = sorted((chance.randrange(size), chance.randrange(size)))
    if kind == 0:
        return content[:first], first
    if kind == 1:
        return content[:first] + bytes(last - first) + content[last:], first
    if kind == 2:
        length = min(last - first, 64)
        return content[:first] + content[last : last + length] + content[first + length :], first
    changed = bytearray(content)
    places = [chance.randrange(size) for _ in range(1 if kind == 3 else chance.randrange(2, 9))]
    for place in places:
        changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed), min(places)


def test_files_damaged_at_random_give_back_what_was_written_or_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    content = segment_of(FRAMES)

    for number in range(DAMAGED_FILES):
        folder = tmp_path / str(number)
        folder.mkdir()
        segment_path(folder, 1).write_bytes(damage(content, chance)[0])
        segment_path(folder, 2).write_bytes(content)
        # Damage at start is found at start, later damage when the file is read.
        found = recover(folder)
        segment_path(folder, 2).write_bytes(damage(content, chance)[0])
        reader = SegmentReader(folder)
        for first_id in range(40):
            runs = reader.read(found.segments, SYMBOL, first_id, 1_000)
            assert ids_of(runs) == list(range(first_id, first_id + sum(run.count for run in runs)))
