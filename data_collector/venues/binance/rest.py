"""Binance's REST side: one client that knows the weights and obeys the limits.

https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md
On Binance none of these endpoints needs a key. Binance.US asks for one where trades are read by their ids; an endpoint
that has asked gets it, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import msgspec
from msgspec.structs import replace

from data_collector.model.errors import VenueRefused
from data_collector.model.records import Ticker
from data_collector.model.venue import KlinePage, RestOptions, SymbolRules, TradePage, TradePlace, TradesRefused
from data_collector.rest.budget import WeightBudget
from data_collector.rest.client import BareStatus, RestClient
from data_collector.rest.judging import ENDPOINT_STATUSES, Answer, Judgement, judged_by_status, page_told, shortened
from data_collector.venues.binance import rest_pages as pages
from data_collector.venues.binance.messages import ErrorBody
from data_collector.venues.binance.rest_budget import SYMBOLS_PER_CALL, WEIGHT_PER_MINUTE, tickers_weight
from data_collector.venues.binance.venue import HINT_451

KEY_REFUSED = frozenset({-2014, -2015})
"""No key was sent, or one that is not taken."""

CURE_UNSENT = "this exchange asks for an API key there: set BINANCE_API_KEY"
CURE_REFUSED = "the key in BINANCE_API_KEY is not taken: correct it, or its rights and addresses at the exchange"

PASSING = frozenset({-1000, -1001, -1003, -1006, -1007, -1008, -1015, -1016, -1034})
"""Codes of errors that pass, whatever the status: the exchange is busy, restarts, or does not know."""

OLD_TRADES = "/api/v3/historicalTrades"


class BinanceRest(RestClient):
    """The `ExchangeApi` of Binance spot. The symbol list, statistics and the clock are always urgent."""

    key_header = "X-MBX-APIKEY"

    def __init__(self, url: str, *, budget: WeightBudget | None = None, **options: Unpack[RestOptions]) -> None:
        self._weights = WeightBudget(WEIGHT_PER_MINUTE) if budget is None else budget
        super().__init__(url, self._weights, **options)
        self._known_ms = 0

    def judge(self, path: str, answer: Answer) -> Judgement:
        """What the exchange says of itself stands in its own error; what it counts, in a header."""
        used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "")
        judgement = self._judged(path, answer)
        return replace(judgement, used=int(used) if used.isascii() and used.isdigit() and len(used) < 10 else None)

    def _judged(self, path: str, answer: Answer) -> Judgement:
        status = answer.status
        if status == 200:
            return Judgement()
        error = _error_of(answer.body)
        judgement = judged_by_status(answer, _told(error, answer.body), HINT_451)
        asks_for_key = status == 401
        if judgement.meaning not in {"bare", "failed"} or error.code >= 0:
            return replace(judgement, asks_for_key=asks_for_key)
        if error.code in PASSING or not 400 <= status < 500:
            return replace(judgement, meaning="failed", asks_for_key=asks_for_key)
        wants_key = error.code in KEY_REFUSED or (status == 401 and path == OLD_TRADES)
        words = judgement.words
        if wants_key:
            words = f"{words}; {CURE_UNSENT if self._api_key is None else CURE_REFUSED}"
        return Judgement(
            "refused", words, asks_for_key=asks_for_key, wants_key=wants_key and path == OLD_TRADES,
            endpoint_wide=wants_key or status in ENDPOINT_STATUSES,
        )  # fmt: skip

    async def symbols(self) -> dict[str, SymbolRules]:
        """Weight 20."""
        query = {"showPermissionSets": "false"}
        listed = await self._get("/api/v3/exchangeInfo", query, 20, pages.ExchangeInfo)
        weight_per_minute = pages.weight_limit_of(listed)
        if weight_per_minute is not None:
            self._weights.learn_limit(weight_per_minute)
        return self._trusted(lambda: pages.symbols_of(listed))

    async def tickers(self, symbols: Sequence[str]) -> list[Ticker]:
        """See `tickers_weight`."""
        wanted, path = set(symbols), "/api/v3/ticker/24hr"
        if len(symbols) > 2 * SYMBOLS_PER_CALL:
            rows = await self._get(path, {}, tickers_weight(len(symbols)), list[pages.TickerRow])
            return pages.tickers_of(wanted, rows)
        tickers: list[Ticker] = []
        for start in range(0, len(symbols), SYMBOLS_PER_CALL):
            part = symbols[start : start + SYMBOLS_PER_CALL]
            query = {"symbols": msgspec.json.encode(list(part)).decode()}
            rows = await self._get(path, query, tickers_weight(len(part)), list[pages.TickerRow])
            tickers += pages.tickers_of(wanted, rows)
        return tickers

    async def heads(self, symbols: Sequence[str]) -> dict[str, int]:
        """None: tickers name the newest trade."""
        return {}

    async def server_time_ms(self) -> int:
        """Weight 1."""
        return await self._time_ms(urgent=True)

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        """Weight 25. https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#old-trade-lookup"""
        query = {"symbol": symbol, "fromId": str(from_id), "limit": str(limit)}
        try:
            rows = await self._get(OLD_TRADES, query, 25, list[pages.TradeRow], urgent=urgent)
        except (VenueRefused, BareStatus) as refusal:
            if isinstance(refusal, VenueRefused) and not refusal.endpoint_wide:
                raise
            return await self._newest_trades(symbol, from_id, limit, refusal, urgent=urgent)
        trades = self._trusted(lambda: pages.trades_of(symbol, from_id, limit, rows))
        return TradePage(trades, reaches_head=len(trades) < limit)

    async def _newest_trades(
        self, symbol: str, from_id: int, limit: int, refusal: VenueRefused | BareStatus, *, urgent: bool
    ) -> TradePage:
        """What can be had without a key, or where there are no trades by id: the newest 1,000."""
        query = {"symbol": symbol, "limit": str(pages.ROWS_MAX)}
        rows = await self._get("/api/v3/trades", query, 25, list[pages.TradeRow], urgent=urgent)
        trades = self._trusted(lambda: pages.trades_of(symbol, 0, pages.ROWS_MAX, rows))
        later = [trade for trade in trades if trade.trade_id >= from_id]
        page = TradePage(later[:limit], reaches_head=len(later) <= limit)
        if not trades or trades[0].trade_id <= from_id:
            return page
        raise TradesRefused(refusal, page) if isinstance(refusal, VenueRefused) else refusal

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        """Weight 4: aggregate trades can be asked for by time, and each names its first trade."""
        query = {"symbol": symbol, "startTime": str(since_ms), "limit": "1"}
        rows = await self._get("/api/v3/aggTrades", query, 4, list[pages.AggregateRow], urgent=urgent)
        return self._trusted(lambda: pages.first_trade_of(symbol, since_ms, rows))

    async def first_trade_ms(self, symbol: str) -> int | None:
        """Weight 4."""
        query = {"symbol": symbol, "fromId": "0", "limit": "1"}
        rows = await self._get("/api/v3/aggTrades", query, 4, list[pages.AggregateRow], urgent=False)
        return self._trusted(lambda: pages.first_trade_ms_of(symbol, rows))

    async def newest_trade_id(self, symbol: str) -> int | None:
        """Weight 25. https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#recent-trades-list"""
        query = {"symbol": symbol, "limit": "1"}
        rows = await self._get("/api/v3/trades", query, 25, list[pages.TradeRow], urgent=False)
        newest = self._trusted(lambda: pages.trades_of(symbol, 0, 1, rows))
        return newest[0].trade_id if newest else None

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        """Weight 2, and 1 for the exchange's clock: the last row may still be open. Not for rows of long ago."""
        span = (first_ms, last_ms)
        if not urgent and pages.page_end_ms(interval, first_ms) < self._known_ms:
            rows = await self._kline_rows(symbol, interval, span, urgent=urgent)
            if pages.all_closed(rows, self._known_ms):
                return self._trusted(lambda: pages.klines_of(symbol, interval, span, self._known_ms, rows))
        # The clock first: a row that was open when it was read may have ended when the clock is read.
        now_ms = await self._time_ms(urgent=urgent)
        rows = await self._kline_rows(symbol, interval, span, urgent=urgent)
        return self._trusted(lambda: pages.klines_of(symbol, interval, span, now_ms, rows))

    async def _kline_rows(
        self, symbol: str, interval: str, span: tuple[int, int], *, urgent: bool
    ) -> list[pages.KlineRow]:
        query = {
            "symbol": symbol, "interval": interval, "startTime": str(span[0]), "endTime": str(span[1]),
            "limit": str(pages.ROWS_MAX),
        }  # fmt: skip
        return await self._get("/api/v3/klines", query, 2, list[pages.KlineRow], urgent=urgent)

    async def _time_ms(self, *, urgent: bool) -> int:
        row = await self._get("/api/v3/time", {}, 1, pages.TimeRow, urgent=urgent)
        time_ms = self._trusted(lambda: pages.server_time_of(row))
        self._weights.learn_clock(time_ms / 1000)
        self._known_ms = time_ms
        return time_ms


def _told(error: ErrorBody, body: bytes) -> str:
    """The words that came with a status."""
    if error.msg:
        return f": {shortened(error.msg)} (code {error.code})"
    return page_told(body)


def _error_of(body: bytes) -> ErrorBody:
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorBody()
