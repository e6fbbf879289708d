"""When klines and tickers are due."""

from __future__ import annotations

import itertools

from data_collector.model.records import Kline, Record, Ticker
from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from data_collector.simulator.streams.publishers import (
    AllMiniTickersPublisher,
    KlinePublisher,
    Publisher,
    TickerPublisher,
)

START_MS = 1_700_000_030_000
MINUTE_MS = 60_000


def settings_of(**changes: object) -> SimulatorSettings:
    return SimulatorSettings(start_ms=START_MS, symbols=("BTCUSDT", "ETHUSDT"), **changes)  # type: ignore[arg-type]


def run(market: Market, publisher: Publisher, milliseconds: int) -> list[tuple[int, Record]]:
    """Everything that the publisher sends in the next stretch of time, with the moment at which it does."""
    sent: list[tuple[int, Record]] = []
    due_ms = market.now_ms + 1
    end_ms = market.now_ms + milliseconds
    while due_ms <= end_ms:
        market.now_ms = due_ms
        records, next_ms = publisher.due(due_ms)
        assert next_ms > due_ms
        sent += [(due_ms, record) for record in records]
        due_ms = next_ms
    market.now_ms = end_ms
    return sent


def klines_of(settings: SimulatorSettings, interval: str, milliseconds: int) -> tuple[Market, list[Kline]]:
    market = Market(settings, START_MS)
    sent = run(market, KlinePublisher(market, "BTCUSDT", interval, 0, settings), milliseconds)
    return market, [record for _, record in sent if isinstance(record, Kline)]


def test_every_closed_candle_is_told_once_with_its_final_values() -> None:
    market, klines = klines_of(settings_of(), "1m", 20 * MINUTE_MS)

    closed = {kline.open_ms: kline for kline in klines if kline.is_closed}
    truth = {kline.open_ms: kline for kline in market.closed_klines("BTCUSDT", "1m") if kline.close_ms > START_MS}
    assert sum(kline.is_closed for kline in klines) == len(closed)
    # The last one may still be waiting for its delay.
    assert set(truth) - set(closed) <= {max(truth)}
    for open_ms, kline in closed.items():
        assert (kline.volume, kline.close, kline.trades) == (
            truth[open_ms].volume, truth[open_ms].close, truth[open_ms].trades)  # fmt: skip


def test_closing_frame_comes_within_its_delay_and_before_the_next_candle() -> None:
    _, klines = klines_of(settings_of(closing_delay_ms=(100, 2_000)), "1m", 20 * MINUTE_MS)

    for kline in klines:
        if kline.is_closed:
            assert 100 <= kline.event_ms - (kline.close_ms + 1) <= 2_000
    opens = [kline.open_ms for kline in klines]
    assert opens == sorted(opens)
    last_of = {kline.open_ms: kline for kline in klines}
    assert all(kline.is_closed for open_ms, kline in last_of.items() if open_ms < max(opens))


def test_running_candle_is_sent_every_two_seconds_and_only_when_it_changed() -> None:
    _, klines = klines_of(settings_of(trades_per_s=0.3), "15m", 10 * MINUTE_MS)

    events = [kline.event_ms for kline in klines if not kline.is_closed]
    assert all((later - earlier) % 2_000 == 0 for earlier, later in itertools.pairwise(events))
    assert len({(kline.last_trade_id, kline.is_closed) for kline in klines}) == len(klines)
    assert len(klines) < 10 * 30


def test_a_quiet_symbol_is_silent_unless_empty_candles_are_closed_too() -> None:
    _, silent = klines_of(settings_of(trades_per_s=0, history_trades=2_000), "1m", 5 * MINUTE_MS)
    settings = settings_of(trades_per_s=0, history_trades=2_000, close_empty_klines=True)
    _, closing = klines_of(settings, "1m", 5 * MINUTE_MS)

    assert [kline for kline in silent if kline.open_ms > START_MS] == []
    assert [kline.trades for kline in closing if kline.open_ms > START_MS] == [0, 0, 0, 0]
    assert all(kline.is_closed for kline in closing if kline.open_ms > START_MS)


def test_symbol_without_history_begins_with_the_candle_of_its_first_trade() -> None:
    settings = settings_of(trades_per_s=0, history_trades=0)
    market = Market(settings, START_MS)
    publisher = KlinePublisher(market, "BTCUSDT", "1m", 0, settings)
    assert run(market, publisher, 3 * MINUTE_MS) == []
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None

    symbol.burst(5)

    sent = [record for _, record in run(market, publisher, 2 * MINUTE_MS) if isinstance(record, Kline)]
    assert sent[-1].is_closed
    assert sent[-1].trades == 5


def test_no_klines_while_cancel_only() -> None:
    settings = settings_of()
    market = Market(settings, START_MS)
    publisher = KlinePublisher(market, "BTCUSDT", "1m", 0, settings)
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None

    symbol.set_status("CANCEL_ONLY")

    assert run(market, publisher, 3 * MINUTE_MS) == []
    symbol.set_status("TRADING")
    assert run(market, publisher, MINUTE_MS) != []


def test_ticker_is_sent_every_second_and_only_when_it_changed() -> None:
    settings = settings_of(trades_per_s=0.5)
    market = Market(settings, START_MS)

    sent = [record for _, record in run(market, TickerPublisher(market, "BTCUSDT", mini=False), 60_000)]

    tickers = [record for record in sent if isinstance(record, Ticker)]
    assert len(tickers) == len(sent)
    assert 1 < len(tickers) < 60
    assert all(earlier != later for earlier, later in itertools.pairwise(tickers))
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None
    assert tickers[-1].last_id == symbol.tape.last_id


def test_all_mini_tickers_hold_only_what_changed() -> None:
    settings = settings_of(trades_per_s=0)
    market = Market(settings, START_MS)
    publisher = AllMiniTickersPublisher(market)
    first = run(market, publisher, 1_500)
    symbol = market.symbol("ETHUSDT")
    assert symbol is not None

    symbol.burst(1)

    assert {record.symbol for _, record in first} == {"BTCUSDT", "ETHUSDT"}
    assert [record.symbol for _, record in run(market, publisher, 1_500)] == ["ETHUSDT"]
