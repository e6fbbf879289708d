"""What was traded long ago, which nobody keeps: the same by every way on which it can be asked for."""

from __future__ import annotations

import io
import random
import zipfile
from functools import cache

import pytest

from data_collector.model.calendar import DAY_MS, HOUR_MS, MINUTE_MS
from data_collector.model.records import Kline, Trade
from data_collector.simulator import settings
from data_collector.simulator.market.candles import INTERVALS, kline_record, open_of
from data_collector.simulator.market.market import Market
from data_collector.simulator.market.tape import Tape
from data_collector.venues.binance.speaker.published import PublishedFiles
from tests.unit.simulator.market.made_of_trades import candles, made_of, symbol_of, traded

START_MS = 1_700_000_030_000
SYMBOLS = ("BTCUSDT", "ETHBTC", "TRXUSDT")


def market_of(**changes: object) -> Market:
    chosen = {"symbols": SYMBOLS, "history_ms": 21 * DAY_MS, "trades_per_s": 2.0} | changes
    return Market(settings.SimulatorSettings(start_ms=START_MS, **chosen), START_MS)  # type: ignore[arg-type]


def all_of(tape: Tape) -> list[Trade]:
    return tape.trades(0, len(tape))


@pytest.fixture
def short_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is kept, so that soon most of it has to be made again."""
    monkeypatch.setattr(settings, "TAPE_TRADES_MAX", 2_000)


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("interval", ["1s", "1m", "5m", "1h"])
def test_candles_of_any_stretch_of_weeks_are_those_of_its_trades(symbol: str, interval: str) -> None:
    market = market_of()
    asked = symbol_of(market, symbol)
    draw = random.Random(f"{symbol}{interval}")
    for _ in range(3):
        first_ms = open_of("1h", START_MS - draw.randrange(20 * DAY_MS))
        end_ms = first_ms + HOUR_MS

        trades = traded(asked, first_ms, end_ms)

        ids = [trade.trade_id for trade in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert candles(asked, interval, first_ms, end_ms) == made_of(trades, interval)


@pytest.mark.parametrize("premium_bps", [0.0, 3.0])
def test_day_of_weeks_ago_has_its_file(premium_bps: float) -> None:
    market = market_of(trades_per_s=0.2, premium_bps=premium_bps)
    asked = symbol_of(market)
    day_ms = open_of("1d", START_MS - 9 * DAY_MS)

    packed = PublishedFiles(market).at("/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2023-11-05.zip")

    assert packed is not None
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        rows = archive.read(archive.namelist()[0]).decode().splitlines()
    trades = traded(asked, day_ms, day_ms + DAY_MS)
    assert [row.split(",")[:3] for row in rows] == [[str(each.trade_id), each.price, each.quantity] for each in trades]


@cache
def market_and_minutes() -> tuple[Market, list[Kline]]:
    market = market_of(trades_per_s=0.2)
    symbol_of(market)
    market.now_ms += 5 * MINUTE_MS
    return market, candles(symbol_of(market), "1m", 0, market.now_ms)


@pytest.mark.parametrize("interval", [interval for interval in INTERVALS if interval not in {"1s", "1m", "3m", "5m"}])
def test_long_candles_are_what_their_minutes_come_to(interval: str) -> None:
    """The one in which the start lies too, which is part past and part present."""
    market, minutes = market_and_minutes()
    asked = symbol_of(market)
    running_ms = open_of(interval, market.now_ms)

    shown = asked.series(interval).between(0, market.now_ms, 400, newest=True, exists=asked.has_candle)

    assert shown[-1].open_ms == running_ms
    assert len(shown) > 1
    for candle in shown[-40:]:
        inside = [each for each in minutes if candle.open_ms <= each.open_ms < candle.next_open_ms]
        kline = kline_record("BTCUSDT", interval, candle, event_ms=0, is_closed=True)
        assert (kline.open, kline.close, kline.trades) == (
            inside[0].open, inside[-1].close, sum(each.trades or 0 for each in inside))  # fmt: skip
        assert kline.first_trade_id == inside[0].first_trade_id
        assert kline.last_trade_id == inside[-1].last_trade_id
        assert float(kline.high) == max(float(each.high) for each in inside)
        assert float(kline.low) == min(float(each.low) for each in inside)


def streamed_until(market: Market, end_ms: int, streamed: list[Trade]) -> None:
    """Let time pass in small steps, and add what is traded meanwhile."""
    while market.now_ms < end_ms:
        market.now_ms += 997
        tape = symbol_of(market).tape
        position = tape.position_of_id(streamed[-1].trade_id + 1)
        streamed += tape.trades(position, len(tape))


@pytest.mark.usefixtures("short_tape")
def test_what_is_streamed_is_what_the_past_has_of_it_later() -> None:
    """The tape is cut after a while, and what was on it is made again."""
    market = market_of()
    asked = symbol_of(market)
    streamed = all_of(asked.tape)
    streamed_until(market, START_MS + HOUR_MS, streamed)
    first_ms = open_of("1m", streamed[0].time_ms)

    again = traded(asked, first_ms, market.now_ms + 1)

    assert len(streamed) > 2 * len(asked.tape)
    assert again == streamed
    assert candles(asked, "1m", first_ms, market.now_ms) == made_of(streamed, "1m")


def test_aggregates_go_on_from_past_to_present() -> None:
    asked = symbol_of(market_of())
    begin_us = asked.tape.times_us[0]
    tape = asked.tape_of_time(begin_us - 600_000_000, 3_000)
    aggregates = tape.aggregates(0, len(tape), 10**6)

    ids = [each.aggregate_id for each in aggregates]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert begin_us in tape.times_us
    assert aggregates[0].first_trade_id == tape.id_at(0)
    again = asked.tape_of_aggregate(ids[5], 300)
    assert again.aggregates(again.position_of_aggregate(ids[5]), len(again), 100) == aggregates[5:105]
    until_us = begin_us - 60_000_000
    before = asked.tape_until(until_us, 300)
    newest = before.newest_aggregates(before.position_of_time(until_us), 100)
    assert newest == [each for each in aggregates if each.time_ms * 1000 < until_us][-100:]


@pytest.mark.usefixtures("short_tape")
@pytest.mark.parametrize("passed_ms", [0, 90_500, 26 * HOUR_MS])
def test_ticker_covers_24_hours_that_are_not_on_the_tape(passed_ms: int) -> None:
    market = market_of(trades_per_s=0.5)
    asked = symbol_of(market)
    asked.ticker()
    while passed_ms > 0:
        market.now_ms += min(passed_ms, HOUR_MS)
        passed_ms -= HOUR_MS
        symbol_of(market).ticker()

    ticker = asked.ticker()

    trades = traded(asked, market.now_ms - DAY_MS, market.now_ms + 1)
    (before,) = traded(asked, trades[0].time_ms - HOUR_MS, market.now_ms - DAY_MS)[-1:]
    assert (ticker.first_id, ticker.last_id, ticker.count) == (trades[0].trade_id, trades[-1].trade_id, len(trades))
    assert (ticker.open_price, ticker.last_price) == (trades[0].price, trades[-1].price)
    assert float(ticker.high_price or "") == max(float(trade.price) for trade in trades)
    assert float(ticker.low_price or "") == min(float(trade.price) for trade in trades)
    assert ticker.prev_close_price == before.price
    never_asked_before = market_of(trades_per_s=0.5)
    never_asked_before.now_ms = market.now_ms
    assert symbol_of(never_asked_before).ticker() == ticker


@pytest.mark.usefixtures("short_tape")
def test_what_somebody_brought_about_is_not_made_again() -> None:
    """When a burst has left the tape, no older trade is to be had, and nothing that is false. Candles are kept."""
    market = market_of()
    asked = symbol_of(market)
    streamed = all_of(asked.tape)
    streamed_until(market, START_MS + 10 * MINUTE_MS, streamed)
    asked.burst(100)
    streamed_until(market, START_MS + HOUR_MS, streamed)

    assert asked.tape.was_cut
    assert asked.tape_of_id(0, 1) is asked.tape
    assert asked.tape_of_time(START_MS * 1000, 1) is asked.tape
    assert asked.ticker().count == len(asked.tape)
    assert candles(asked, "1m", open_of("1m", streamed[0].time_ms), market.now_ms) == made_of(streamed, "1m")


def test_candles_of_weeks_go_on_beside_a_burst() -> None:
    """As long as the tape has it."""
    market = market_of()
    asked = symbol_of(market)
    asked.burst(100)
    market.now_ms += 2 * MINUTE_MS
    day_ms = open_of("1d", START_MS)

    (day,) = candles(symbol_of(market), "1d", day_ms, market.now_ms)

    trades = traded(asked, day_ms, market.now_ms + 1)
    assert [day] == made_of(trades, "1d")
