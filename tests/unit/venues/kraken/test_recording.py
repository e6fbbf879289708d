"""A recorded answer of Kraken's own: what its rows mean passes the gate, and becomes klines that are whole."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from data_collector.candles.building import CandleBuilder
from data_collector.model.calendar import MINUTE_MS, UtcCalendar
from data_collector.model.records import Trade
from data_collector.venues.kraken.rest import Answered, TradeRow, _trades
from tests.judging import refusing

SYMBOL = "BTC/USDT"


@pytest.fixture
def trades(recordings: Path) -> list[Trade]:
    """All rows of it."""
    body = (recordings / "nautilus_trader" / "kraken_http_trades_XBTUSDT.json").read_bytes()
    answered = msgspec.json.decode(body, type=Answered[dict[str, list[TradeRow] | str]])
    return _trades(SYMBOL, 1000, ["XBTUSDT"], answered.result).trades


def test_recorded_trades_are_all_there_and_none_is_refused(trades: list[Trade]) -> None:
    assert len(trades) == 1000
    assert all(after.trade_id == before.trade_id + 1 for before, after in pairwise(trades))
    assert [refusing(trade) for trade in trades] == [()] * 1000
    assert sum(before.time_ms == after.time_ms for before, after in pairwise(trades)) > 300


def test_klines_of_recorded_trades_are_their_sums(trades: list[Trade]) -> None:
    builder = CandleBuilder(SYMBOL, UtcCalendar(), ["1m", "5m"])
    for trade in trades:
        builder.add(trade)
    last = trades[-1]

    klines = builder.settle(last.time_ms - last.time_ms % MINUTE_MS, last.time_ms)

    minutes = [kline for kline in klines if kline.interval == "1m"]
    assert len(minutes) > 100
    for kline in klines:
        of_it = [trade for trade in trades if kline.open_ms <= trade.time_ms <= kline.close_ms]
        bought = [trade for trade in of_it if not trade.is_buyer_maker]
        assert (kline.open, kline.close) == (of_it[0].price, of_it[-1].price)
        assert Decimal(kline.high) == max(Decimal(trade.price) for trade in of_it)
        assert Decimal(kline.volume) == sum(Decimal(trade.quantity) for trade in of_it)
        assert kline.taker_buy_base_volume is not None
        assert Decimal(kline.taker_buy_base_volume) == sum(Decimal(trade.quantity) for trade in bought)
        assert (kline.trades, kline.first_trade_id, kline.last_trade_id) == (
            len(of_it), of_it[0].trade_id, of_it[-1].trade_id,
        )  # fmt: skip
        assert refusing(kline) == ()
