"""History out of PostgreSQL's tables: pages copied out as CSV."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import get_args

from data_collector.client.reading.questions import Plan, ask_database
from data_collector.client.reading.stored import BEHIND_MS, Page, last_row
from data_collector.client.records import ms_of
from data_collector.model.calendar import LATEST_MS
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.keys import Key
from data_collector.model.records import Source, known_rules
from data_collector.model.sink import TRADE_EPOCHS

PAGE_ROWS = 50_000

AT = "to_timestamp({}::bigint / 1000.0)"
_TIME = """to_char("timestamp" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""
_SOURCES = ", ".join(f"'{source}'" for source in get_args(Source))
ORIGIN = (
    f"case when source in ({_SOURCES}) then source end",
    "translate(array_to_string(warnings, ','), E'\\n\\r', '  ')",
)
"""Source and rules: a line is a row, whatever anybody has written."""

OF_KLINES = f"""
from market_data_ohlcv
where exchange = $1 and symbol = $2 and interval = $3
  and "timestamp" >= {AT.format("$4")} and "timestamp" < {AT.format("$5")}
order by "timestamp" limit {{}}
"""

KLINES = f"""
select symbol, {_TIME}, interval, open, high, low, close, volume, trades, true,
  quote_volume, taker_buy_base_volume, taker_buy_quote_volume, {", ".join(ORIGIN)}
{OF_KLINES.format(PAGE_ROWS)}
"""

LAST_KLINE = f"""
select (extract(epoch from max("timestamp")) * 1000)::bigint from market_data_ohlcv
where exchange = $1 and symbol = $2 and interval = $3 and "timestamp" < {AT.format("$4")}
"""  # noqa: S608

TRADES = f"""
select symbol, {_TIME}, trade_id, price, quantity, buyer_order_id, seller_order_id, is_buyer_maker, {", ".join(ORIGIN)}
from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 and trade_id >= $4 and "timestamp" < {AT.format("$5")}
order by trade_id limit {PAGE_ROWS}
"""  # noqa: S608

TRADE_SPAN = """
select min(trade_id), max(trade_id) from market_data_trades where exchange = $1 and symbol = $2 and epoch = $3
"""

TRADE_FROM = f"""
select trade_id, floor(extract(epoch from "timestamp") * 1000)::bigint from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 and trade_id >= $4 and "timestamp" >= {AT.format("$5")}
order by trade_id limit 1
"""  # noqa: S608

GAPS = """
select first, last, count, reason, array_to_string(rules, ',') from market_data_gaps
where exchange = $1 and symbol = $2 and channel = $3 and interval = $4 and epoch = $5 and last >= $6 and first < $7
order by first
"""


class DatabaseStored:
    """What PostgreSQL holds of one exchange. Its newest rows are some seconds old."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange

    def klines(self, key: Key, from_ms: int, to_ms: int, before: Page | None) -> Plan[Page]:
        """Closed ones that open in the stretch."""
        text = yield from self._ask(KLINES, key.symbol, key.kline_interval, from_ms, to_ms)
        if text.count("\n") < PAGE_ROWS:
            return Page(text, None)
        return Page(text, ms_of(datetime.fromisoformat(last_row(text)[1])) + 1)

    def trades(self, symbol: str, epoch: int, first: int, to_ms: int, before: Page | None) -> Plan[Page]:
        """Those with ids from `first` on that happened before a time."""
        text = yield from self._ask(TRADES, symbol, epoch, first, to_ms)
        return Page(text, None if text.count("\n") < PAGE_ROWS else int(last_row(text)[2]) + 1)

    def first_trade(self, symbol: str, epoch: int, from_ms: int) -> Plan[int | None]:
        """The first id whose trade did not happen before a time.

        Ids are what is indexed, so halving finds one before which nothing can be that late; it lies close before it.
        """
        span = (yield from self._ask(TRADE_SPAN, symbol, epoch)).strip().split(",")
        if not span[0]:
            return None
        low, high = int(span[0]), int(span[1]) + 1
        while low < high and from_ms > BEHIND_MS:
            middle = (low + high) // 2
            row = (yield from self._ask(TRADE_FROM, symbol, epoch, middle, 0)).strip().split(",")
            if not row[0] or int(row[1]) >= from_ms - BEHIND_MS:
                high = middle
            else:
                low = int(row[0]) + 1
        found = (yield from self._ask(TRADE_FROM, symbol, epoch, low, from_ms)).partition(",")[0]
        return int(found) if found else None

    def last_trade(self, symbol: str, epoch: int) -> Plan[int | None]:
        """The newest id."""
        last = (yield from self._ask(TRADE_SPAN, symbol, epoch)).strip().rpartition(",")[2]
        return int(last) if last else None

    def last_kline(self, key: Key) -> Plan[int | None]:
        """The newest open time."""
        last = (yield from self._ask(LAST_KLINE, key.symbol, key.kline_interval, LATEST_MS)).strip()
        return int(last) if last else None

    def epochs(self, symbol: str) -> Plan[list[int]]:
        """Those that it knows, rising."""
        return [int(line) for line in (yield from self._ask(f"{TRADE_EPOCHS} order by epoch", symbol)).split()]

    def gaps(self, key: Key, epoch: int, first: int, until: int) -> Plan[list[Gap]]:
        """What the table says of a range, ascending."""
        text = yield from self._ask(GAPS, key.symbol, key.channel, key.interval or "", epoch, first, until)
        return [_gap(*row) for row in csv.reader(io.StringIO(text, newline=""))]

    def _ask(self, query: str, *arguments: str | int) -> Plan[str]:
        return (yield from ask_database(query, self._exchange, *arguments)).decode()


def _gap(first: str, last: str, count: str, reason: str, rules: str) -> Gap:
    return Gap(int(first), int(last), int(count), _REASONS.get(reason, "lost"), known_rules(rules.split(",")))


_REASONS: dict[str, GapReason] = {reason: reason for reason in get_args(GapReason)}
