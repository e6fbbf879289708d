"""Binance's REST side: one client that knows the weights and obeys the limits.

https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md
None of these endpoints needs a key, and none gets one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TypeVar

import aiohttp
import msgspec
import msgspec.structs
from msgspec import Struct

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.protocols import SymbolRules
from data_collector.model.records import Kline, Ticker, Trade

TIMEOUT_S = 10.0
"""The exchange's own limit for an answer."""

BODY_BYTES_MAX = 64 * 1024 * 1024
"""exchangeInfo of every symbol is the largest answer, some 10 MiB."""

WEIGHT_PER_MINUTE = 6000
WEIGHT_SHARE = 0.9
"""We stop here, so that what others on this address use does not bring a ban upon us."""

SYMBOLS_PER_CALL = 100
"""Weight 40 for 100 symbols; above that a call costs 80, as much as for all of them."""

HINT_451 = (
    "Binance does not serve this place. From the United States set BINANCE_WS_URL=wss://stream.binance.us:9443 and "
    "BINANCE_REST_URL=https://api.binance.us; elsewhere wss://data-stream.binance.vision and "
    "https://data-api.binance.vision serve market data only"
)


class _ErrorBody(Struct):
    code: int = 0
    msg: str = ""


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


class _ExchangeInfo(Struct):
    symbols: list[_Symbol]


class _Time(Struct):
    serverTime: int  # noqa: N815


class _Ticker(Struct, rename="camel"):
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


class _Trade(Struct, rename="camel"):
    """A row of `/api/v3/historicalTrades`."""

    id: int
    price: str
    qty: str
    time: int
    is_buyer_maker: bool


class _AggregateTrade(Struct):
    """A row of `/api/v3/aggTrades`: only the id of its first trade is of use."""

    f: int


_KlineRow = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
"""Open time, open, high, low, close, volume, close time, quote volume, trades, taker volumes, unused."""

CLOSED_MARGIN_MS = 1000
"""A kline whose end is younger may still change: the exchange's parts do not share one clock."""

Body = TypeVar("Body")


