"""When a new connection is proven to follow the old one, and what waits until then."""

from __future__ import annotations

import pytest

from data_collector.model.protocols import Reply
from data_collector.pipeline import overlap as module
from data_collector.pipeline.overlap import Overlap
from data_collector.venues.binance.codec import BinanceCodec
from tests.market import SYMBOL, kline, trade

CODEC = BinanceCodec()


class Reader:
    """Where both connections' messages go; `due` is moved by what the old one brings."""

    def __init__(self) -> None:
        self.due = {SYMBOL: 100}
        self.received: list[bytes] = []

    def receive(self, message: memoryview, received_ns: int) -> None:
        self.received.append(bytes(message))


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def overlap(reader: Reader) -> Overlap:
    return Overlap([SYMBOL], CODEC, reader.receive, lambda symbol: reader.due[symbol])


def bring(overlap: Overlap, trade_id: int) -> bytes:
    """A trade on the new connection."""
    frame = CODEC.encode(trade(trade_id=trade_id))
    assert overlap.receive(memoryview(frame), 5) is None
    return frame


@pytest.mark.parametrize("first", [98, 99, 100])
def test_first_id_that_is_known_or_due_is_proof_and_goes_on_at_once(
    overlap: Overlap, reader: Reader, first: int
) -> None:  # fmt: skip
    frame = bring(overlap, first)

    assert reader.received == [frame]
    assert overlap.advance()
    assert overlap.result == "overlap"


def test_what_follows_a_first_id_that_is_ahead_waits_for_the_old_connection(overlap: Overlap, reader: Reader) -> None:
    frames = [bring(overlap, 103), bring(overlap, 104)]
    assert reader.received == []
    assert not overlap.advance()

    reader.due[SYMBOL] = 103
    assert overlap.advance()

    assert reader.received == frames
    assert overlap.result == "overlap"


def test_quiet_stream_is_not_proven_and_owes_no_proof(overlap: Overlap) -> None:
    overlap.receive(memoryview(CODEC.encode(kline())), 5)

    assert not overlap.advance()
    assert overlap.result == "overlap"


def test_given_up_lets_everything_go_on_in_order_without_proof(overlap: Overlap, reader: Reader) -> None:
    frames = [bring(overlap, 103), bring(overlap, 104)]

    overlap.give_up()
    frames.append(bring(overlap, 105))

    assert reader.received == frames
    assert overlap.result == "unproven"


def test_no_more_than_a_bounded_number_waits(
    overlap: Overlap, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "HELD_MAX", 3)

    frames = [bring(overlap, trade_id) for trade_id in (103, 104, 105)]

    assert reader.received == frames
    assert overlap.result == "unproven"


def test_answers_to_our_own_messages_do_not_wait(overlap: Overlap, reader: Reader) -> None:
    bring(overlap, 103)

    assert overlap.receive(memoryview(b'{"result":null,"id":3}'), 5) == Reply(3)
    assert reader.received == []


def test_garbage_waits_like_anything_else(overlap: Overlap, reader: Reader) -> None:
    bring(overlap, 103)
    overlap.receive(memoryview(b"garbage"), 5)

    overlap.give_up()

    assert reader.received[-1] == b"garbage"
