"""`decode` undoes `encode`, for any record, in every form of a frame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from data_collector.model.errors import BadFrame
from data_collector.model.records import Record
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.speaker.frames import encode
from tests.property.strategies import records

CODEC = BinanceCodec()


@given(record=records(microseconds=False), combined=st.booleans())
def test_decode_undoes_encode_in_milliseconds(record: Record, combined: bool) -> None:
    assert CODEC.decode(encode(record, combined=combined), 7) == record


@given(record=records(microseconds=True), combined=st.booleans())
def test_decode_undoes_encode_in_microseconds(record: Record, combined: bool) -> None:
    assert CODEC.decode(encode(record, combined=combined, microseconds=True), 7) == record


@given(record=records(microseconds=False), combined=st.booleans(), data=st.data())
def test_damaged_frame_is_a_bad_frame_or_something_else_but_no_crash(
    record: Record,
    combined: bool,
    data: st.DataObject,
) -> None:
    frame = bytearray(encode(record, combined=combined))
    for _ in range(data.draw(st.integers(1, 4), label="damages")):
        place = data.draw(st.integers(0, len(frame) - 1), label="place")
        frame[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4), label="instead")

    try:
        CODEC.decode(bytes(frame), 7)
    except BadFrame as error:
        assert error.reason in {"not_json", "wrong_shape"}  # noqa: PT017 - either outcome is right
