"""Kraken's REST side: errors come in answers with status 200, trades are asked for by time, one call a second.

https://docs.kraken.com/api/docs/guides/spot-rest-intro and https://docs.kraken.com/api/docs/rest-api/get-recent-trades
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar, Unpack

import msgspec
from msgspec import Struct

from data_collector.model.calendar import LENGTHS_MS, MINUTE_MS
from data_collector.model.records import Ticker, Trade
from data_collector.model.venue import KlinePage, RestOptions, SymbolRules
from data_collector.rest import pages
from data_collector.rest.budget import PacedBudget, RestBudget
from data_collector.rest.judging import Answer, Judgement, Meaning, judged_by_status, page_told, shortened
from data_collector.rest.time_paged import TimePagedRest
from data_collector.rest.time_paging import TimedPage
from data_collector.venues.kraken.venue import PAUSE_S

ERRORS: tuple[tuple[str, Meaning, float | None], ...] = (
    ("Rate limit exceeded", "limited", 5.0), ("Too many requests", "limited", 5.0),
    ("Temporary lockout", "banned", 900.0), ("EQuery:", "refused", None), ("Invalid arguments", "refused", None),
    ("Unknown method", "refused", None), ("Permission denied", "refused", None),
)  # fmt: skip
"""What they mean by a part of them, and the wait; all others pass: it is busy, restarts, or does not know."""

V1_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
"""The symbol list has names of the older protocol."""

Result = TypeVar("Result")

_THROTTLED_UNTIL = re.compile(r"Throttled: *([0-9]{1,11})")


class Answered(Struct, Generic[Result]):
    """{"error":[],"result":…}"""

    result: Result


class Errors(Struct):
    """{"error":["EQuery:Unknown asset pair"]}; what begins with a W is a warning."""

    error: list[str] = []


class Clock(Struct):
    """Of `Time`."""

    unixtime: int


class Pair(Struct):
    """Of `AssetPairs`; those that are traded in the dark have no `wsname`."""

    altname: str
    pair_decimals: int
    lot_decimals: int
    wsname: str = ""
    tick_size: str = ""
    status: str = "online"

    @property
    def symbol(self) -> str:
        """`XBT/USD` is BTC/USD."""
        return "/".join(V1_NAMES.get(part, part) for part in self.wsname.split("/"))


class TickerRow(Struct):
    """Of `Ticker`: lists end with the last 24 hours, or with a quantity."""

    a: tuple[str, str, str]
    b: tuple[str, str, str]
    c: tuple[str, str]
    v: tuple[str, str]
    p: tuple[str, str]
    t: tuple[int, int]
    l: tuple[str, str]  # noqa: E741
    h: tuple[str, str]


TradeRow = tuple[str, str, float, str, str, str, int]
"""Price, quantity, time in s, `b` or `s` of the taker, two more words, id."""

KlineRow = tuple[int, str, str, str, str, str, str, int]
"""Open time in s, open, high, low, close, vwap, volume, trades."""


class KrakenRest(TimePagedRest):
    """The `ExchangeApi` of Kraken spot. Each call weighs 1."""

    def __init__(self, url: str, *, budget: RestBudget | None = None, **options: Unpack[RestOptions]) -> None:
        super().__init__(url, budget or PacedBudget(PAUSE_S), **options)
        self._names: dict[str, tuple[str, ...]] = {}
        """By symbol: how it is asked for, and how answers may call it."""
        self._listing = asyncio.Lock()

    def judge(self, path: str, answer: Answer) -> Judgement:
        """Another status than 200 does not come from the exchange."""
        if answer.status != 200:
            return judged_by_status(answer, page_told(answer.body))
        try:
            told = msgspec.json.decode(answer.body, type=Errors).error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Judgement()
        errors = [error for error in told if not error.startswith("W")]
        return _judged("; ".join(errors)) if errors else Judgement()

    async def symbols(self) -> dict[str, SymbolRules]:
        """One call."""
        pairs = (await self._get("/0/public/AssetPairs", {}, 1, Answered[dict[str, Pair]])).result
        listed = self._trusted(
            lambda: pages.some_listed({pair.symbol: _rules(pair) for pair in pairs.values() if pair.wsname})
        )
        self._names = {
            pair.symbol: (pair.altname, name, pair.symbol, pair.wsname) for name, pair in pairs.items() if pair.wsname
        }
        return listed

    async def tickers(self, symbols: Sequence[str]) -> list[Ticker]:
        """One call, and one for the clock: statistics tell no time."""
        known, time_ms = await self._listed(), await self.server_time_ms() // 1000 * 1000
        names = {symbol: known[symbol] for symbol in symbols if symbol in known}
        query = {"pair": ",".join(each[0] for each in names.values())}
        rows = (await self._get("/0/public/Ticker", query, 1, Answered[dict[str, TickerRow]])).result if names else {}
        found = ((symbol, next((rows[name] for name in each if name in rows), None)) for symbol, each in names.items())
        return [_ticker(symbol, row, time_ms) for symbol, row in found if row is not None]

    async def server_time_ms(self) -> int:
        """It is told in whole seconds: the middle of one is as near as it can be had."""
        told_s = (await self._get("/0/public/Time", {}, 1, Answered[Clock])).result.unixtime
        return self._trusted(lambda: pages.clock_ms(told_s * 1000 + 500))

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        """One call, for the newest 720 at most, however long ago is asked for."""
        minutes = LENGTHS_MS[interval] // MINUTE_MS
        query = {"pair": await self._pair(symbol), "interval": str(minutes), "since": str(max(first_ms // 1000 - 1, 0))}
        kind = Answered[dict[str, list[KlineRow] | int]]
        result = (await self._get("/0/public/OHLC", query, 1, kind, urgent=urgent)).result
        names = self._names.get(symbol, (symbol,))
        return self._trusted(lambda: _klines(symbol, interval, (first_ms, last_ms), names, result))

    async def trades_since(self, symbol: str, since_ns: int | None, count: int, *, urgent: bool) -> TimedPage:
        """One call."""
        query = {"pair": await self._pair(symbol), "count": str(count)}
        if since_ns is not None:
            query["since"] = str(since_ns)
        kind = Answered[dict[str, list[TradeRow] | str]]
        result = (await self._get("/0/public/Trades", query, 1, kind, urgent=urgent)).result
        names = self._names.get(symbol, (symbol,))
        return self._trusted(lambda: _trades(symbol, count, names, result))

    async def _listed(self) -> Mapping[str, tuple[str, ...]]:
        async with self._listing:
            if not self._names:
                await self.symbols()
        return self._names

    async def _pair(self, symbol: str) -> str:
        """One that is not listed is asked for as it is, and refused by the exchange."""
        return (await self._listed()).get(symbol, (symbol,))[0]


def _judged(error: str) -> Judgement:
    throttled = _THROTTLED_UNTIL.search(error)
    if throttled is not None:
        return Judgement("limited", shortened(error), max(0.0, int(throttled[1]) - time.time()))
    meaning, wait_s = next(((meaning, wait_s) for part, meaning, wait_s in ERRORS if part in error), ("failed", None))
    return Judgement(meaning, shortened(error), wait_s)


def _rules(pair: Pair) -> SymbolRules:
    base, _, quote = pair.symbol.partition("/")
    status = "TRADING" if pair.status in {"online", "limit_only", "reduce_only"} else pair.status.upper()
    tick_size = pages.step_of(pair.tick_size) or pages.step_of(f"1e-{pair.pair_decimals}")
    return SymbolRules(pair.symbol, status, base, quote, tick_size, pages.step_of(f"1e-{pair.lot_decimals}"))


def _ticker(symbol: str, row: TickerRow, time_ms: int) -> Ticker:
    texts = (row.p[1], row.c[0], row.b[0], row.a[0], row.h[1], row.l[1])
    average, last, bid, ask, high, low = map(pages.price_of, texts)
    return Ticker(
        symbol=symbol, weighted_avg_price=average, last_price=last, last_qty=row.c[1], bid_price=bid, bid_qty=row.b[2],
        ask_price=ask, ask_qty=row.a[2], high_price=high, low_price=low, volume=row.v[1], count=row.t[1],
        event_ms=time_ms,
    )  # fmt: skip


def _trades(symbol: str, count: int, names: Collection[str], result: Mapping[str, list[TradeRow] | str]) -> TimedPage:
    asked, last = f"trades of {symbol}", result.get("last")
    rows = pages.only_rows(asked, names, result)
    pages.check_rows(asked, rows, count)
    pages.check_ids(asked, 0, (row[-1] for row in rows))
    if not isinstance(last, str) or not last.isdecimal() or len(last) > 19:
        raise pages.BadPage(f"{asked} end with {last!r}")
    return TimedPage([_trade(symbol, *row) for row in rows], int(last), is_full=len(rows) == count)


def _trade(symbol: str, price: str, quantity: str, time_s: float, side: str, _: str, __: str, trade_id: int) -> Trade:
    # Finer digits are cut off, as on the stream; the float is off by up to 0.12 µs.
    second = int(time_s)
    time_ms, sub_ms_us = divmod(second * 1_000_000 + int((time_s - second) * 1e6 + 0.12), 1000)
    return Trade(symbol, trade_id, price, quantity, time_ms, time_ms, side == "s", sub_ms_us=sub_ms_us)


def _klines(
    symbol: str, interval: str, span: tuple[int, int], names: Collection[str],
    result: Mapping[str, list[KlineRow] | int],
) -> KlinePage:  # fmt: skip
    """Rows come of any age; `last` is the newest that is final, and after it one runs."""
    asked, last_s, step_ms = f"klines of {symbol} {interval}", result.get("last"), LENGTHS_MS[interval]
    rows = pages.only_rows(asked, names, result)
    if not isinstance(last_s, int):
        raise pages.BadPage(f"{asked} end with {last_s!r}")
    closed_ms = min(last_s * 1000 + step_ms, rows[-1][0] * 1000) if rows else 0
    within = (
        pages.bare_kline(symbol, interval, row[0] * 1000, row[1:5], volume=row[6], trades=row[7])
        for row in rows if span[0] <= row[0] * 1000 <= span[1]
    )  # fmt: skip
    return pages.kline_page(asked, span, closed_ms + pages.CLOSED_MARGIN_MS, within)
