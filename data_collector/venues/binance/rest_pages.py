"""What Binance's REST side answers, and what is made of it (`rest.pages`). Pure.

https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct

from data_collector.model.calendar import UtcCalendar
from data_collector.model.records import Kline, Ticker, Trade
from data_collector.model.venue import KlinePage, SymbolRules
from data_collector.rest.pages import (
    CLOSED_MARGIN_MS,
    ID_BOUND,
    BadPage,
    check_ids,
    check_rows,
    clock_ms,
    kline_page,
    some_listed,
    step_of,
)
from data_collector.venues.binance.codec import MICROSECONDS_FROM, milliseconds

ROWS_MAX = 1000
"""What a list endpoint gives at most."""

CALENDAR = UtcCalendar()


class _Filter(Struct, rename="camel"):
    """One rule for orders of a symbol; only the two about steps concern trades."""

    filter_type: str = ""
    tick_size: str = ""
    step_size: str = ""


class _Symbol(Struct, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter] = []


class _RateLimit(Struct, rename="camel"):
    rate_limit_type: str = ""
    interval: str = ""
    interval_num: int = 0
    limit: int = 0


class ExchangeInfo(Struct, rename="camel"):
    """`/api/v3/exchangeInfo`."""

    symbols: list[_Symbol]
    rate_limits: list[_RateLimit] = []


class TimeRow(Struct, rename="camel"):
    """`/api/v3/time`."""

    server_time: int


class TickerRow(Struct, rename="camel"):
    """`/api/v3/ticker/24hr`, type FULL."""

    symbol: str
    price_change: str
    price_change_percent: str
    weighted_avg_price: str
    prev_close_price: str
    last_price: str
    last_qty: str
    bid_price: str
    bid_qty: str
    ask_price: str
    ask_qty: str
    open_price: str
    high_price: str
    low_price: str
    volume: str
    quote_volume: str
    open_time: int
    close_time: int
    first_id: int
    last_id: int
    count: int


class TradeRow(Struct, rename="camel"):
    """A row of `/api/v3/historicalTrades`."""

    id: int
    price: str
    qty: str
    time: int
    is_buyer_maker: bool


class AggregateRow(Struct):
    """A row of `/api/v3/aggTrades`: only the time and the id of its first trade are of use."""

    f: int
    T: int


KlineRow = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
"""Open time, open, high, low, close, volume, close time, quote volume, trades, taker volumes, unused."""


def weight_limit_of(listed: ExchangeInfo) -> int | None:
    """The weight allowed per minute, if the exchange told it."""
    for limit in listed.rate_limits:
        if (limit.rate_limit_type, limit.interval, limit.interval_num) == ("REQUEST_WEIGHT", "MINUTE", 1):
            return limit.limit
    return None


def symbols_of(listed: ExchangeInfo) -> dict[str, SymbolRules]:
    """Every listed symbol, by its name."""
    return some_listed({item.symbol: _symbol_rules(item) for item in listed.symbols})


def server_time_of(row: TimeRow) -> int:
    """The exchange's clock in ms."""
    return clock_ms(milliseconds(row.server_time))


def tickers_of(wanted: Collection[str], rows: Sequence[TickerRow]) -> list[Ticker]:
    """The statistics of the symbols that are wanted; those of others are left out."""
    return [_ticker(row) for row in rows if row.symbol in wanted]


def trades_of(symbol: str, from_id: int, limit: int, rows: Sequence[TradeRow]) -> list[Trade]:
    """Trades from `from_id` on, rising."""
    asked = f"trades of {symbol} from {from_id}"
    check_rows(asked, rows, limit)
    check_ids(asked, from_id, (row.id for row in rows))
    return [_trade(symbol, row) for row in rows]


def first_trade_of(symbol: str, since_ms: int, rows: Sequence[AggregateRow]) -> int | None:
    """The first trade of the one aggregate that was asked for; None when there is none."""
    if not rows:
        return None
    first = rows[0]
    if len(rows) > 1 or not 0 <= first.f < ID_BOUND or milliseconds(first.T) < since_ms:
        raise BadPage(f"the first trade of {symbol} since {since_ms} came as {first.f} of {first.T}, {len(rows)} rows")
    return first.f


def klines_of(symbol: str, interval: str, span: tuple[int, int], now_ms: int, rows: Sequence[KlineRow]) -> KlinePage:
    """See `kline_page`."""
    asked = f"klines of {symbol} {interval} from {span[0]} to {span[1]}"
    check_rows(asked, rows, ROWS_MAX)
    return kline_page(asked, span, now_ms, (_kline(symbol, interval, row) for row in rows))


def first_trade_ms_of(symbol: str, rows: Sequence[AggregateRow]) -> int | None:
    """When the oldest aggregate was traded, of the one that was asked for; None when there is none."""
    if len(rows) > 1 or any(not 0 < milliseconds(row.T) < MICROSECONDS_FROM for row in rows):
        raise BadPage(f"the first trade of {symbol} came in {len(rows)} rows")
    return milliseconds(rows[0].T) if rows else None


def page_end_ms(interval: str, first_ms: int) -> int:
    """About when the last kline of a full answer ends, if there are no holes in it."""
    return first_ms + ROWS_MAX * (CALENDAR.next_open_ms(interval, first_ms) - first_ms)


def all_closed(rows: Sequence[KlineRow], known_ms: int) -> bool:
    """Whether every row was over at a time that the exchange's clock had passed before it was asked."""
    return all(milliseconds(row[6]) < known_ms - CLOSED_MARGIN_MS for row in rows)


def _symbol_rules(item: _Symbol) -> SymbolRules:
    filters = {found.filter_type: found for found in item.filters}
    price, lot = filters.get("PRICE_FILTER", _Filter()), filters.get("LOT_SIZE", _Filter())
    return SymbolRules(
        item.symbol, item.status, item.base_asset, item.quote_asset, step_of(price.tick_size), step_of(lot.step_size)
    )


def _ticker(row: TickerRow) -> Ticker:
    row.open_time, row.close_time = milliseconds(row.open_time), milliseconds(row.close_time)
    return Ticker(**msgspec.structs.asdict(row), event_ms=row.close_time)


def _trade(symbol: str, row: TradeRow) -> Trade:
    # REST tells no event time of its own.
    if row.time < MICROSECONDS_FROM:
        return Trade(symbol, row.id, row.price, row.qty, row.time, row.time, row.is_buyer_maker)
    time_ms, sub_ms_us = divmod(row.time, 1000)
    return Trade(symbol, row.id, row.price, row.qty, time_ms, time_ms, row.is_buyer_maker, sub_ms_us=sub_ms_us)


def _kline(symbol: str, interval: str, row: KlineRow) -> Kline:
    open_ms, close_ms = milliseconds(row[0]), milliseconds(row[6])
    return Kline(
        symbol, interval, open_ms, close_ms, open=row[1], high=row[2], low=row[3], close=row[4], volume=row[5],
        quote_volume=row[7], taker_buy_base_volume=row[9], taker_buy_quote_volume=row[10], trades=row[8],
        is_closed=True, event_ms=close_ms + 1,
    )  # fmt: skip
