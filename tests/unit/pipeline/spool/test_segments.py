"""The format of the spool's files, and that damage is never taken for records."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import structs

from data_collector.model.gaps import Gap
from data_collector.model.sink import Refusal, TradeRun
from data_collector.pipeline.spool.segments import FORMAT_VERSION, encode_frame, encode_header, scan
from tests.market import SYMBOL
from tests.spooling import REFUSAL, ids_of, run_of

FIRST_SEQUENCE = 1_000


def segment_of(frames: list[list[TradeRun]], first_sequence: int = FIRST_SEQUENCE) -> bytes:
    content = encode_header(first_sequence)
    for runs in frames:
        content += encode_frame(first_sequence, runs)
        first_sequence += len(runs)
    return content


def ten_frames() -> list[list[TradeRun]]:
    return [[run_of(number * 10, 4), run_of(number, 2, symbol="ETHUSDT")] for number in range(10)]


def test_what_was_written_is_read() -> None:
    run = run_of(10, 2, gap=2)
    run.refused = {9: REFUSAL}
    run.entries[0] = f"{run.entries[0]} a_rule,another"
    run.begins = True

    found = scan(segment_of([[run], [run_of(12)]]))

    assert found.is_whole
    assert [frame.decoded() for frame in found.frames] == [[run], [run_of(12)]]
    assert [(frame.first_sequence, frame.count) for frame in found.frames] == [(1_000, 1), (1_001, 1)]
    cover = found.frames[0].covers[SYMBOL][0]
    assert (cover.start, cover.first_trade, cover.end) == (8, 10, 12)


def test_the_version_changes_when_what_a_run_consists_of_does() -> None:
    # Written by an earlier version, files would be misread: raise FORMAT_VERSION, then change this test. A field with a
    # default at the end is read as that default from earlier files.
    assert FORMAT_VERSION == 1
    assert TradeRun.__struct_fields__ == (
        "symbol", "first_id", "entries", "price", "time_text", "oldest_ns", "newest_ns", "refused", "gaps", "begins",
        "epoch", "after_id",
    )  # fmt: skip
    assert Refusal.__struct_fields__ == ("content", "why", "at", "columns", "rules", "source", "epoch")
    assert Gap.__struct_fields__ == ("first", "last", "count", "reason", "rules")


def test_a_frame_that_does_not_follow_the_one_before_is_not_believed() -> None:
    content = segment_of([[run_of(1)]]) + encode_frame(FIRST_SEQUENCE + 2, [run_of(2)])

    found = scan(content)

    assert len(found.frames) == 1
    assert not found.is_whole


def test_a_tail_of_zeros_is_cut_off() -> None:
    content = segment_of([[run_of(1)]])

    found = scan(content + bytes(4096))

    assert (len(found.frames), found.good_bytes, found.is_whole) == (1, len(content), False)


def test_a_file_that_begins_otherwise_holds_nothing() -> None:
    for content in (b"", b"x" * 1000, encode_header(1)[:-1]):
        found = scan(content)

        assert (found.header, found.frames, found.is_whole) == (None, [], False)


def test_a_newer_version_is_told_and_not_read() -> None:
    found = scan(encode_header(1, FORMAT_VERSION + 1) + b"whatever it may be")

    assert found.header is not None
    assert found.header.version == FORMAT_VERSION + 1
    assert found.frames == []


def test_a_frame_with_another_number_of_runs_than_it_says_is_refused() -> None:
    frame = scan(segment_of([[run_of(1)]])).frames[0]

    with pytest.raises(ValueError, match="another number"):
        structs.replace(frame, count=2).decoded()


def test_a_frame_of_other_things_than_runs_is_refused() -> None:
    frame = scan(segment_of([[run_of(1)]])).frames[0]

    with pytest.raises(ValueError, match="first_id"):
        structs.replace(frame, runs=msgspec.Raw(msgspec.msgpack.encode([{"symbol": SYMBOL}]))).decoded()


def test_damage_in_the_middle_leaves_what_was_written_before_it() -> None:
    content = bytearray(segment_of(ten_frames()))
    content[len(content) // 2] ^= 1

    found = scan(bytes(content))

    runs = [run for frame in found.frames for run in frame.decoded() if run.symbol == SYMBOL]
    assert 3 <= len(found.frames) <= 6
    assert [ids_of([run])[0] for run in runs] == [number * 10 for number in range(len(found.frames))]
