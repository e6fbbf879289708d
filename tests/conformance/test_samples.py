"""Every venue, found by its folder: samples mean the records beside them, and `decode` undoes `encode`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs

import data_collector.venues
from data_collector.model import records
from data_collector.model.channels import CHANNELS
from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.records import Record
from data_collector.model.venue import Acknowledged, Closing, Event, Head, Listed, Pulse, Refused, UnknownEvent, Venue
from data_collector.venues.discovery import find_speaker, find_venue, venue_names

FOLDER = Path(data_collector.venues.__path__[0])
RECEIVED_NS = 1_700_000_000_000_000_000
NOTICES: dict[str, type[Struct]] = {
    kind.__name__: kind for kind in (Acknowledged, Refused, Listed, Head, Pulse, Closing, UnknownEvent)
}
NAMES = venue_names()


class Sample(Struct, forbid_unknown_fields=True):
    """A payload and what it means: records, or a notice."""

    meaning: str
    payload: msgspec.Raw
    stream: str | None = None
    records: list[dict[str, dict[str, object]]] = []
    notice: dict[str, dict[str, object]] = {}


class SampleFile(Struct, forbid_unknown_fields=True):
    """Samples of one kind, with where they come from."""

    origin: str
    page: str
    samples: list[Sample]


def samples_of(name: str) -> Iterator[tuple[str, Sample]]:
    for path in sorted((FOLDER / name / "samples").glob("*.json")):
        for sample in msgspec.json.decode(path.read_bytes(), type=SampleFile).samples:
            yield f"{name}-{path.stem}-{sample.meaning}", sample


FOUND = [(find_venue(name), sample, case) for name in NAMES for case, sample in samples_of(name)]
SAMPLES = [pytest.param(venue, sample, id=case) for venue, sample, case in FOUND]
SAMPLES_OF_RECORDS = [pytest.param(venue, sample, id=case) for venue, sample, case in FOUND if sample.records]


def made(described: dict[str, dict[str, object]]) -> Struct:
    ((kind, fields),) = described.items()
    type_: type[Struct] = NOTICES.get(kind) or getattr(records, kind)
    wanted = set(fields) - set(type_.__struct_fields__)
    assert not wanted, f"{kind} has no {wanted}"
    return msgspec.convert(fields, type_)


def meant_by(sample: Sample) -> list[Record]:
    found = [structs.replace(made(one), received_ns=RECEIVED_NS) for one in sample.records]
    assert all(isinstance(one, Record) for one in found)
    return [one for one in found if isinstance(one, Record)]


def listed(decoded: Event | list[Record]) -> list[object]:
    return list(decoded) if isinstance(decoded, list) else [decoded]


def frames_of(sample: Sample) -> Iterator[bytes]:
    """Raw, and combined where the payload belongs to a stream."""
    payload = bytes(sample.payload)
    yield payload
    if sample.stream is not None:
        yield b'{"stream":' + json.dumps(sample.stream).encode() + b',"data":' + payload + b"}"


@pytest.mark.parametrize("name", NAMES)
def test_every_venue_has_samples_that_say_where_they_come_from(name: str) -> None:
    files = [
        msgspec.json.decode(path.read_bytes(), type=SampleFile) for path in (FOLDER / name / "samples").glob("*.json")
    ]

    assert files
    assert all(file.origin and file.page.startswith("https://") and file.samples for file in files)


@pytest.mark.parametrize("name", NAMES)
def test_every_venue_has_a_readme(name: str) -> None:
    assert (FOLDER / name / "README.md").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_samples_show_every_channel_that_can_be_collected(name: str) -> None:
    shown = {kind for _, sample in samples_of(name) for one in sample.records for kind in one}
    venue = find_venue(name)
    streamed = set(venue.channels) - ({"kline"} if venue.klines == "built" else set())

    assert shown >= {channel.record.__name__ for one, channel in CHANNELS.items() if one in streamed}


@pytest.mark.parametrize(("venue", "sample"), SAMPLES)
def test_sample_means_what_stands_beside_it(venue: Venue, sample: Sample) -> None:
    expected = meant_by(sample) if sample.records else [made(sample.notice)]

    for frame in frames_of(sample):
        assert listed(venue.codec.decode(frame, RECEIVED_NS)) == expected
        assert listed(venue.codec.decode(memoryview(frame), RECEIVED_NS)) == expected


@pytest.mark.parametrize(("venue", "sample"), SAMPLES_OF_RECORDS)
def test_decode_undoes_what_the_speaker_says(venue: Venue, sample: Sample) -> None:
    if not list((FOLDER / venue.name).glob("speaker*")):
        pytest.skip("it has no speaker yet")
    for record in meant_by(sample):
        assert listed(venue.codec.decode(find_speaker(venue.name).speak(record), RECEIVED_NS)) == [record]


@pytest.mark.parametrize(("venue", "sample"), SAMPLES)
def test_sample_cut_anywhere_is_a_bad_frame_and_nothing_worse(venue: Venue, sample: Sample) -> None:
    for frame in frames_of(sample):
        for length in range(len(frame)):
            with pytest.raises(BadFrame):
                venue.codec.decode(frame[:length], RECEIVED_NS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("venue", "sample"), SAMPLES_OF_RECORDS)
def test_frame_of_another_exchange_holds_no_record(venue: Venue, sample: Sample, name: str) -> None:
    """Its collector was given the other's address: what it cannot read is refused or skipped, and never stored."""
    if venue.name == name:
        return
    for frame in frames_of(sample):
        try:
            decoded = listed(find_venue(name).codec.decode(frame, RECEIVED_NS))
        except BadFrame:
            continue
        assert not any(isinstance(one, Record) for one in decoded)


