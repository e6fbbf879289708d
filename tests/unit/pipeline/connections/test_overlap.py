"""When a new connection is proven to follow the old one, and what waits until then."""

from __future__ import annotations

import pytest

from data_collector.model.errors import BadFrame
from data_collector.model.records import Record, Trade
from data_collector.model.venue import Head
from data_collector.pipeline.connections import overlap as module
from data_collector.pipeline.connections.overlap import Overlap
from data_collector.pipeline.connections.websocket import Received, Unreadable
from tests.market import SYMBOL, kline, quote, trade


class Reader:
    """Where both connections' messages go; `due` is moved by what the old one brings."""

    def __init__(self) -> None:
        self.due = {SYMBOL: 100}
        self.received: list[Received] = []

    def receive(self, received: Received) -> None:
        self.received.append(received)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def overlap(reader: Reader) -> Overlap:
    return Overlap([SYMBOL], reader.receive, lambda symbol: reader.due[symbol])


def bring(overlap: Overlap, trade_id: int) -> Trade:
    """A trade on the new connection."""
    brought = trade(trade_id=trade_id)
    overlap.receive(brought)
    return brought


@pytest.mark.parametrize("first", [98, 99, 100])
def test_first_id_that_is_known_or_due_is_proof_and_goes_on_at_once(
    overlap: Overlap, reader: Reader, first: int
) -> None:  # fmt: skip
    brought = bring(overlap, first)

    assert reader.received == [brought]
    assert overlap.advance()
    assert overlap.result == "overlap"


def test_what_follows_a_first_id_that_is_ahead_waits_for_the_old_connection(overlap: Overlap, reader: Reader) -> None:
    trades = [bring(overlap, 103), bring(overlap, 104)]
    assert reader.received == []
    assert not overlap.advance()

    reader.due[SYMBOL] = 103
    assert overlap.advance()

    assert reader.received == trades
    assert overlap.result == "overlap"


def test_quiet_stream_is_not_proven_and_owes_no_proof(overlap: Overlap) -> None:
    overlap.receive(kline())

    assert not overlap.advance()
    assert overlap.result == "overlap"


def test_given_up_lets_everything_go_on_in_order_without_proof(overlap: Overlap, reader: Reader) -> None:
    trades = [bring(overlap, 103), bring(overlap, 104)]

    overlap.give_up()
    trades.append(bring(overlap, 105))

    assert reader.received == trades
    assert overlap.result == "unproven"


def test_no_more_than_a_bounded_number_waits(
    overlap: Overlap, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "HELD_MAX", 3)

    trades = [bring(overlap, trade_id) for trade_id in (103, 104, 105)]

    assert reader.received == trades
    assert overlap.result == "unproven"


def test_garbage_waits_like_anything_else(overlap: Overlap, reader: Reader) -> None:
    bring(overlap, 103)
    garbage = Unreadable(b"garbage", BadFrame("The frame is not JSON.", reason="not_json"))
    overlap.receive(garbage)
    assert reader.received == []

    overlap.give_up()

    assert reader.received[-1] is garbage


def test_first_of_several_trades_in_a_frame_is_what_must_be_proven(overlap: Overlap, reader: Reader) -> None:
    """The frame holds trades 103 and 104, and 100 to 102 have not come yet."""
    frame: list[Record] = [trade(trade_id=103), trade(trade_id=104)]
    overlap.receive(frame)
    assert reader.received == []
    assert not overlap.advance()

    reader.due[SYMBOL] = 103
    assert overlap.advance()

    assert reader.received == [frame]
    assert overlap.result == "overlap"


def test_known_trade_at_the_head_of_a_frame_is_proof_of_the_rest(overlap: Overlap, reader: Reader) -> None:
    frame: list[Record] = [quote(), trade(trade_id=99), trade(trade_id=100), trade(trade_id=101)]

    overlap.receive(frame)

    assert reader.received == [frame]
    assert overlap.advance()


def test_records_that_wait_are_bounded_and_not_frames(
    overlap: Overlap, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_MAX", 3)

    overlap.receive([trade(trade_id=103), trade(trade_id=104), trade(trade_id=105)])

    assert len(reader.received) == 1
    assert overlap.result == "unproven"


def test_head_waits_with_the_trades_that_it_names(overlap: Overlap, reader: Reader) -> None:
    bring(overlap, 103)
    overlap.receive(Head(SYMBOL, 103))
    assert reader.received == []

    overlap.give_up()

    assert reader.received[-1] == Head(SYMBOL, 103)
