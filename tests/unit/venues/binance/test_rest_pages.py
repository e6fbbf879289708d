"""REST answers are never trusted: what contradicts the question is no answer."""

from __future__ import annotations

import msgspec
import pytest

from data_collector.rest.pages import BadPage
from data_collector.venues.binance.rest_pages import (
    AggregateRow,
    ExchangeInfo,
    KlineRow,
    TickerRow,
    TimeRow,
    TradeRow,
    first_trade_ms_of,
    first_trade_of,
    klines_of,
    server_time_of,
    tickers_of,
    trades_of,
    weight_limit_of,
)

TIME_MS = 1_700_000_040_000
MINUTE_MS = 60_000
NOW_MS = TIME_MS + 100 * MINUTE_MS


def trade_row(trade_id: int, time: int = TIME_MS) -> TradeRow:
    return TradeRow(id=trade_id, price="1.50", qty="2.0", time=time, is_buyer_maker=True)


def kline_row(open_time: int, close_time: int | None = None) -> KlineRow:
    close_time = open_time + MINUTE_MS - 1 if close_time is None else close_time
    return (open_time, "1.0", "2.0", "0.5", "1.5", "10", close_time, "15", 7, "4", "6", "0")


def ids(*found: int, from_id: int = 100, limit: int = 1000) -> list[int]:
    return [trade.trade_id for trade in trades_of("BTCUSDT", from_id, limit, [trade_row(each) for each in found])]


def opens(*rows: KlineRow, last_ms: int = NOW_MS, now_ms: int = NOW_MS, interval: str = "1m") -> list[int]:
    return [kline.open_ms for kline in klines_of("BTCUSDT", interval, (TIME_MS, last_ms), now_ms, rows).klines]


def test_trades_keep_their_digits_and_sides() -> None:
    [trade] = trades_of("BTCUSDT", 7, 1000, [trade_row(7)])

    assert (trade.symbol, trade.trade_id, trade.price, trade.quantity) == ("BTCUSDT", 7, "1.50", "2.0")
    assert (trade.time_ms, trade.event_ms, trade.sub_ms_us, trade.is_buyer_maker) == (TIME_MS, TIME_MS, None, True)


def test_holes_and_a_late_beginning_are_taken_as_they_are() -> None:
    assert ids(250, 251, 254) == [250, 251, 254]
    assert ids() == []


@pytest.mark.parametrize(
    "found",
    [(99, 100), (-1,), (100, 102, 101), (100, 100), (100, 2**53), (2**63 + 1,)],
    ids=["below what was asked", "negative", "out of order", "repeated", "huge", "beyond 64 bits"],
)
def test_page_with_ids_that_cannot_be_is_refused(found: tuple[int, ...]) -> None:
    with pytest.raises(BadPage, match="trades of BTCUSDT from 100"):
        ids(*found)


def test_more_trades_than_were_asked_for_are_refused() -> None:
    assert len(ids(100, 101, limit=2)) == 2
    with pytest.raises(BadPage, match="3 rows where 2 were asked for"):
        ids(100, 101, 102, limit=2)


def test_times_in_microseconds_become_milliseconds() -> None:
    [trade] = trades_of("BTCUSDT", 7, 1000, [trade_row(7, TIME_MS * 1000 + 345)])
    [kline] = klines_of(
        "BTCUSDT", "1m", (TIME_MS, TIME_MS), NOW_MS, [kline_row(TIME_MS * 1000, (TIME_MS + MINUTE_MS) * 1000 - 1)]
    ).klines

    assert (trade.time_ms, trade.event_ms, trade.sub_ms_us) == (TIME_MS, TIME_MS, 345)
    assert (kline.open_ms, kline.close_ms) == (TIME_MS, TIME_MS + MINUTE_MS - 1)
    assert server_time_of(TimeRow(server_time=TIME_MS * 1000 + 5)) == TIME_MS


@pytest.mark.parametrize("time", [0, -1, 10**30])
def test_clock_that_cannot_be_is_refused(time: int) -> None:
    with pytest.raises(BadPage):
        server_time_of(TimeRow(server_time=time))


def test_kline_is_closed_when_the_exchange_is_past_its_end() -> None:
    rows = [kline_row(TIME_MS), kline_row(TIME_MS + MINUTE_MS)]

    assert opens(*rows, now_ms=TIME_MS + 2 * MINUTE_MS) == [TIME_MS]
    assert opens(*rows, now_ms=TIME_MS + 2 * MINUTE_MS + 1000) == [TIME_MS, TIME_MS + MINUTE_MS]


def test_holes_between_klines_stay_holes() -> None:
    assert opens(kline_row(TIME_MS), kline_row(TIME_MS + 5 * MINUTE_MS)) == [TIME_MS, TIME_MS + 5 * MINUTE_MS]