@given(data=st.data())
def test_damaged_sample_is_a_bad_frame_or_an_event_and_no_crash(data: st.DataObject) -> None:
    venue, sample, _ = data.draw(st.sampled_from(FOUND), label="sample")
    frame = bytearray(bytes(sample.payload))
    for _ in range(data.draw(st.integers(1, 4), label="damages")):
        place = data.draw(st.integers(0, len(frame) - 1), label="place")
        frame[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4), label="instead")

    try:
        decoded = listed(venue.codec.decode(bytes(frame), RECEIVED_NS))
    except BadFrame as error:
        assert error.reason in {"not_json", "wrong_shape"}  # noqa: PT017 - either outcome is right
    else:
        assert all(isinstance(one, Event) for one in decoded)


@pytest.mark.parametrize("name", NAMES)
def test_stream_names_differ_for_every_key(name: str) -> None:
    venue = find_venue(name)
    keys = [Key(channel, symbol) for channel in ("trade", "ticker", "quote") for symbol in ("BTCUSDT", "ETHUSDT")]
    keys += [Key("kline", "BTCUSDT", interval) for interval in venue.intervals]

    assert len({venue.codec.stream_name(key) for key in keys}) == len(keys)


@pytest.mark.parametrize("name", NAMES)
def test_limits_leave_the_exchange_something(name: str) -> None:
    limits = find_venue(name).limits

    assert limits.streams_per_connection > 0
    assert limits.control_messages_per_s > 0
    assert limits.connection_attempts > 0 < limits.connection_attempts_window_s
    assert limits.max_age_s > limits.ping_interval_s > 0


@pytest.mark.parametrize("name", NAMES)
def test_only_the_first_exchange_has_no_prefix(name: str) -> None:
    assert find_venue(name).key_prefix == ("" if name == "binance" else f"{name}:")


def test_every_record_kind_is_covered_by_a_sample() -> None:
    shown = {kind for name in NAMES for _, sample in samples_of(name) for one in sample.records for kind in one}

    assert shown == {kind.__name__ for kind in get_args(Record)}