class BinanceHistory:
    """The `History` of Binance spot."""

    def __init__(self, base_url: str, *, use_proxy: bool = False) -> None:
        self._base_url = base_url
        self._use_proxy = use_proxy
        self._session: aiohttp.ClientSession | None = None
        self._blocked_until_s = 0.0
        self._turn = asyncio.Lock()
        self.weight_used = 0
        """What the exchange counted in this minute, for all of this address."""

    async def symbols(self) -> dict[str, SymbolRules]:
        """Weight 20."""
        listed = await self._get("/api/v3/exchangeInfo", {"showPermissionSets": "false"}, 20, _ExchangeInfo)
        return {item.symbol: _symbol_rules(item) for item in listed.symbols}

    async def tickers(self, symbols: Sequence[str]) -> list[Ticker]:
        """Weight 2 for up to 20 symbols, 40 for up to 100, 80 for all that are listed, whichever is least."""
        if len(symbols) > 2 * SYMBOLS_PER_CALL:
            wanted = set(symbols)
            rows = await self._get("/api/v3/ticker/24hr", {}, 80, list[_Ticker])
            return [_ticker(row) for row in rows if row.symbol in wanted]
        tickers: list[Ticker] = []
        for start in range(0, len(symbols), SYMBOLS_PER_CALL):
            part = symbols[start : start + SYMBOLS_PER_CALL]
            names = msgspec.json.encode(list(part)).decode()
            weight = 2 if len(part) <= 20 else 40
            rows = await self._get("/api/v3/ticker/24hr", {"symbols": names}, weight, list[_Ticker])
            tickers += map(_ticker, rows)
        return tickers

    async def server_time_ms(self) -> int:
        """Weight 1."""
        return (await self._get("/api/v3/time", {}, 1, _Time)).serverTime

    async def trades(self, symbol: str, from_id: int, *, limit: int = 1000) -> list[Trade]:
        """Weight 25. https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#old-trade-lookup"""
        query = {"symbol": symbol, "fromId": str(from_id), "limit": str(limit)}
        rows = await self._get("/api/v3/historicalTrades", query, 25, list[_Trade])
        before = from_id - 1
        for row in rows:
            if row.id <= before:
                raise VenueUnreachable(f"trades of {symbol} from {from_id} came as {row.id} after {before}")
            before = row.id
        return [Trade(symbol, row.id, row.price, row.qty, row.time, row.time, row.is_buyer_maker) for row in rows]

    async def first_trade_id(self, symbol: str, since_ms: int) -> int | None:
        """Weight 4: aggregate trades can be asked for by time, and each names its first trade."""
        query = {"symbol": symbol, "startTime": str(since_ms), "limit": "1"}
        rows = await self._get("/api/v3/aggTrades", query, 4, list[_AggregateTrade])
        return rows[0].f if rows else None

    async def klines(self, symbol: str, interval: str, first_ms: int, last_ms: int) -> list[Kline]:
        """Weight 2, and 1 for the exchange's clock: the last row may still be open."""
        now_ms = await self.server_time_ms()
        query = {
            "symbol": symbol, "interval": interval, "startTime": str(first_ms), "endTime": str(last_ms), "limit": "1000",
        }  # fmt: skip
        rows = await self._get("/api/v3/klines", query, 2, list[_KlineRow])
        return [_kline(symbol, interval, row) for row in rows if row[6] < now_ms - CLOSED_MARGIN_MS]

    async def close(self) -> None:
        """Release the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, path: str, query: Mapping[str, str], weight: int, kind: type[Body]) -> Body:
        async with self._turn:
            await self._wait_for_weight(weight)
            status, headers, body = await self._fetch(path, query)
        if status != 200:
            raise self._refusal(path, status, headers, body)
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise VenueUnreachable(f"{path} was answered with something else ({error})") from error

    async def _fetch(self, path: str, query: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=self._use_proxy)
        try:
            request = self._session.get(self._base_url + path, params=query, allow_redirects=False)
            async with request as response:
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > BODY_BYTES_MAX:
                        raise VenueUnreachable(f"{path} was answered with more than {BODY_BYTES_MAX} bytes")
                self._note_weight(response.headers)
                return response.status, response.headers, bytes(body)
        except TimeoutError as error:
            raise VenueUnreachable(f"{self._base_url} did not answer within {TIMEOUT_S:g} s") from error
        except aiohttp.ClientError as error:
            raise VenueUnreachable(f"{self._base_url} cannot be reached ({error})") from error

    def _note_weight(self, headers: Mapping[str, str]) -> None:
        used = headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isdigit():
            self.weight_used = int(used)

    async def _wait_for_weight(self, weight: int) -> None:
        now = time.time()
        if now < self._blocked_until_s:
            wait_s = self._blocked_until_s - now
            raise VenueUnreachable(f"{self._base_url} asks us to wait {wait_s:.0f} s", retry_after_s=wait_s)
        if self.weight_used + weight > WEIGHT_PER_MINUTE * WEIGHT_SHARE:
            # The exchange counts by the clock's minute.
            await asyncio.sleep(60 - now % 60 + 0.5)
            self.weight_used = 0

    def _refusal(
        self, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> VenueRefused | VenueUnreachable:
        try:
            error = msgspec.json.decode(body, type=_ErrorBody)
        except msgspec.DecodeError:
            error = _ErrorBody()
        told = f"{path} was answered with HTTP {status}" + (f": {error.msg} (code {error.code})" if error.msg else "")
        if status in {418, 429}:
            retry_after = headers.get("Retry-After", "")
            wait_s = float(retry_after) if retry_after.isdigit() else 60.0
            self._blocked_until_s = time.time() + wait_s
            return VenueUnreachable(told, retry_after_s=wait_s)
        if status == 451:
            return VenueUnreachable(f"{told}. {HINT_451}")
        if 400 <= status < 500 and status != 403 and error.code:
            return VenueRefused(told, code=error.code)
        return VenueUnreachable(told)


def _symbol_rules(item: _Symbol) -> SymbolRules:
    filters = {found.filter_type: found for found in item.filters}
    price, lot = filters.get("PRICE_FILTER", _Filter()), filters.get("LOT_SIZE", _Filter())
    return SymbolRules(
        item.symbol, item.status, item.base_asset, item.quote_asset, _step(price.tick_size), _step(lot.step_size)
    )


def _step(text: str) -> float:
    """A step, or 0.0 for one that is missing or no number: the rule about it is not applied then."""
    try:
        return msgspec.json.decode(text, type=float)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return 0.0


def _ticker(row: _Ticker) -> Ticker:
    return Ticker(**msgspec.structs.asdict(row), event_ms=row.close_time)


def _kline(symbol: str, interval: str, row: _KlineRow) -> Kline:
    return Kline(
        symbol, interval, row[0], row[6], open=row[1], high=row[2], low=row[3], close=row[4], volume=row[5],
        quote_volume=row[7], taker_buy_base_volume=row[9], taker_buy_quote_volume=row[10], trades=row[8],
        is_closed=True, event_ms=row[6] + 1,
    )  # fmt: skip
