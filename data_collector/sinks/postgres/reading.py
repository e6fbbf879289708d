"""Reading records from PostgreSQL, digits as they are stored, and finding what is missing.

In the SQL numbers come as their text, times as whole ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from data_collector.model.calendar import LATEST_MS, MINUTE_MS, Calendar, UtcCalendar
from data_collector.model.gaps import Gap
from data_collector.model.grid import IdGrid, KlineGrid, joined, unexplained
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Origin, Sourced, Trade, known_origin
from data_collector.model.sink import TRADE_EPOCHS
from data_collector.sinks.postgres.asking import AT_MS, OPEN_MS, Asking
from data_collector.sinks.postgres.copying import CopyForm, PostgresCopier

IDS_AT_ONCE = 2_000_000
"""How many trade ids one query is about: some seconds of a slow disk, where a year of trades would be hours."""

LATE_MS = MINUTE_MS
"""Trades stand in the order of their ids; so much can the time of one lie before that of the one before."""

_OPEN_MS = f"{OPEN_MS} as open_ms"

_KLINE = f"""{_OPEN_MS}, open::text, high::text, low::text, close::text, volume::text,
  trades, quote_volume::text, taker_buy_base_volume::text, taker_buy_quote_volume::text, source, warnings"""

_KLINE_RANGE = f"""exchange = $1 and symbol = $2 and interval = $3
  and "timestamp" >= {AT_MS.format("$4")} and "timestamp" < {AT_MS.format("$5")}"""

KLINES = f'select {_KLINE} from market_data_ohlcv where {_KLINE_RANGE} order by "timestamp" limit $6'  # noqa: S608

NEWEST_KLINES = f"""
select {_KLINE} from market_data_ohlcv where {_KLINE_RANGE} order by "timestamp" desc limit $6
"""  # noqa: S608

OPEN_TIMES = f'select {_OPEN_MS} from market_data_ohlcv where {_KLINE_RANGE} order by "timestamp"'  # noqa: S608

_SPAN_MS = '(extract(epoch from {}("timestamp")) * 1000)::bigint'

SPAN = f"""
select {_SPAN_MS.format("min")} as first, {_SPAN_MS.format("max")} as last
from market_data_ohlcv where exchange = $1 and symbol = $2 and interval = $3
  -- A program may have put a row at infinity, which is no number, or before any exchange.
  and "timestamp" >= '1900-01-01 00:00:00+00' and "timestamp" < '10000-01-01 00:00:00+00'
"""  # noqa: S608

_TRADE = """trade_id, (extract(epoch from "timestamp") * 1000000)::bigint as time_us, price::text, quantity::text,
  is_buyer_maker, buyer_order_id, seller_order_id, source, warnings"""

TRADES = f"""
select {_TRADE} from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 and trade_id >= $4
  and "timestamp" >= {AT_MS.format("$5")} and "timestamp" < {AT_MS.format("$6")}
