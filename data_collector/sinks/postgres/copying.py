"""Pages of records that PostgreSQL itself writes as CSV: at the speed of its COPY, digits as they are stored.

The columns are those of `GET /klines` and `/trades`, without the line of names. A page ends where a hole begins that
another store may fill, so that whoever joins two stores need not look at the rows.
"""

from __future__ import annotations

import csv
from datetime import datetime
from typing import get_args

import asyncpg
from msgspec import Struct

from data_collector.model.records import RULE_PATTERN, Source
from data_collector.sinks.postgres.asking import AT_MS, OPEN_MS, Asking

_SOURCES = ", ".join(f"'{source}'" for source in get_args(Source))
_ORIGIN = f"""case when source in ({_SOURCES}) then source end, case when warnings is not null then (
  select string_agg(rule, ',' order by number) from unnest(warnings) with ordinality as each(rule, number)
  where rule collate "C" ~ '^{RULE_PATTERN}$'
) end"""  # noqa: S608
"""As `known_origin` has it, which reads what anybody may have written."""

# The session's own text of a time is ISO, UTC.
_KLINE = """symbol, replace("timestamp"::text, ' ', 'T') || ':00', interval, open, high, low, close, volume, trades,
  'true', quote_volume, taker_buy_base_volume, taker_buy_quote_volume"""

_TRADE = """symbol, case when date_trunc('milliseconds', "timestamp") = "timestamp"
    then to_char("timestamp", 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')
    else to_char("timestamp", 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') end,
  trade_id, price, quantity, buyer_order_id, seller_order_id,
  case when is_buyer_maker then 'true' when not is_buyer_maker then 'false' end"""

_PLAIN_KLINE = _KLINE.replace("""replace("timestamp"::text, ' ', 'T') || ':00'""", '"timestamp"')
_PLAIN_TRADE = 'symbol, "timestamp", trade_id, price, quantity, buyer_order_id, seller_order_id, is_buyer_maker'

_HOLE = """
select min(before) from (
  select place, lag(place, 1, {first} - 1) over (order by place) as before from (select {place} as place {rows}) as page
) as pairs where place > before + {step} and place > {solid_from}
"""


class CopyForm(Struct, frozen=True):
    """What the lines look like."""

    with_origin: bool = False
    """Whether they tell where rows are from."""
    is_plain: bool = False
    """Times and truths in PostgreSQL's own words, which takes it half the time."""


class CopiedPage(Struct):
    """Consecutive rows of one series."""

    text: bytes
    """Lines of CSV."""
    count: int
    first: int | None
    """Place of the first row; None without rows."""
    last: int | None
    """Place of the last row."""
    end: int
    """The first place that was not looked at."""
    goes_on: bool
    """Whether the next page begins at `end`; else what is there is for the other store to say, or it is the end."""


class PostgresCopier:
    """Copies rows of one exchange. Methods raise `SinkUnavailable` and `Misconfigured`.

    A page is the first `limit` rows of a range whose end is not included. A hole at or after the place `solid_from`
    ends it, and so does `solid_from` itself; None: holes do not matter.
    """

    def __init__(self, asking: Asking, exchange: str, form: CopyForm) -> None:
        self._asking = asking
        self._exchange = exchange
        self._form = form

    async def klines(
        self, symbol: str, interval: str, times: range, limit: int, *, step_ms: int, solid_from: int | None
    ) -> CopiedPage:
        """Of one interval, by open time; places that are further apart than `step_ms` have a hole between them."""
        series = _Series(
            (self._exchange, symbol, interval),
            self._columns(_PLAIN_KLINE if self._form.is_plain else _KLINE),
            OPEN_MS,
            f"""from market_data_ohlcv where exchange = {{0}} and symbol = {{1}} and interval = {{2}}
              and "timestamp" >= {AT_MS.format("{first}")} and "timestamp" < {AT_MS.format("{until}")}
              order by "timestamp" limit {{limit}}""",
            1,
            step_ms,
        )
        return await _page(self._asking, series, times, limit, solid_from)

    async def trades(
        self, symbol: str, epoch: int, ids: range, times: range, limit: int, *, solid_from: int | None
    ) -> CopiedPage:
        """Of one epoch, by id, and made in a range of time; `ids` are as many as those, or little more."""
        series = _Series(
            (self._exchange, symbol),
            self._columns(_PLAIN_TRADE if self._form.is_plain else _TRADE),
            "trade_id",
            f"""from market_data_trades where exchange = {{0}} and symbol = {{1}} and epoch = {epoch}
              and trade_id >= {{first}} and trade_id < {{until}}
              and "timestamp" >= {AT_MS.format(times.start)} and "timestamp" < {AT_MS.format(times.stop)}
              order by trade_id limit {{limit}}""",
            2,
            1,
        )
        return await _page(self._asking, series, ids, limit, solid_from)

    def _columns(self, of_record: str) -> str:
        return f"{of_record}, {_ORIGIN}" if self._form.with_origin else of_record


