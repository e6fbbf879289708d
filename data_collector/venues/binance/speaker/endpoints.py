"""What each REST endpoint answers. Pure: query in, body out; the HTTP around it is in `rest`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from data_collector.simulator.amounts import amount_text
from data_collector.simulator.market.candles import CandleSeries
from data_collector.simulator.market.market import Market, SymbolMarket
from data_collector.simulator.market.prints import AGGREGATE_TRADES_MAX
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.binance.speaker import bodies, parameters
from data_collector.venues.binance.speaker.parameters import RestRefusal

Query = Mapping[str, str]

STATUSES = ("TRADING", "HALT", "BREAK", "CANCEL_ONLY", "END_OF_DAY")

DEPTH_DEFAULT, DEPTH_MAX = 100, 5000

BAD_COMBINATION = "Combination of optional parameters invalid."


class _Candles(Struct, frozen=True):
    """Which are asked for."""

    symbol: SymbolMarket
    series: CandleSeries
    first_ms: int
    last_ms: int
    limit: int
    newest: bool


class Answerer:
    """The market behind the REST endpoints."""

    def __init__(self, market: Market, settings: SimulatorSettings) -> None:
        self._market = market
        self._settings = settings

    def ping(self, query: Query, unit: int) -> object:
        """{}"""
        return {}

    def time(self, query: Query, unit: int) -> object:
        """The market's time."""
        return {"serverTime": self._market.now_ms * unit}

    def exchange_info(self, query: Query, unit: int) -> object:
        """The listed symbols and the limits."""
        if "symbolStatus" in query and ("symbol" in query or "symbols" in query):
            raise RestRefusal(-1128, BAD_COMBINATION)
        with_permissions = query.get("showPermissionSets", "true") != "false"
        names, _ = self._asked(query)
        wanted = _status(query)
        symbols: list[bodies.Body] = []
        for name in names:
            if name not in self._market.listings:
                raise RestRefusal(-1121, "Invalid symbol.")
            status = self._market.status(name)
            if wanted in (None, status):
                listing = self._market.listings[name]
                symbols.append(bodies.symbol_body(listing, status, with_permissions=with_permissions))
        return bodies.exchange_body(symbols, self._market.now_ms, self._settings.weight_per_minute, unit)

    def klines(self, query: Query, unit: int) -> object:
        """Candles: from a start (rounded up to the next open) the oldest, else the newest, the running one too."""
        asked = self._candles(query)
        candles = asked.series.between(
            asked.first_ms, asked.last_ms, asked.limit, newest=asked.newest, exists=asked.symbol.has_candle
        )
        return [bodies.kline_row(candle, unit) for candle in candles]

    def klines_ahead(self, query: Query) -> Iterator[None]:
        """Do most of the work of `klines` in pieces."""
        asked = self._candles(query)
        return asked.series.ahead(asked.first_ms, asked.last_ms, asked.limit, newest=asked.newest)

    def _candles(self, query: Query) -> _Candles:
        symbol = self._symbol(query)
        interval = parameters.interval(query)
        limit = parameters.limit(query)
        series = symbol.series(interval, parameters.zone_ms(query))
        start_us, end_us = parameters.start_us(query), parameters.end_us(query)
        first_ms = 0 if start_us is None else -(-start_us // 1000)
        last_ms = self._market.now_ms if end_us is None else min(self._market.now_ms, end_us // 1000)
        return _Candles(symbol, series, first_ms, last_ms, limit, start_us is None)

    def trades(self, query: Query, unit: int) -> object:
        """The newest trades."""
        symbol, limit = self._symbol(query), parameters.limit(query)
        return self._newest_trades(symbol, limit, unit)

    def _newest_trades(self, symbol: SymbolMarket, limit: int, unit: int) -> object:
        tape = symbol.tape_until(self._market.now_ms * 1000 + 1, limit)
        return bodies.trade_rows(tape, len(tape) - limit, len(tape), unit)

    def historical_trades(self, query: Query, unit: int) -> object:
        """Trades from an id; from the oldest that is left when that one is gone."""
        symbol = self._symbol(query)
        limit, first_id = parameters.limit(query), parameters.number(query, "fromId")
        if first_id is None:
            return self._newest_trades(symbol, limit, unit)
        tape = symbol.tape_of_id(first_id, limit)
        start = tape.position_of_id(first_id)
        return bodies.trade_rows(tape, start, start + limit, unit)

    def aggregate_trades(self, query: Query, unit: int) -> object:
        """Aggregates from an id, or within times."""
        symbol = self._symbol(query)
        limit, first_id = parameters.limit(query), parameters.number(query, "fromId")
        start_us, end_us = parameters.start_us(query), parameters.end_us(query)
        if first_id is not None and (start_us is not None or end_us is not None):
            raise RestRefusal(-1128, BAD_COMBINATION)
        trades = limit * AGGREGATE_TRADES_MAX
        # The trades of an aggregate share one time, so no moment lies inside one.
        if first_id is not None:
            tape = symbol.tape_of_aggregate(first_id, trades)
            found = tape.aggregates(tape.position_of_aggregate(first_id), len(tape), limit)
        elif start_us is not None:
            tape = symbol.tape_of_time(start_us, trades)
            end = len(tape) if end_us is None else tape.position_of_time(end_us + 1)
            found = tape.aggregates(tape.position_of_time(start_us), end, limit)
        else:
            until_us = self._market.now_ms * 1000 if end_us is None else end_us
            tape = symbol.tape_until(until_us + 1, trades)
            found = tape.newest_aggregates(tape.position_of_time(until_us + 1), limit)
        return [bodies.aggregate_row(trade, unit) for trade in found]

    def ticker_24hr(self, query: Query, unit: int) -> object:
        """24-hour statistics; FULL, or MINI."""
        kind = query.get("type", "FULL")
        if kind not in ("FULL", "MINI"):
            raise RestRefusal(-1139, "Invalid ticker type.")

        def body(symbol: SymbolMarket) -> bodies.Body:
            full = bodies.ticker_body(symbol.ticker(), unit)
            return full if kind == "FULL" else {name: full[name] for name in bodies.MINI_FIELDS}

        return self._for_each(query, body)

    def tickers_ahead(self, query: Query) -> Iterator[None]:
        """Do most of the work of `ticker_24hr` in pieces."""
        names, _ = self._asked(query)
        for name in names:
            yield from self._listed(name).ticker_ahead()

    def ticker_price(self, query: Query, unit: int) -> object:
        """Last prices."""
        return self._for_each(query, lambda symbol: {"symbol": symbol.listing.symbol, "price": _last_price(symbol)})

    def ticker_book(self, query: Query, unit: int) -> object:
        """Best bids and offers."""
        return self._for_each(query, lambda symbol: bodies.book_ticker_body(symbol.book()))

    def average_price(self, query: Query, unit: int) -> object:
        """Average of five minutes."""
        return bodies.average_price_body(self._symbol(query), unit)

    def depth(self, query: Query, unit: int) -> object:
        """The order book."""
        symbol = self._symbol(query)
        return bodies.depth_body(symbol.book(), parameters.limit(query, default=DEPTH_DEFAULT, most=DEPTH_MAX))

    def _symbol(self, query: Query) -> SymbolMarket:
        symbol = self._listed(parameters.symbol_text(parameters.mandatory(query, "symbol")))
        if _status(query) not in (None, symbol.status):
            raise RestRefusal(-1220, "The symbol's status does not match the requested symbolStatus.")
        return symbol

    def _listed(self, name: str) -> SymbolMarket:
        if name not in self._market.listings:
            raise RestRefusal(-1121, "Invalid symbol.")
        return self._market.listed(name)

    def _asked(self, query: Query) -> tuple[list[str], bool]:
        # The names, and whether the answer is one object in place of a list.
        if "symbol" in query and "symbols" in query:
            raise RestRefusal(-1128, BAD_COMBINATION)
        if "symbol" in query:
            return [parameters.symbol_text(query["symbol"])], True
        if "symbols" in query:
            return parameters.symbol_list(query["symbols"]), False
        return list(self._market.listings), False

    def _for_each(self, query: Query, body: Callable[[SymbolMarket], bodies.Body]) -> object:
        names, single = self._asked(query)
        if single:
            return body(self._symbol(query))
        status = _status(query)
        return [body(symbol) for symbol in map(self._listed, names) if status in (None, symbol.status)]


def _status(query: Query) -> str | None:
    status = query.get("symbolStatus")
    if status is not None and status not in STATUSES:
        raise RestRefusal(-1122, "Invalid symbolStatus.")
    return status


def _last_price(symbol: SymbolMarket) -> str:
    prices = symbol.tape.prices
    return amount_text(prices[-1] if prices else 0)


class Endpoint(Struct, frozen=True):
    """One path: what it costs, what it reads, and what it answers."""

    weight: Callable[[Query], int]
    reads: frozenset[str]
    answer: Callable[[Answerer, Query, int], object]
    ahead: Callable[[Answerer, Query], Iterator[None]] | None = None
    """What can be done in pieces before."""


def _fixed(weight: int) -> Callable[[Query], int]:
    return lambda _: weight


def _tickers_weight(query: Query) -> int:
    if "symbol" in query:
        return 2
    # Names are counted by their commas, because a list that turns out to be malformed costs too.
    count = query.get("symbols", "").count(",") + 1 if "symbols" in query else None
    if count is None or count > 100:
        return 80
    return 2 if count <= 20 else 40


def _one_or_all_weight(query: Query) -> int:
    return 2 if "symbol" in query else 4


def _depth_weight(query: Query) -> int:
    text = query.get("limit", "")
    limit = int(text) if text.isascii() and text.isdigit() else DEPTH_DEFAULT
    for most, weight in ((100, 5), (500, 25), (1000, 50)):
        if limit <= most:
            return weight
    return 250


def _endpoint(
    weight: Callable[[Query], int],
    reads: str,
    answer: Callable[[Answerer, Query, int], object],
    ahead: Callable[[Answerer, Query], Iterator[None]] | None = None,
) -> Endpoint:
    return Endpoint(weight, frozenset(reads.split()), answer, ahead)


_SYMBOLS = "symbol symbols symbolStatus"
_KLINES = "symbol interval startTime endTime timeZone limit"

ENDPOINTS: dict[str, Endpoint] = {
    "/api/v3/ping": _endpoint(_fixed(1), "", Answerer.ping),
    "/api/v3/time": _endpoint(_fixed(1), "", Answerer.time),
    "/api/v3/exchangeInfo": _endpoint(_fixed(20), f"{_SYMBOLS} permissions showPermissionSets", Answerer.exchange_info),
    "/api/v3/klines": _endpoint(_fixed(2), _KLINES, Answerer.klines, Answerer.klines_ahead),
    "/api/v3/uiKlines": _endpoint(_fixed(2), _KLINES, Answerer.klines, Answerer.klines_ahead),
    "/api/v3/trades": _endpoint(_fixed(25), "symbol limit", Answerer.trades),
    "/api/v3/historicalTrades": _endpoint(_fixed(25), "symbol limit fromId", Answerer.historical_trades),
    "/api/v3/aggTrades": _endpoint(_fixed(4), "symbol fromId startTime endTime limit", Answerer.aggregate_trades),
    "/api/v3/ticker/24hr": _endpoint(_tickers_weight, f"{_SYMBOLS} type", Answerer.ticker_24hr, Answerer.tickers_ahead),
    "/api/v3/ticker/price": _endpoint(_one_or_all_weight, _SYMBOLS, Answerer.ticker_price),
    "/api/v3/ticker/bookTicker": _endpoint(_one_or_all_weight, _SYMBOLS, Answerer.ticker_book),
    "/api/v3/avgPrice": _endpoint(_fixed(2), "symbol", Answerer.average_price),
    "/api/v3/depth": _endpoint(_depth_weight, "symbol limit symbolStatus", Answerer.depth),
}