order by trade_id limit $7
"""  # noqa: S608

TRADES_BY_ID = f"""
select {_TRADE} from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 and trade_id between $4 and $5 order by trade_id limit $6
"""  # noqa: S608

NEWEST_TRADES = f"""
select {_TRADE} from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 order by trade_id desc limit $4
"""  # noqa: S608

TRADE_FROM = f"""
select trade_id, floor(extract(epoch from "timestamp") * 1000)::bigint as time_ms from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3 and trade_id >= $4 and "timestamp" >= {AT_MS.format("$5")}
order by trade_id limit 1
"""  # noqa: S608

TRADE_SPAN = """
select min(trade_id) as first, max(trade_id) as last from market_data_trades
where exchange = $1 and symbol = $2 and epoch = $3
"""

EPOCHS_OF = f"""{TRADE_EPOCHS}
union select epoch from market_data_epochs where exchange = $1 and symbol = $2
order by epoch
"""  # noqa: S608

TRADE_HOLES = """
select before + 1 as first, trade_id - 1 as last from (
  select trade_id, lag(trade_id, 1, $4::bigint - 1) over (order by trade_id) as before from (
    select trade_id from market_data_trades
    where exchange = $1 and symbol = $2 and epoch = $3 and trade_id between $4::bigint and $5::bigint
    union all select $5::bigint + 1
  ) as ids
) as pairs
where trade_id > before + 1 order by trade_id
"""

GAPS = """
select first, last, count, reason, rules from market_data_gaps
where exchange = $1 and symbol = $2 and channel = $3 and interval = $4 and epoch = $5 order by first
"""

REFUSED = """
select key, rules from market_data_quarantine
where exchange = $1 and symbol = $2 and channel = $3 and interval = $4 and epoch = $5 and source = any($6::text[])
order by key
"""


class PostgresReader:
    """Reads records of one exchange. Ranges include their begin and exclude their end, in ms.

    Trades, and gaps in them, are those of one epoch: of the symbol's newest unless another was asked for (`in_epoch`).
    Methods raise `SinkUnavailable` and `Misconfigured`.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        exchange: str,
        *,
        place: str = "DATABASE_URL",
        calendar: Calendar | None = None,
        statement_timeout_s: float | None = None,
        epoch: int | None = None,
    ) -> None:
        """`place` is named in errors; the calendar tells when a kline closes.

        After `statement_timeout_s` the server itself ends a statement, also one whose reader has gone.
        """
        self._pool = pool
        self._exchange = exchange
        self._place = place
        self._statement_timeout_s = statement_timeout_s
        self._asking = Asking(pool, place, statement_timeout_s)
        self._calendar = UtcCalendar() if calendar is None else calendar
        self._epoch = epoch
        self._newest: dict[str, int] = {}

    def in_epoch(self, epoch: int) -> PostgresReader:
        """The same for trades of this epoch."""
        return PostgresReader(
            self._pool, self._exchange, place=self._place, calendar=self._calendar,
            statement_timeout_s=self._statement_timeout_s, epoch=epoch,
        )  # fmt: skip

    def copier(self, form: CopyForm) -> PostgresCopier:
        """For long stretches of the same rows."""
        return PostgresCopier(self._asking, self._exchange, form)

    async def epochs(self, symbol: str) -> list[int]:
        """Those of a symbol of which there is something, or was something known, rising; never empty."""
        rows = await self._asking.fetch(EPOCHS_OF, self._exchange, symbol)
        return [_number(row["epoch"]) for row in rows] or [0]

    async def epoch_of(self, symbol: str) -> int:
        """The one that is read; the newest is found once."""
        if self._epoch is not None:
            return self._epoch
        if symbol not in self._newest:
            self._newest[symbol] = (await self.epochs(symbol))[-1]
        return self._newest[symbol]

    async def epoch_of_series(self, key: Key) -> int:
        """Of klines it is always the first."""
        return await self.epoch_of(key.symbol) if key.channel == "trade" else 0

    async def klines(self, symbol: str, interval: str, from_ms: int, to_ms: int, limit: int) -> list[Kline]:
        """The first `limit` klines of the range, ascending."""
        return [each.record for each in await self.sourced_klines(symbol, interval, from_ms, to_ms, limit)]

    async def sourced_klines(
        self, symbol: str, interval: str, from_ms: int, to_ms: int, limit: int
    ) -> list[Sourced[Kline]]:
        """The same, and where each is from."""
        rows = await self._asking.fetch(KLINES, self._exchange, symbol, interval, from_ms, to_ms, limit)
        return [Sourced(self._kline(symbol, interval, row), _origin(row)) for row in rows]

    async def newest_klines(self, symbol: str, interval: str, limit: int) -> list[Sourced[Kline]]:
        """The last `limit` klines, ascending."""
        series = (self._exchange, symbol, interval)
        rows = await self._asking.fetch(NEWEST_KLINES, *series, 0, LATEST_MS + 1, limit)
        return [Sourced(self._kline(symbol, interval, row), _origin(row)) for row in reversed(rows)]

    async def trades(
        self, symbol: str, from_ms: int, to_ms: int, limit: int, *, after_id: int | None = None
    ) -> list[Trade]:
        """The first `limit` trades of the range in the order of their ids, those after `after_id` if it is given."""
        found = await self.sourced_trades(symbol, from_ms, to_ms, limit, after_id=after_id)
        return [each.record for each in found]

    async def sourced_trades(
        self, symbol: str, from_ms: int, to_ms: int, limit: int, *, after_id: int | None = None
    ) -> list[Sourced[Trade]]:
        """The same, and where each is from."""
        first = await self.first_id(symbol, from_ms)
        if first is None:
            return []
        if after_id is not None:
            first = max(first, after_id + 1)
        epoch = await self.epoch_of(symbol)
        rows = await self._asking.fetch(TRADES, self._exchange, symbol, epoch, first, from_ms, to_ms, limit)
        return [Sourced(_trade(symbol, row), _origin(row), epoch) for row in rows]

    async def trades_by_id(self, symbol: str, first_id: int, last_id: int, limit: int) -> list[Trade]:
        """The first `limit` trades of a closed range of ids."""
        return [each.record for each in await self.sourced_trades_by_id(symbol, first_id, last_id, limit)]

    async def sourced_trades_by_id(self, symbol: str, first_id: int, last_id: int, limit: int) -> list[Sourced[Trade]]:
        """The same, and where each is from."""
        epoch = await self.epoch_of(symbol)
        rows = await self._asking.fetch(TRADES_BY_ID, self._exchange, symbol, epoch, first_id, last_id, limit)
        return [Sourced(_trade(symbol, row), _origin(row), epoch) for row in rows]

    async def newest_trades(self, symbol: str, limit: int) -> list[Sourced[Trade]]:
        """The last `limit` trades, ascending."""
        epoch = await self.epoch_of(symbol)
        rows = await self._asking.fetch(NEWEST_TRADES, self._exchange, symbol, epoch, limit)
        return [Sourced(_trade(symbol, row), _origin(row), epoch) for row in reversed(rows)]

    async def open_times(self, symbol: str, interval: str, from_ms: int, to_ms: int) -> list[int]:
        """Open times of all klines of the range, ascending."""
        rows = await self._asking.fetch(OPEN_TIMES, self._exchange, symbol, interval, from_ms, to_ms)
        return [_number(row["open_ms"]) for row in rows]

    async def kline_holes(
        self,
        symbol: str,
        interval: str,
        from_ms: int,
        to_ms: int,
        calendar: Calendar,
        *,
        with_absent: bool = False,
    ) -> list[tuple[int, int]]:
        """First and last missing open time of each hole, `with_absent` or without those that the exchange lacks.

        `from_ms` must be an open time. Years of minutes are half a million numbers: ask for a year at a time.
        """
        grid = KlineGrid(calendar, interval)
        stored = await self.open_times(symbol, interval, from_ms, to_ms)
        absent = [] if with_absent else await self._absent(Key("kline", symbol, interval))
        holes: list[tuple[int, int]] = []
        expected = from_ms
        for open_ms in [*stored, to_ms]:
            if expected < open_ms:
                last, _ = grid.span(expected, open_ms)
                if open_ms != to_ms and grid.following(last) != open_ms:
                    # A row that a program of the user's put beside the grid is no kline and moves none.
                    continue
                holes += unexplained(grid, expected, open_ms, absent)
                expected = open_ms
            if expected == open_ms:
                expected = grid.following(open_ms)
        return holes

    async def trade_holes(
        self, symbol: str, first_id: int, last_id: int, *, with_absent: bool = False
    ) -> list[tuple[int, int]]:  # fmt: skip
        """First and last missing id of each hole of a closed range; absent ids are none unless `with_absent`."""
        absent, grid = [] if with_absent else await self._absent(Key("trade", symbol)), IdGrid()
        epoch = await self.epoch_of(symbol)
        found: list[tuple[int, int]] = []
        for begin in range(first_id, last_id + 1, IDS_AT_ONCE):
            end = min(last_id, begin + IDS_AT_ONCE - 1)
            rows = await self._asking.fetch(TRADE_HOLES, self._exchange, symbol, epoch, begin, end)
            found += [(_number(row["first"]), _number(row["last"])) for row in rows]
        return [hole for first, last in joined(grid, found) for hole in unexplained(grid, first, last + 1, absent)]

    async def span(self, symbol: str, interval: str) -> tuple[int, int] | None:
        """First and last open time stored; None when there is no kline."""
        return await self._span(SPAN, symbol, interval)

    async def trade_span(self, symbol: str) -> tuple[int, int] | None:
        """First and last trade id stored; None when there is no trade."""
        return await self._span(TRADE_SPAN, symbol, await self.epoch_of(symbol))

    async def gaps(self, key: Key) -> list[Gap]:
        """What was recorded as missing, ascending."""
        epoch = await self.epoch_of_series(key)
        rows = await self._asking.fetch(GAPS, self._exchange, key.symbol, key.channel, key.interval or "", epoch)
        return [msgspec.convert(dict(zip(row.keys(), row, strict=True)), Gap) for row in rows]

    async def ping(self) -> None:
        """Ask for nothing."""
        await self._asking.fetch("select")

    async def refused(self, key: Key, sources: Sequence[str]) -> list[Gap]:
        """Places of which quarantine keeps what one of these sources gave, ascending."""
        epoch = await self.epoch_of_series(key)
        series = (self._exchange, key.symbol, key.channel, key.interval or "", epoch)
        rows = await self._asking.fetch(REFUSED, *series, list(sources))
        return [
            Gap(_number(row["key"]), _number(row["key"]), 1, "refused", msgspec.convert(row["rules"], tuple[str, ...]))
            for row in rows
        ]

    async def _absent(self, key: Key) -> list[Gap]:
        return [gap for gap in await self.gaps(key) if gap.reason == "absent"]

    async def first_id(self, symbol: str, from_ms: int) -> int | None:
        """The first stored id whose trade is not before `from_ms`, or the one behind the last; None without trades.

        Ids are what is indexed, so halving finds one before which nothing can be that late; it lies close before it.
        """
        span = await self.trade_span(symbol)
        if span is None:
            return None
        low, high, epoch = span[0], span[1] + 1, await self.epoch_of(symbol)
        async with self._asking.transaction() as connection:
            while low < high:
                middle = (low + high) // 2
                row = await connection.fetchrow(TRADE_FROM, self._exchange, symbol, epoch, middle, 0)
                if row is None or _number(row["time_ms"]) >= from_ms - LATE_MS:
                    high = middle
                else:
                    low = _number(row["trade_id"]) + 1
            row = await connection.fetchrow(TRADE_FROM, self._exchange, symbol, epoch, low, from_ms)
        return span[1] + 1 if row is None else _number(row["trade_id"])

    async def _span(self, query: str, *arguments: object) -> tuple[int, int] | None:
        row = (await self._asking.fetch(query, self._exchange, *arguments))[0]
        return None if row["first"] is None else (_number(row["first"]), _number(row["last"]))

    def _kline(self, symbol: str, interval: str, row: asyncpg.Record) -> Kline:
        open_ms = _number(row["open_ms"])
        close_ms = self._calendar.next_open_ms(interval, open_ms) - 1
        return Kline(
            symbol=symbol,
            interval=interval,
            open_ms=open_ms,
            close_ms=close_ms,
            open=str(row["open"]),
            high=str(row["high"]),
            low=str(row["low"]),
            close=str(row["close"]),
            volume=str(row["volume"]),
            quote_volume=_told(row["quote_volume"]),
            taker_buy_base_volume=_told(row["taker_buy_base_volume"]),
            taker_buy_quote_volume=_told(row["taker_buy_quote_volume"]),
            trades=_number_told(row["trades"]),
            is_closed=True,
            event_ms=close_ms,
        )


def _trade(symbol: str, row: asyncpg.Record) -> Trade:
    time_us = _number(row["time_us"])
    time_ms, sub_ms_us = divmod(time_us, 1000)
    maker = row["is_buyer_maker"]
    return Trade(
        symbol=symbol,
        trade_id=_number(row["trade_id"]),
        price=str(row["price"]),
        quantity=str(row["quantity"]),
        time_ms=time_ms,
        event_ms=time_ms,
        is_buyer_maker=None if maker is None else bool(maker),
        buyer_order_id=_number_told(row["buyer_order_id"]),
        seller_order_id=_number_told(row["seller_order_id"]),
        # Whether the source spoke milliseconds or its microseconds were zero cannot be told apart any more.
        sub_ms_us=sub_ms_us or None,
    )


def _origin(row: asyncpg.Record) -> Origin:
    warnings = row["warnings"]
    return known_origin(row["source"], warnings if isinstance(warnings, list) else ())


def _told(value: object) -> str | None:
    return None if value is None else str(value)


def _number_told(value: object) -> int | None:
    return None if value is None else _number(value)


def _number(value: object) -> int:
    assert isinstance(value, int), "the query makes it a bigint"
    return value
