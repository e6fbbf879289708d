"""Binance's REST side: one client that knows the weights and obeys the limits.

https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md
On Binance none of these endpoints needs a key. Binance.US asks for one where trades are read by their ids; an endpoint
that has asked gets it, and no other.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from data_collector.model.backoff import RepeatedAnswer
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Ticker
from data_collector.model.venue import Counts, KlinePage, SymbolRules, TradePage, TradePlace, TradesRefused
from data_collector.observe.counters import Counters
from data_collector.observe.escaping import escaped
from data_collector.outgoing import UNREACHED, open_session, reason_of
from data_collector.venues.binance import rest_pages as pages
from data_collector.venues.binance.messages import ErrorBody
from data_collector.venues.binance.rest_budget import SYMBOLS_PER_CALL, RestBudget, tickers_weight

TIMEOUT_S = 10.0
"""The exchange's own limit for an answer."""

BODY_BYTES_MAX = 64 * 1024 * 1024
"""exchangeInfo of every symbol is the largest answer, some 10 MiB."""

DEFAULT_WAIT_S = 60.0
"""After 429 and 418 without Retry-After: the rest of a minute at most."""

WAIT_S_MIN = 1.0
"""Whoever is told to wait and goes on at once is banned for longer, even if the time told was nothing."""

HINT_451 = (
    "Binance does not serve this place. From the United States set BINANCE_WS_URL=wss://stream.binance.us:9443 and "
    "BINANCE_REST_URL=https://api.binance.us; elsewhere wss://data-stream.binance.vision and "
    "https://data-api.binance.vision serve market data only"
)

KEY_HEADER = "X-MBX-APIKEY"
KEY_REFUSED = frozenset({-2014, -2015})
"""No key was sent, or one that is not taken."""

CURE_UNSENT = "this exchange asks for an API key there: set BINANCE_API_KEY"
CURE_REFUSED = "the key in BINANCE_API_KEY is not taken: correct it, or its rights and addresses at the exchange"

PASSING = frozenset({-1000, -1001, -1003, -1006, -1007, -1008, -1015, -1016, -1034})
"""Codes of errors that pass, whatever the status: the exchange is busy, restarts, or does not know."""

ENDPOINT_STATUSES = frozenset({401, 404, 405, 410})
"""Nobody may ask that endpoint, or there is none: hosts for market data alone have no trades by id.

Without the exchange's own error a proxy may have answered, or a host that is just being renewed: that passes.
"""

OLD_TRADES = "/api/v3/historicalTrades"

SHOWN_CHARACTERS = 120
"""Of what came instead of an error of the exchange."""

_TAG = re.compile("<[^<>]*>")

UNSERVED_S = 3600.0
"""After 451."""

Body = TypeVar("Body")
Made = TypeVar("Made")


