"""Coinbase Exchange's REST side: trades below an id, the newest first; candles of 300 places; ten calls a second.

https://docs.cdp.coinbase.com/exchange/reference/exchangerestapi_getproducttrades and the pages beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import msgspec
from msgspec import Raw, Struct

from data_collector.decoding.texts import plain_digits
from data_collector.model.calendar import LENGTHS_MS
from data_collector.model.records import Kline, Ticker, Trade
from data_collector.model.venue import TRADING, KlinePage, RestOptions, SymbolRules
from data_collector.rest import pages
from data_collector.rest.budget import PacedBudget, RestBudget
from data_collector.rest.id_paged import IdPagedRest
from data_collector.rest.judging import ENDPOINT_STATUSES, Answer, Judgement, judged_by_status, page_told, shortened
from data_collector.venues.coinbase.codec import trade
from data_collector.venues.coinbase.messages import TradeBody
from data_collector.venues.coinbase.venue import PAUSE_S, VENUE

KLINES_MAX = VENUE.reach.klines_per_answer


class ErrorBody(Struct):
    """{"message":"NotFound"}"""

    message: str = ""


class Clock(Struct):
    """Of `time`, in seconds."""

    epoch: float


class Product(Struct):
    """Of `products`."""

    id: str
    base_currency: str
    quote_currency: str
    quote_increment: str = ""
    base_increment: str = ""
    status: str = "online"
    trading_disabled: bool = False
    cancel_only: bool = False
    post_only: bool = False
    auction_mode: bool = False


class Stats(Struct):
    """Of `stats`: 24 hours."""

    last: str
    open: str
    high: str
    low: str
    volume: str


KlineRow = tuple[int, Raw, Raw, Raw, Raw, Raw]
"""Open time in s, low, high, open, close, volume."""


class CoinbaseRest(IdPagedRest):
    """The `ExchangeApi` of Coinbase Exchange. Each call weighs 1."""

    def __init__(self, url: str, *, budget: RestBudget | None = None, **options: Unpack[RestOptions]) -> None:
        super().__init__(url, budget or PacedBudget(PAUSE_S), **options)
        self._known_ms = 0
        """The clock, when it was asked for last."""

    def judge(self, path: str, answer: Answer) -> Judgement:
        """What the exchange says of a question stands in its own error; without one it is not the exchange's."""
        words = _words_of(answer.body)
        judgement = judged_by_status(answer, f": {shortened(words)}" if words else page_told(answer.body))
        if not words or answer.status not in {400, *ENDPOINT_STATUSES}:
            return judgement
        # What is not found is a product.
        return Judgement("refused", judgement.words, endpoint_wide=answer.status not in {400, 404})

    async def symbols(self) -> dict[str, SymbolRules]:
        """One call."""
        products = await self._get("/products", {}, 1, list[Product])
        return self._trusted(lambda: pages.some_listed({product.id: _rules(product) for product in products}))

    async def tickers(self, symbols: Sequence[str]) -> list[Ticker]:
        """One call a symbol, and one for the clock: statistics tell no time."""
        time_ms = await self.server_time_ms()

        async def ask(symbol: str) -> Ticker:
            stats = await self._get(f"/products/{symbol}/stats", {}, 1, Stats)
            last, first, high, low = map(pages.price_of, (stats.last, stats.open, stats.high, stats.low))
            return Ticker(
                symbol=symbol, last_price=last, open_price=first, high_price=high, low_price=low, volume=stats.volume,
                event_ms=time_ms,
            )  # fmt: skip

        return list((await self._of_each(symbols, ask)).values())

    async def server_time_ms(self) -> int:
        """One call."""
        return await self._time_ms(urgent=True)

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        """One call for 300 places, and one for the clock where some may not be over."""
        step_ms = LENGTHS_MS[interval]
        first_ms = -(-first_ms // step_ms) * step_ms
        reach_ms = first_ms + (KLINES_MAX - 1) * step_ms
        until_ms = min(last_ms, reach_ms)
        if until_ms < first_ms:
            return KlinePage([], first_ms, until_ms, tells_quiet=False)
        if until_ms + step_ms + pages.CLOSED_MARGIN_MS >= self._known_ms:
            # The clock first: a row that was open when it was read may have ended when the clock is read.
            await self._time_ms(urgent=urgent)
        query = {
            "granularity": str(step_ms // 1000), "start": str(first_ms // 1000),
            # Whether what opens at `end` belongs to it is not told.
            "end": str(until_ms // step_ms * step_ms // 1000 + step_ms // 1000 - 1),
        }  # fmt: skip
        rows = await self._get(f"/products/{symbol}/candles", query, 1, list[KlineRow], urgent=urgent)
        reaches_ms = reach_ms if reach_ms < min(last_ms, self._known_ms) else None
        return self._trusted(lambda: _klines(symbol, interval, (first_ms, until_ms), self._known_ms, rows, reaches_ms))

    async def _time_ms(self, *, urgent: bool) -> int:
        told_s = (await self._get("/time", {}, 1, Clock, urgent=urgent)).epoch
        self._known_ms = self._trusted(lambda: pages.clock_ms(round(told_s * 1000)))
        return self._known_ms

    async def trades_below(self, symbol: str, until_id: int | None, count: int, *, urgent: bool) -> list[Trade]:
        """One call."""
        query = {"limit": str(count)} if until_id is None else {"limit": str(count), "after": str(until_id)}
        rows = await self._get(f"/products/{symbol}/trades", query, 1, list[TradeBody], urgent=urgent)
        return self._trusted(lambda: _trades(symbol, until_id, count, rows))


def _words_of(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=ErrorBody).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _rules(product: Product) -> SymbolRules:
    states = ("trading_disabled", "cancel_only", "post_only", "auction_mode")
    state = next((state for state in states if getattr(product, state)), product.status)
    return SymbolRules(
        product.id, TRADING if state == "online" else state.upper(), product.base_currency, product.quote_currency,
        pages.step_of(product.quote_increment), pages.step_of(product.base_increment),
    )  # fmt: skip


def _trades(symbol: str, until_id: int | None, count: int, rows: Sequence[TradeBody]) -> list[Trade]:
    asked = f"trades of {symbol}"
    pages.check_rows(asked, rows, count)
    try:
        page = [trade(symbol, row, 0) for row in reversed(rows)]
    except ValueError as error:
        raise pages.BadPage(f"{asked} came with a time that is none ({error})") from error
    pages.check_ids(asked, 0, (each.trade_id for each in page))
    if page and until_id is not None and page[-1].trade_id >= until_id:
        raise pages.BadPage(f"{asked} older than {until_id} came with {page[-1].trade_id}")
    return page


def _klines(
    symbol: str, interval: str, span: tuple[int, int], now_ms: int, rows: Sequence[KlineRow], reaches_ms: int | None
) -> KlinePage:
    asked = f"klines of {symbol} {interval}"
    try:
        klines = [_kline(symbol, interval, *row) for row in reversed(rows) if span[0] <= row[0] * 1000 <= span[1]]
    except ValueError as error:
        raise pages.BadPage(f"{asked} came with a number that is none ({error})") from error
    return pages.kline_page(asked, span, now_ms, klines, tells_quiet=False, reaches_ms=reaches_ms)


def _kline(symbol: str, interval: str, open_s: int, *told: Raw) -> Kline:
    low, high, first, last, volume = map(plain_digits, told)
    return pages.bare_kline(symbol, interval, open_s * 1000, (first, high, low, last), volume=volume, trades=None)
