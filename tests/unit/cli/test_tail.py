"""How `tail` shows records: every digit, nothing that steers a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from data_collector.cli.tail import kline_line, screen, tail, trade_line
from data_collector.cli.tail_source import Followed
from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import StoreKeys
from data_collector.sinks.redis.stored_records import stored_kline, stored_trade

CANDLE = stored_kline(
    '{"symbol":"BTCUSDT","timestamp":"2024-01-01T12:00:00+00:00","interval":"1m","open":45123.45,"high":45200.00,'
    '"low":45100.00,"close":45180.50,"volume":123456789012.12345678,"trades":1234,"is_closed":true,'
    '"quote_volume":1.0,"taker_buy_base_volume":1.0,"taker_buy_quote_volume":1.0}',
    UtcCalendar(),
)
TRADE = stored_trade(
    '{"symbol":"BTCUSDT","timestamp":"2024-01-01T12:00:00.123+00:00","trade_id":7,"price":45180.50,"quantity":0.12300000,'
    '"buyer_order_id":null,"is_buyer_maker":true}',
)


def shown(followed: Followed) -> str:
    output = io.StringIO()
    Console(file=output, width=160, force_terminal=False).print(screen(followed))
    return output.getvalue()


def followed(**changes: object) -> Followed:
    fields: dict[str, object] = {"latest": {}, "klines": {}, "other_intervals": set()} | changes
    made = Followed(StoreKeys(), "BTCUSDT", "1m", with_trades=True, place="localhost:6379", positions={})
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_interval_that_no_candle_has_is_refused() -> None:
    with pytest.raises(Misconfigured, match="--interval 'zz' is none of a candle's: 1s, 1m, "):
        tail(symbols=["BTCUSDT"], interval="zz", trades=False, exchange=None)


def test_kline_line_keeps_every_digit() -> None:
    assert kline_line("BTCUSDT", CANDLE) == (
        "BTCUSDT 1m 2024-01-01T12:00:00+00:00 open=45123.45 high=45200.00 low=45100.00 close=45180.50 "
        "volume=123456789012.12345678 trades=1234 closed"
    )


def test_trade_line_names_the_side_of_the_taker() -> None:
    assert trade_line("BTCUSDT", TRADE) == (
        "BTCUSDT trade 2024-01-01T12:00:00.123+00:00 id=7 price=45180.50 quantity=0.12300000 sell"
    )


def test_screen_shows_price_candles_and_trades() -> None:
    now = followed(
        latest={"price": "45180.50", "price_change_percent": "-1.2", "volume": "9", "timestamp": "now"},
        klines={CANDLE.open_ms: CANDLE},
    )
    now.trades.append(TRADE)

    text = shown(now)

    for expected in ("45180.50", "-1.2 % in 24 h", "123456789012.12345678", "0.12300000", "localhost:6379"):
        assert expected in text


def test_screen_tells_which_intervals_there_are_when_the_wanted_one_is_missing() -> None:
    text = shown(followed(other_intervals={"5m", "1h"}))

    assert "no 1m candle yet; the stream has 1h, 5m (--interval chooses)" in text