class _Answer(Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes


class _BareStatus(VenueUnreachable):
    """A status that is final when it comes again and again, and may pass."""


class BinanceRest:
    """The `ExchangeApi` of Binance spot.

    `urgent` calls repair the live feed and may use the whole of our share of the weight; the others, which catch up
    with the past, half of it. The symbol list, statistics and the clock are always urgent.
    """

    def __init__(
        self, url: str, *, use_proxy: bool = False, counters: Counts | None = None, budget: RestBudget | None = None,
        api_key: str | None = None,
    ) -> None:  # fmt: skip
        self._base_url = url
        self._api_key = api_key
        self._keyed: set[str] = set()
        """Paths that have asked for a key."""
        self._key_wanted: str | None = None
        self._bare: dict[str, RepeatedAnswer] = {}
        """By path: those of `ENDPOINT_STATUSES`."""
        self._use_proxy = use_proxy
        self._counters = Counters() if counters is None else counters
        self._budget = RestBudget() if budget is None else budget
        self._session: aiohttp.ClientSession | None = None
        self._known_ms = 0

    @property
    def key_wanted(self) -> str | None:
        """What was answered where trades by their ids were asked for without the right key, and the cure."""
        return self._key_wanted

    @property
    def background_weight_per_minute(self) -> int:
        """Half of our share of what the exchange allows."""
        return self._budget.background_weight

    @property
    def weight_used(self) -> int:
        """What the exchange counted in this minute, for all of this address, and what is under way."""
        return self._budget.used

    async def symbols(self) -> dict[str, SymbolRules]:
        """Weight 20."""
        query = {"showPermissionSets": "false"}
        listed = await self._get("/api/v3/exchangeInfo", query, 20, pages.ExchangeInfo)
        weight_per_minute = pages.weight_limit_of(listed)
        if weight_per_minute is not None:
            self._budget.learn_limit(weight_per_minute)
        return pages.symbols_of(listed)

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
        except (VenueRefused, _BareStatus) as refusal:
            if isinstance(refusal, VenueRefused) and not refusal.endpoint_wide:
                raise
            return await self._newest_trades(symbol, from_id, limit, refusal, urgent=urgent)
        trades = self._trusted(lambda: pages.trades_of(symbol, from_id, limit, rows))
        return TradePage(trades, reaches_head=len(trades) < limit)

    async def _newest_trades(
        self, symbol: str, from_id: int, limit: int, refusal: VenueRefused | _BareStatus, *, urgent: bool
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

    async def close(self) -> None:
        """Release the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _time_ms(self, *, urgent: bool) -> int:
        row = await self._get("/api/v3/time", {}, 1, pages.TimeRow, urgent=urgent)
        time_ms = self._trusted(lambda: pages.server_time_of(row))
        self._budget.learn_clock(time_ms / 1000)
        self._known_ms = time_ms
        return time_ms

    def _trusted(self, make: Callable[[], Made]) -> Made:
        try:
            return make()
        except pages.BadPage:
            self._counters.add("data_collector_rest_bad_pages_total")
            raise

    async def _get(
        self, path: str, query: Mapping[str, str], weight: int, kind: type[Body], *, urgent: bool = True
    ) -> Body:
        async with self._budget.passage(weight, urgent=urgent) as passage:
            # Others that ask meanwhile may learn first that the path wants it.
            key = self._api_key if path in self._keyed else None
            answer = await self._ask(path, query, key)
            used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "")
            passage.used = int(used) if used.isascii() and used.isdigit() and len(used) < 10 else None
            asks_for_key = answer.status == 401 and key is None and self._api_key is not None
            if answer.status != 200 and not asks_for_key:
                # Told to the budget before this place is given to another request.
                raise self._refusal(path, answer)
        if asks_for_key:
            self._keyed.add(path)
            return await self._get(path, query, weight, kind, urgent=urgent)
        try:
            body = msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._count("malformed")
            raise VenueUnreachable(f"{path} was answered with something else ({error})") from error
        self._bare.pop(path, None)
        if path == OLD_TRADES:
            self._key_wanted = None
        self._count("ok")
        self._budget.all_is_well()
        return body

    async def _ask(self, path: str, query: Mapping[str, str], key: str | None) -> _Answer:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = open_session(self._base_url, use_proxy=self._use_proxy, timeout=timeout)
        try:
            headers = None if key is None else {KEY_HEADER: key}
            request = self._session.get(self._base_url + path, params=query, headers=headers, allow_redirects=False)
            async with request as response:
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > BODY_BYTES_MAX:
                        self._count("malformed")
                        raise VenueUnreachable(f"{path} was answered with more than {BODY_BYTES_MAX} bytes")
                return _Answer(response.status, response.headers, bytes(body))
        except TimeoutError as error:
            self._count("timeout")
            raise VenueUnreachable(f"{self._base_url} did not answer within {TIMEOUT_S:g} s") from error
        except UNREACHED as error:
            self._count("unreachable")
            raise VenueUnreachable(f"{self._base_url} cannot be reached ({reason_of(error)})") from error

    def _count(self, outcome: str) -> None:
        self._counters.add("data_collector_rest_requests_total", outcome=outcome)

    def _refusal(self, path: str, answer: _Answer) -> VenueRefused | VenueUnreachable:
        status, error = answer.status, _error_of(answer.body)
        reason = f"{path} was answered with HTTP {status}{_told(error, answer.body)}"
        if status == 451:
            reason = f"{reason}. {HINT_451}"
        wait_s = _retry_after_s(answer.headers.get("Retry-After", ""))
        is_bare = status in ENDPOINT_STATUSES and error.code >= 0
        if not is_bare:
            self._bare.pop(path, None)
        if status in {418, 429}:
            self._count("banned" if status == 418 else "limited")
            return self._blocked(reason, DEFAULT_WAIT_S if wait_s is None else max(wait_s, WAIT_S_MIN))
        if status == 451:
            # Waiting changes nothing about where we are; once an hour shows whether somebody has.
            self._count("unserved")
            return self._blocked(reason, UNSERVED_S)
        if status == 403:
            self._count("forbidden")
            return self._blocked(reason, self._budget.back_off(reason) if wait_s is None else wait_s)
        if is_bare:
            is_final = self._bare.setdefault(path, RepeatedAnswer()).note(time.monotonic())
        else:
            is_final = 400 <= status < 500 and error.code < 0 and error.code not in PASSING
        if is_final:
            self._count("refused")
            return self._refused(path, status, error.code, reason)
        self._count("failed")
        if wait_s is not None:
            return self._blocked(reason, wait_s)
        return _BareStatus(reason) if is_bare else VenueUnreachable(reason)

    def _refused(self, path: str, status: int, code: int, reason: str) -> VenueRefused:
        if code >= 0:
            return VenueRefused(f"{reason}, again and again", endpoint_wide=True)
        wants_key = code in KEY_REFUSED or (status == 401 and path == OLD_TRADES)
        if wants_key:
            reason = f"{reason}; {CURE_UNSENT if self._api_key is None else CURE_REFUSED}"
        if wants_key and path == OLD_TRADES:
            self._key_wanted = reason
        return VenueRefused(reason, endpoint_wide=wants_key or status in ENDPOINT_STATUSES)

    def _blocked(self, reason: str, wait_s: float) -> VenueUnreachable:
        self._budget.block(wait_s, reason)
        self._counters.set("data_collector_rest_banned_until_seconds", self._budget.blocked_until_s)
        return VenueUnreachable(reason, retry_after_s=wait_s)


def _told(error: ErrorBody, body: bytes) -> str:
    """The words that came with a status."""
    if error.msg:
        return f": {_shortened(error.msg)} (code {error.code})"
    words = _shortened(_TAG.sub(" ", body[: 10 * SHOWN_CHARACTERS].decode(errors="replace")))
    return f": {words}" if words else ""


def _shortened(text: str) -> str:
    words = " ".join(text[: 10 * SHOWN_CHARACTERS].split())
    return escaped(words if len(words) <= SHOWN_CHARACTERS else f"{words[:SHOWN_CHARACTERS]}…")


def _error_of(body: bytes) -> ErrorBody:
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorBody()


def _retry_after_s(text: str) -> float | None:
    """Seconds, or a date; None when there is neither."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