class _Series(Struct, frozen=True):
    """As COPY reads it; places are open times in ms, or trade ids."""

    names: tuple[str, ...]
    """What identifies it, put into `rows` as {0}, {1} …"""
    columns: str
    place: str
    """SQL of a row's place."""
    rows: str
    """From, where (with {first} and {until}), order and limit."""
    place_column: int
    """Where in the CSV the place stands."""
    step: int
    """Between the places of two neighbours at most."""


async def _page(asking: Asking, series: _Series, places: range, limit: int, solid_from: int | None) -> CopiedPage:
    first, until = places.start, places.stop
    async with asking.transaction() as connection:
        # By the index of times, each page would sort all of the range.
        await connection.execute("set local enable_bitmapscan = off")
        rows = await _bound(connection, series)
        if solid_from is not None and first < solid_from:
            found = await _copied(connection, series, rows, range(first, min(until, solid_from)), limit)
            if not found.goes_on and solid_from < until:
                found.end, found.goes_on = solid_from, True
            return found
        if solid_from is not None:
            seen = rows.format(first=first, until=until, limit=limit)
            hole = await connection.fetchval(
                _HOLE.format(first=first, place=series.place, rows=seen, step=series.step, solid_from=solid_from)
            )
            if isinstance(hole, int):
                found = await _copied(connection, series, rows, range(first, hole + 1), limit)
                found.goes_on = False
                return found
        return await _copied(connection, series, rows, places, limit)


async def _bound(connection: asyncpg.Connection, series: _Series) -> str:
    """`series.rows` with its names put in: COPY takes no arguments."""
    quoted = [f"quote_literal(${number})" for number in range(1, len(series.names) + 1)]
    (literals,) = await connection.fetch(f"select {', '.join(quoted)}", *series.names)
    # A name may hold a brace.
    names = [str(literal).replace("{", "{{").replace("}", "}}") for literal in literals]
    return series.rows.format(*names, first="{first}", until="{until}", limit="{limit}")


async def _copied(
    connection: asyncpg.Connection, series: _Series, rows: str, places: range, limit: int
) -> CopiedPage:  # fmt: skip
    text = bytearray()

    async def put(part: bytes) -> None:
        text.extend(part)

    if places:
        query = f"select {series.columns} {rows.format(first=places.start, until=places.stop, limit=limit)}"
        status = await connection.copy_from_query(query, output=put, format="csv")
    if not text:
        return CopiedPage(b"", 0, None, None, places.start, goes_on=False)
    first = _place(series, text[: text.index(b"\n")])
    last = _place(series, text[text.rfind(b"\n", 0, -1) + 1 :])
    count = int(status.partition(" ")[2])
    return CopiedPage(bytes(text), count, first, last, last + 1, goes_on=count == limit)


def _place(series: _Series, line: bytearray) -> int:
    (row,) = csv.reader([line.decode()])
    text = row[series.place_column]
    return int(text) if text.isdecimal() else round(datetime.fromisoformat(text).timestamp() * 1000)
