"""The market: deterministic, and in agreement with itself to the last digit."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import pytest

from data_collector.model.calendar import DAY_MS
from data_collector.model.records import Trade
from data_collector.simulator.listing import synthetic_symbols
from data_collector.simulator.market.candles import INTERVALS, kline_record, next_open, open_of
from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from tests.unit.simulator.market.made_of_trades import CENT_MILLIONTH, kline_of, quote_of

START_MS = 1_700_000_000_000


def market_of(**changes: object) -> Market:
    settings = SimulatorSettings(start_ms=START_MS, **changes)  # type: ignore[arg-type]
    return Market(settings, START_MS)


def advanced(market: Market, milliseconds: int) -> Market:
    market.now_ms += milliseconds
    return market


def test_same_seed_gives_the_same_tape_in_whatever_steps_time_passes() -> None:
    at_once = advanced(market_of(), 60_000)
    in_steps = market_of()
    for _ in range(60):
        advanced(in_steps, 1_000).symbol("BTCUSDT")

    assert at_once.tape("BTCUSDT") == in_steps.tape("BTCUSDT")


def test_another_seed_gives_another_tape() -> None:
    assert market_of(seed=1).tape("BTCUSDT") != market_of(seed=2).tape("BTCUSDT")


def test_a_symbol_does_not_depend_on_which_others_are_listed() -> None:
    alone = market_of(symbols=("ETHUSDT",))

    assert alone.tape("ETHUSDT") == market_of().tape("ETHUSDT")


def test_ids_grow_by_one_and_times_never_go_back() -> None:
    tape = advanced(market_of(), 600_000).tape("BTCUSDT")

    assert [trade.trade_id for trade in tape] == list(range(tape[0].trade_id, tape[0].trade_id + len(tape)))
    times = [trade.time_ms for trade in tape]
    assert times == sorted(times)


def test_neighbouring_trades_often_share_their_time() -> None:
    tape = advanced(market_of(), 600_000).tape("BTCUSDT")

    shared = sum(1 for one, next_one in pairwise(tape) if one.time_ms == next_one.time_ms)
    assert 0.5 < shared / len(tape) < 0.8


def test_trades_lie_on_the_grid_of_their_symbol() -> None:
    market = advanced(market_of(symbols=("BTCUSDT", "ETHBTC", *synthetic_symbols(3))), 60_000)

    for symbol, listing in market.listings.items():
        for trade in market.tape(symbol):
            assert int(Decimal(trade.price) * 10**8) % listing.tick == 0
            assert int(Decimal(trade.quantity) * 10**8) % listing.lot == 0


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHBTC", "PEPEUSDT"])
@pytest.mark.parametrize("interval", INTERVALS)
def test_klines_are_what_their_trades_come_to(symbol: str, interval: str) -> None:
    market = advanced(market_of(history_trades=500), 120_000)

    by_open: dict[int, list[Trade]] = {}
    for trade in market.tape(symbol):
        by_open.setdefault(open_of(interval, trade.time_ms), []).append(trade)
    expected = [
        kline_of(trades, interval, open_ms, market.now_ms)
        for open_ms, trades in by_open.items()
        if next_open(interval, open_ms) <= market.now_ms
    ]

    assert market.closed_klines(symbol, interval) == expected


def test_klines_taken_in_small_steps_are_those_taken_at_once() -> None:
    in_steps = market_of()
    for _ in range(60):
        advanced(in_steps, 4_997).closed_klines("BTCUSDT", "1m")

    at_once = advanced(market_of(), 60 * 4_997)

    assert in_steps.closed_klines("BTCUSDT", "1m") == at_once.closed_klines("BTCUSDT", "1m")


@pytest.mark.parametrize("passed_ms", [0, 60_000, DAY_MS // 2, DAY_MS + 12_345])
def test_ticker_is_what_the_trades_of_24_hours_come_to(passed_ms: int) -> None:
    market = advanced(market_of(trades_per_s=0.02, history_trades=2_000), passed_ms)
    symbol = market.symbol("ETHBTC")
    assert symbol is not None

    ticker = symbol.ticker()
    tape = market.tape("ETHBTC")
    inside = [trade for trade in tape if trade.time_ms >= market.now_ms - DAY_MS]
    volume = sum((Decimal(trade.quantity) for trade in inside), Decimal())
    quote = sum(map(quote_of, inside), Decimal())
    before = [trade for trade in tape if trade.trade_id < inside[0].trade_id]

    assert (ticker.first_id, ticker.last_id, ticker.count) == (inside[0].trade_id, inside[-1].trade_id, len(inside))
    assert (ticker.open_time, ticker.close_time) == (market.now_ms - DAY_MS, market.now_ms)
    assert (ticker.open_price, ticker.last_price) == (inside[0].price, inside[-1].price)
    assert Decimal(ticker.high_price or "") == max(Decimal(trade.price) for trade in inside)
    assert Decimal(ticker.low_price or "") == min(Decimal(trade.price) for trade in inside)
    assert Decimal(ticker.volume) == volume
    assert Decimal(ticker.quote_volume or "") == quote
    assert Decimal(ticker.weighted_avg_price or "") == (quote / volume).quantize(CENT_MILLIONTH, ROUND_HALF_UP)
    assert Decimal(ticker.price_change or "") == Decimal(inside[-1].price) - Decimal(inside[0].price)
    assert ticker.last_qty == inside[-1].quantity
    if before:
        assert ticker.prev_close_price == before[-1].price


def test_ticker_kept_up_to_date_equals_one_made_at_the_end() -> None:
    kept = market_of(trades_per_s=0.02, history_trades=200)
    symbol = kept.symbol("BTCUSDT")
    assert symbol is not None
    for _ in range(100):
        advanced(kept, DAY_MS // 50).symbol("BTCUSDT")
        symbol.ticker()
    fresh = advanced(market_of(trades_per_s=0.02, history_trades=200), 100 * (DAY_MS // 50)).symbol("BTCUSDT")

    assert fresh is not None
    assert symbol.ticker() == fresh.ticker()


def test_tape_is_bounded_and_drops_whole_aggregates_from_the_front() -> None:
    market = market_of(tape_trades_max=3_000, history_trades=500, symbols=("BTCUSDT",))
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None
    first_ever = symbol.tape.id_at(0)

    symbol.burst(10_000)

    tape = symbol.tape
    assert len(tape) <= 3_000 + 3_000 // 8 + 1
    assert tape.id_at(0) > first_ever
    oldest = tape.aggregates(0, len(tape), 1)[0]
    assert oldest.first_trade_id == tape.id_at(0)


def test_klines_and_ticker_survive_the_cutting_of_the_tape() -> None:
    small = market_of(tape_trades_max=2_500, symbols=("BTCUSDT",))
    large = market_of(symbols=("BTCUSDT",))
    for _ in range(40):
        advanced(small, 20_000).symbol("BTCUSDT")
        advanced(large, 20_000).symbol("BTCUSDT")

    symbol = small.symbol("BTCUSDT")
    assert symbol is not None
    assert symbol.tape.was_cut
    assert small.closed_klines("BTCUSDT", "5m") == large.closed_klines("BTCUSDT", "5m")
    assert symbol.ticker().count == len(symbol.tape)


def test_burst_makes_exactly_as_many_trades_as_asked_for() -> None:
    market = market_of()
    before = market.tape("BTCUSDT")[-1].trade_id
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None

    symbol.burst(1_234)

    assert market.tape("BTCUSDT")[-1].trade_id == before + 1_234
    assert {trade.time_ms for trade in market.tape("BTCUSDT")[-1_234:]} == {START_MS}


def test_nothing_trades_during_a_break_and_its_candles_never_exist() -> None:
    market = market_of(symbols=("BTCUSDT",))
    symbol = advanced(market, 1_000).symbol("BTCUSDT")
    assert symbol is not None
    last_id = symbol.tape.last_id

    symbol.set_status("BREAK")
    advanced(market, 300_000).symbol("BTCUSDT")
    assert symbol.tape.last_id == last_id
    symbol.set_status("TRADING")
    advanced(market, 60_000).symbol("BTCUSDT")

    assert symbol.tape.last_id > last_id
    candles = symbol.series("1m").between(START_MS - 60_000, market.now_ms, 100, newest=False, exists=symbol.has_candle)
    opens = [candle.open_ms for candle in candles]
    assert any(later - earlier > 60_000 for earlier, later in pairwise(opens))


def test_skipped_ids_are_missing_for_good() -> None:
    market = market_of()
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None
    last_id = symbol.tape.last_id

    symbol.skip_ids(7)
    symbol.burst(2)

    assert [trade.trade_id for trade in market.tape("BTCUSDT")[-3:]] == [last_id, last_id + 8, last_id + 9]


def test_candle_without_trades_is_flat_at_the_close_before() -> None:
    market = market_of(trades_per_s=0, history_trades=2_000)
    symbol = advanced(market, 600_000).symbol("BTCUSDT")
    assert symbol is not None

    candle = symbol.series("1m").at(open_of("1m", market.now_ms))
    assert candle is not None
    kline = kline_record("BTCUSDT", "1m", candle, event_ms=0, is_closed=False)

    last = market.tape("BTCUSDT")[-1].price
    assert (kline.open, kline.high, kline.low, kline.close) == (last, last, last, last)
    assert (kline.volume, kline.trades, kline.first_trade_id, kline.last_trade_id) == ("0.00000000", 0, -1, -1)


def test_unlisted_symbol_is_unknown() -> None:
    assert market_of(symbols=("BTCUSDT",)).symbol("ETHUSDT") is None
    with pytest.raises(KeyError):
        market_of(symbols=("BTCUSDT",)).tape("ETHUSDT")


def test_order_ids_are_there_when_asked_for() -> None:
    with_ids = market_of(order_ids=True).tape("BTCUSDT")[-1]
    without = market_of().tape("BTCUSDT")[-1]

    assert with_ids.buyer_order_id is not None
    assert with_ids.seller_order_id is not None
    assert (without.buyer_order_id, without.seller_order_id) == (None, None)


def test_best_prices_lie_around_the_last_trade() -> None:
    market = advanced(market_of(), 60_000)
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None
    book = symbol.book()
    last = int(Decimal(market.tape("BTCUSDT")[-1].price) * 10**8)

    assert book.ask - book.bid == symbol.listing.tick
    assert last in (book.bid, book.ask)
    bids = [Decimal(price) for price, _ in book.bids(10)]
    asks = [Decimal(price) for price, _ in book.asks(10)]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert all(Decimal(quantity) > 0 for _, quantity in book.bids(10) + book.asks(10))


def test_series_begun_on_a_cut_tape_does_not_show_the_candle_that_lacks_trades() -> None:
    market = market_of(tape_trades_max=2_000, symbols=("BTCUSDT",), history_trades=0)
    for _ in range(60):
        advanced(market, 60_000).symbol("BTCUSDT")
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None
    assert symbol.tape.was_cut

    shown = symbol.series("1m", 5 * 3_600_000).closed_with_trades(market.now_ms)

    whole = {kline.open_ms: kline.trades for kline in market.closed_klines("BTCUSDT", "1m")}
    assert shown
    assert all(candle.totals.count == whole[candle.open_ms] for candle in shown)
