"""Faults: which frames they hit, and what becomes of them."""

from __future__ import annotations

import json

import msgspec
import pytest

from data_collector.simulator.control.faults import (
    CorruptShape,
    EqualTimes,
    Faults,
    FrameFault,
    Refuse,
    RefuseStreams,
    RestFault,
)
from data_collector.simulator.streams.delivery import Delivery, changed, corrupted, frame, text_frame

PAYLOAD = b'{"e":"trade","E":5,"s":"BTCUSDT","t":7,"p":"1.5","k":{"x":true}}'


class Socket:
    """Collects what is written, as payloads of raw connections."""

    def __init__(self, *faults: FrameFault) -> None:
        self.faults = Faults(seed=1)
        for fault in faults:
            self.faults.add(fault)
        self.frames: list[bytes] = []
        self.later: list[tuple[float, bytes]] = []
        self._delivery = Delivery(3, self.faults, self.frames.append)

    def send(self, *payloads: bytes, stream: str = "btcusdt@trade") -> None:
        for payload in payloads:
            self._delivery.deliver(stream, payload, text=text_frame, later=self._send_later)

    def _send_later(self, seconds: float, raw: bytes) -> None:
        self.later.append((seconds, raw))


def framed(*payloads: bytes) -> list[bytes]:
    return [text_frame(payload) for payload in payloads]


def test_drop_takes_as_many_frames_as_it_was_told() -> None:
    socket = Socket(FrameFault(kind="drop", count=2))

    socket.send(b"1", b"2", b"3")

    assert socket.frames == framed(b"3")
    assert socket.faults.hit_counts == {"drop": 2}
    assert socket.faults.frame_faults == []


def test_fault_hits_only_its_stream_its_connection_and_its_text() -> None:
    socket = Socket(
        FrameFault(kind="drop", stream="*@kline_1m"),
        FrameFault(kind="drop", connection=4),
        FrameFault(kind="drop", contains='"x":true'),
    )

    socket.send(b"1")
    socket.send(b"2", stream="btcusdt@kline_1m")
    socket.send(PAYLOAD)

    assert socket.frames == framed(b"1")


def test_duplicate_sends_twice_and_delay_sends_later() -> None:
    twice = Socket(FrameFault(kind="duplicate"))
    late = Socket(FrameFault(kind="delay", delay_s=0.5))

    twice.send(b"1")
    late.send(b"1")

    assert twice.frames == framed(b"1", b"1")
    assert (late.frames, late.later) == ([], [(0.5, framed(b"1")[0])])


def test_reorder_lets_the_next_frames_pass_first() -> None:
    socket = Socket(FrameFault(kind="reorder", span=2, count=1))

    socket.send(b"1", b"2", b"3", b"4")

    assert socket.frames == framed(b"2", b"3", b"1", b"4")


def test_rate_hits_about_its_share_and_the_same_frames_each_time() -> None:
    runs: list[list[bytes]] = []
    for _ in range(2):
        socket = Socket(FrameFault(kind="drop", rate=0.05))
        socket.send(*(str(number).encode() for number in range(2_000)))
        runs.append(socket.frames)

    assert runs[0] == runs[1]
    assert 50 < 2_000 - len(runs[0]) < 150


def test_change_sets_adds_and_removes() -> None:
    fault = FrameFault(kind="change", set={"p": 1, "k.x": False}, add={"t": 10_000_000}, remove=("s",))

    assert json.loads(changed(PAYLOAD, fault)) == {"e": "trade", "E": 5, "t": 10_000_007, "p": 1, "k": {"x": False}}


def test_change_reaches_into_lists_and_leaves_alone_what_is_not_there() -> None:
    payload = b'{"channel":"trade","data":[{"id":1},{"id":2}]}'
    fault = FrameFault(kind="change", add={"data.1.id": 5}, set={"data.0.x": 1, "data.7.x": 1, "data.first.x": 1})

    assert json.loads(changed(payload, fault)) == {"channel": "trade", "data": [{"id": 1, "x": 1}, {"id": 7}]}


def test_conflict_sends_the_true_frame_and_then_another_with_the_same_id() -> None:
    socket = Socket(FrameFault(kind="conflict", set={"p": "9.9"}))

    socket.send(PAYLOAD)

    assert socket.frames[0] == framed(PAYLOAD)[0]
    assert b'"p":"9.9"' in socket.frames[1]
    assert b'"t":7' in socket.frames[1]


@pytest.mark.parametrize("shape", ["truncated", "bad_utf8", "deep", "nan", "empty", "binary"])
def test_corrupt_frames_are_no_json(shape: CorruptShape) -> None:
    broken = corrupted(PAYLOAD, shape)

    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
        msgspec.json.decode(broken)


def test_huge_numbers_and_double_keys_are_json_of_the_wrong_kind() -> None:
    assert b"9" * 5_000 in corrupted(PAYLOAD, "huge_number")
    assert json.loads(corrupted(PAYLOAD, "duplicate_keys"))["s"] == "OTHER"


def test_rest_faults_hit_their_path_and_are_used_up() -> None:
    faults = Faults(seed=1)
    faults.add(RestFault(path="/api/v3/klines", status=500, count=1))

    assert faults.rest_fault("/api/v3/time") is None
    assert faults.rest_fault("/api/v3/klines") is not None
    assert faults.rest_fault("/api/v3/klines") is None


def test_streams_are_refused_as_often_as_told() -> None:
    faults = Faults(seed=1)
    faults.add(RefuseStreams(stream="a@*", count=1))

    assert faults.refused_stream("b@trade") is None
    assert faults.refused_stream("a@trade") is not None
    assert faults.refused_stream("a@trade") is None
    assert faults.hit_counts == {"refuse_stream": 1}


def test_trades_of_equal_time_are_left_out_at_their_rate() -> None:
    faults = Faults(seed=1)
    faults.add(EqualTimes(stream="a*", rate=0.25))

    assert not faults.leaves_out("b")
    assert 200 < sum(faults.leaves_out("a") for _ in range(1_000)) < 300
    faults.clear()
    assert not faults.leaves_out("a")
    assert faults.count == 0


def test_refusals_are_used_up_and_clear_ends_all() -> None:
    faults = Faults(seed=1)
    faults.add(Refuse(count=1))
    faults.add(FrameFault(kind="drop"))

    assert faults.refusal() is not None
    assert faults.refusal() is None
    faults.clear()
    assert faults.frame_fault(1, "a@trade", b"") is None


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_have_the_length_that_they_tell(size: int) -> None:
    raw = frame(0x1, b"x" * size)

    header = 2 if size < 126 else 4 if size < 65_536 else 10
    assert raw[0] == 0x81
    assert len(raw) == header + size
    told = raw[1] if header == 2 else int.from_bytes(raw[2:header], "big")
    assert told == size