def test_what_lies_between_two_rows_is_proven_and_nothing_else() -> None:
    """A row that is still open shows that there is none before it; an answer without rows shows nothing."""

    def proven(*rows: KlineRow, now_ms: int = NOW_MS) -> tuple[int, int]:
        page = klines_of("BTCUSDT", "1m", (TIME_MS, NOW_MS), now_ms, rows)
        return page.proven_from_ms - TIME_MS, page.proven_to_ms - TIME_MS

    rows = kline_row(TIME_MS + 2 * MINUTE_MS), kline_row(TIME_MS + 5 * MINUTE_MS)
    assert proven(*rows) == (2 * MINUTE_MS, 5 * MINUTE_MS)
    assert proven(*rows, now_ms=TIME_MS + 5 * MINUTE_MS) == (2 * MINUTE_MS, 5 * MINUTE_MS - 1)
    assert proven() == (0, -1)


def test_first_trade_ever_is_told_by_its_time() -> None:
    assert first_trade_ms_of("BTCUSDT", [AggregateRow(f=0, T=TIME_MS * 1000)]) == TIME_MS
    assert first_trade_ms_of("BTCUSDT", []) is None
    for rows in ([AggregateRow(f=0, T=-1)], [AggregateRow(f=0, T=TIME_MS), AggregateRow(f=1, T=TIME_MS)]):
        with pytest.raises(BadPage):
            first_trade_ms_of("BTCUSDT", rows)


def test_rows_that_are_no_whole_kline_refuse_no_page() -> None:
    """The exchange's own past: before a standstill a candle ends early, after one some open off the grid."""
    rows = [
        kline_row(TIME_MS),
        kline_row(TIME_MS + MINUTE_MS, TIME_MS + MINUTE_MS + 28_788),
        kline_row(TIME_MS + 5 * MINUTE_MS + 13_000),
        kline_row(TIME_MS + 7 * MINUTE_MS),
    ]

    assert opens(*rows) == [row[0] for row in rows]


@pytest.mark.parametrize(
    "rows",
    [
        (kline_row(TIME_MS - MINUTE_MS),),
        (kline_row(NOW_MS + MINUTE_MS),),
        (kline_row(TIME_MS + MINUTE_MS), kline_row(TIME_MS)),
        (kline_row(TIME_MS), kline_row(TIME_MS)),
        (kline_row(10**17),),
        tuple(kline_row(TIME_MS + number * MINUTE_MS) for number in range(1001)),
    ],
    ids=["early", "late", "out of order", "repeated", "absurd", "too many"],
)
def test_page_with_klines_that_cannot_be_is_refused(rows: tuple[KlineRow, ...]) -> None:
    with pytest.raises(BadPage, match="klines of BTCUSDT 1m"):
        opens(*rows, last_ms=NOW_MS)


def test_months_are_measured_by_the_calendar() -> None:
    november_ms, december_ms, january_ms = 1_698_796_800_000, 1_701_388_800_000, 1_704_067_200_000
    span = (november_ms, december_ms)

    rows = [kline_row(november_ms, december_ms - 1), kline_row(december_ms, january_ms - 1)]

    assert len(klines_of("BTCUSDT", "1M", span, january_ms + 5000, rows).klines) == 2


def test_first_trade_since_a_time() -> None:
    assert first_trade_of("BTCUSDT", TIME_MS, [AggregateRow(f=42, T=TIME_MS)]) == 42
    assert first_trade_of("BTCUSDT", TIME_MS, [AggregateRow(f=42, T=TIME_MS * 1000)]) == 42
    assert first_trade_of("BTCUSDT", TIME_MS, []) is None


@pytest.mark.parametrize(
    "rows",
    [
        [AggregateRow(f=42, T=TIME_MS - 1)],
        [AggregateRow(f=-1, T=TIME_MS)],
        [AggregateRow(f=2**53, T=TIME_MS)],
        [AggregateRow(f=42, T=TIME_MS), AggregateRow(f=43, T=TIME_MS)],
    ],
    ids=["before", "negative", "huge", "two"],
)
def test_first_trade_that_cannot_be_is_refused(rows: list[AggregateRow]) -> None:
    with pytest.raises(BadPage):
        first_trade_of("BTCUSDT", TIME_MS, rows)


def test_statistics_of_symbols_that_were_not_asked_for_are_left_out() -> None:
    def row(symbol: str) -> TickerRow:
        return TickerRow(
            symbol, "1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1",
            open_time=TIME_MS * 1000, close_time=TIME_MS * 1000 + 999, first_id=1, last_id=2, count=2,
        )  # fmt: skip

    [ticker] = tickers_of({"BTCUSDT"}, [row("ETHUSDT"), row("BTCUSDT")])

    assert (ticker.symbol, ticker.open_time, ticker.close_time, ticker.event_ms) == ("BTCUSDT", *[TIME_MS] * 3)


def test_limit_is_that_of_weight_per_minute() -> None:
    listed = msgspec.json.decode(
        b'{"symbols":[],"rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100},'
        b'{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":1200}]}',
        type=ExchangeInfo,
    )

    assert weight_limit_of(listed) == 1200
    assert weight_limit_of(msgspec.json.decode(b'{"symbols":[]}', type=ExchangeInfo)) is None
