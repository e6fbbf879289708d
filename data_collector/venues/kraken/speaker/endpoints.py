"""What each REST path answers. Pure: query in, result out; the HTTP around it is in `rest`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from data_collector.model.calendar import DAY_MS, LENGTHS_MS
from data_collector.simulator.amounts import SCALE, amount_text, price_text, rounded_quotient
from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.market.candles import Candle, CandleSeries
from data_collector.simulator.market.market import Market, SymbolMarket
from data_collector.simulator.market.noise import mixed
from data_collector.simulator.market.tape import Tape, Totals
from data_collector.simulator.rest.lies import lying_body
from data_collector.venues.kraken.speaker.frames import INTERVALS, WEEKS_FROM, is_market_order
from data_collector.venues.kraken.speaker.names import Pair, pairs_of

PER_PAIR = frozenset({"Trades", "OHLC"})
"""Limited for each pair by itself."""

TRADES_MAX = 1_000
CANDLES_MAX = 720

NANOSECONDS_FROM = 10**15
"""A `since` at least this large is in nanoseconds; else in seconds."""

TRADE_DECIMALS_MIN = 5
"""Prices of trades have so many decimals at least, whatever the pair has."""

STATUSES = {"TRADING": "online", "HALT": "post_only", "BREAK": "maintenance", "CANCEL_ONLY": "cancel_only"}

Query = Mapping[str, str]


class KrakenError(Exception):
    """What stands in `error`."""


class Answerer:
    """The market behind the REST paths."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._pairs = pairs_of(market.listings)
        self._methods: dict[str, Callable[[Query, RestFault | None], object]] = {
            "Time": self.time, "SystemStatus": self.system_status, "Assets": self.assets,
            "AssetPairs": self.asset_pairs, "Ticker": self.ticker, "OHLC": self.candles, "Trades": self.trades,
            "Depth": self.depth,
        }  # fmt: skip

    def answer(self, method: str, query: Query, fault: RestFault | None) -> object:
        """The `result` of a call. Raises `KrakenError`."""
        if method not in self._methods:
            raise KrakenError("EGeneral:Unknown method")
        result = self._methods[method](query, fault)
        return lying_body(result, fault) if fault is not None and method not in PER_PAIR else result

    def ahead(self, method: str, query: Query) -> Iterator[None]:
        """Make what `answer` will need of the past, a piece at a time. Raises `KrakenError`."""
        if method == "Ticker":
            for pair in self._asked(query):
                yield from self._market.listed(pair.market).ticker_ahead()
        elif method == "OHLC":
            pair, series, first_ms = self._series(query)
            yield from series.ahead(first_ms, self._market.now_ms, CANDLES_MAX + 1, newest=True)

    def time(self, query: Query, fault: RestFault | None) -> object:
        """The market's time, in whole seconds."""
        now = datetime.fromtimestamp(self._market.now_ms // 1000, UTC)
        return {"unixtime": self._market.now_ms // 1000, "rfc1123": now.strftime("%a, %d %b %y %H:%M:%S +0000")}

    def system_status(self, query: Query, fault: RestFault | None) -> object:
        """Online."""
        now = datetime.fromtimestamp(self._market.now_ms // 1000, UTC)
        return {"status": "online", "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def assets(self, query: Query, fault: RestFault | None) -> object:
        """Of every pair."""
        found: dict[str, object] = {}
        for pair in dict.fromkeys(self._pairs.values()):
            names = pair.wsname.split("/")
            for key, name in zip((pair.base, pair.quote), names, strict=True):
                found[key] = {
                    "aclass": "currency", "altname": name, "decimals": 10, "display_decimals": 5, "status": "enabled",
                }  # fmt: skip
        return found

    def asset_pairs(self, query: Query, fault: RestFault | None) -> object:
        """What is listed."""
        return {pair.key: self._described(pair) for pair in self._asked(query)}

    def _described(self, pair: Pair) -> dict[str, object]:
        listing = self._market.listings[pair.market]
        return {
            "altname": pair.altname, "wsname": pair.wsname, "aclass_base": "currency", "base": pair.base,
            "aclass_quote": "currency", "quote": pair.quote, "lot": "unit", "cost_decimals": 5,
            "pair_decimals": pair.decimals, "lot_decimals": 8, "lot_multiplier": 1, "leverage_buy": [],
            "leverage_sell": [], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]], "fee_volume_currency": "ZUSD",
            "margin_call": 80, "margin_stop": 40, "ordermin": amount_text(listing.lot), "costmin": "0.5",
            "tick_size": price_text(listing.tick, pair.decimals),
            "status": STATUSES[self._market.status(pair.market)],
        }  # fmt: skip

    def ticker(self, query: Query, fault: RestFault | None) -> object:
        """Statistics of today and of 24 hours."""
        return {pair.key: self._ticker(self._market.listed(pair.market), pair) for pair in self._asked(query)}

    def _ticker(self, market: SymbolMarket, pair: Pair) -> dict[str, object]:
        ticker, now_ms = market.ticker(), self._market.now_ms
        today = market.series("1d").at(now_ms - now_ms % DAY_MS)
        totals = NO_TRADE if today is None else today.totals

        def price(amount: int) -> str:
            return price_text(amount, max(TRADE_DECIMALS_MIN, pair.decimals))

        def cut(text: str | None) -> str:
            return (text or amount_text(0))[: max(TRADE_DECIMALS_MIN, pair.decimals) - 8 or None]

        def lot(text: str | None) -> str:
            return (text or amount_text(0))[:-5]

        return {
            "a": [cut(ticker.ask_price), "1", lot(ticker.ask_qty)],
            "b": [cut(ticker.bid_price), "1", lot(ticker.bid_qty)],
            "c": [cut(ticker.last_price), ticker.last_qty],
            "v": [amount_text(totals.volume), ticker.volume],
            "p": [price(_vwap(totals)), cut(ticker.weighted_avg_price)],
            "t": [totals.count, ticker.count],
            "l": [price(totals.low), cut(ticker.low_price)],
            "h": [price(totals.high), cut(ticker.high_price)],
            "o": price(totals.open),
        }

    def candles(self, query: Query, fault: RestFault | None) -> object:
        """The newest ones, quiet ones and the running one too, whatever `since` is."""
        pair, series, first_ms = self._series(query)
        exists = self._market.listed(pair.market).has_candle
        found = series.between(first_ms, self._market.now_ms, CANDLES_MAX + 1, newest=True, exists=exists)
        since_s = _number(query, "since", -1)
        rows: list[object] = [_candle_row(each, pair) for each in found if each.open_ms // 1000 > since_s]
        closed = [each.open_ms // 1000 for each in found[:-1]]
        return self._paged(query, pair, rows, fault) | {"last": closed[-1] if closed else 0}

    def _series(self, query: Query) -> tuple[Pair, CandleSeries, int]:
        """And from when on candles are given."""
        pair = self._pair(query)
        interval = INTERVALS.get(_number(query, "interval", 1))
        if interval is None:
            raise KrakenError("EGeneral:Invalid arguments:interval")
        first_ms = self._market.now_ms - (CANDLES_MAX + 2) * LENGTHS_MS[interval]
        return pair, self._market.listed(pair.market).series(interval, WEEKS_FROM.get(interval, 0)), first_ms

    def trades(self, query: Query, fault: RestFault | None) -> object:
        """Those after a moment, which is not included, or the newest ones."""
        pair = self._pair(query)
        count = _number(query, "count", TRADES_MAX)
        if not 1 <= count <= TRADES_MAX:
            raise KrakenError("EGeneral:Invalid arguments:count")
        market, now_ms = self._market.listed(pair.market), self._market.now_ms
        since = _number(query, "since", -1)
        if since < 0:
            tape = market.tape_until(now_ms * 1000 + 1, count)
            start = max(0, len(tape) - count)
        else:
            since *= 1 if since >= NANOSECONDS_FROM else 10**9
            tape = market.tape_of_time(since // 1000, count + TRADES_MAX)
            start = tape.position_of_time(since // 1000)
            while start < len(tape) and nanoseconds(tape, start) <= since:
                start += 1
        if fault is not None and fault.kind == "overlap":
            start = max(0, start - fault.span)
        end = min(start + count, len(tape))
        rows: list[object] = [_trade_row(tape, position, pair) for position in range(start, end)]
        last = nanoseconds(tape, end - 1) if rows else max(since, 0)
        return self._paged(query, pair, rows, fault) | {"last": str(last)}

    def _paged(self, query: Query, pair: Pair, rows: list[object], fault: RestFault | None) -> dict[str, object]:
        """Under the one key that is not `last`: the text that was asked for, or the internal name."""
        if fault is not None:
            told = [] if fault.empty else lying_body(rows, fault)
            assert isinstance(told, list), "a list was given"
            rows = told
        asked = query["pair"]
        return {asked if "/" in asked else pair.key: rows}

    def depth(self, query: Query, fault: RestFault | None) -> object:
        """The book."""
        pair, count = self._pair(query), _number(query, "count", 100)
        book, now_s = self._market.listed(pair.market).book(), self._market.now_ms // 1000
        decimals = max(TRADE_DECIMALS_MIN, pair.decimals) - 8 or None
        sides = {"asks": book.asks(count), "bids": book.bids(count)}
        rows = {name: [[price[:decimals], text[:-5], now_s] for price, text in side] for name, side in sides.items()}
        return {pair.key: rows}

    def _pair(self, query: Query) -> Pair:
        if "pair" not in query:
            raise KrakenError("EGeneral:Invalid arguments")
        pairs = self._asked(query)
        if len(pairs) != 1:
            raise KrakenError("EQuery:Unknown asset pair")
        return pairs[0]

    def _asked(self, query: Query) -> list[Pair]:
        names = query["pair"].split(",") if query.get("pair") else list(self._pairs)
        pairs = dict.fromkeys(self._pairs.get(name.upper()) for name in names)
        listed = [pair for pair in pairs if pair is not None and self._market.status(pair.market) in STATUSES]
        if query.get("pair") and len(listed) < len(pairs):
            raise KrakenError("EQuery:Unknown asset pair")
        return listed


NO_TRADE = Totals(0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1)


def nanoseconds(tape: Tape, position: int) -> int:
    """When a trade took place; trades of one moment share all digits."""
    time_us = tape.times_us[position]
    return time_us * 1000 + mixed(time_us) % 1000


def _trade_row(tape: Tape, position: int, pair: Pair) -> list[object]:
    trade = tape.trade(position)
    early_us = tape.times_us[position] - trade.time_ms * 1000 - (trade.sub_ms_us or 0)
    return [
        price_text(tape.prices[position], max(TRADE_DECIMALS_MIN, pair.decimals)),
        trade.quantity,
        (nanoseconds(tape, position) - early_us * 1000) / 10**9,
        "b" if tape.taker_bought(position) else "s",
        "m" if is_market_order(trade.trade_id) else "l",
        "",
        trade.trade_id,
    ]


def _candle_row(candle: Candle, pair: Pair) -> list[object]:
    totals = candle.totals
    prices = [price_text(amount, pair.decimals) for amount in (totals.open, totals.high, totals.low, totals.close)]
    vwap = price_text(_vwap(totals), pair.decimals) if totals.count else "0.0"
    return [candle.open_ms // 1000, *prices, vwap, amount_text(totals.volume), totals.count]


def _vwap(totals: Totals) -> int:
    return rounded_quotient(totals.quote_volume * SCALE, totals.volume) if totals.volume else 0


def _number(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal():
        raise KrakenError(f"EGeneral:Invalid arguments:{name}")
    return int(text)
