"""What each REST path answers. Pure: path and query in, body and headers out; the HTTP around it is in `rest`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from data_collector.model.calendar import LENGTHS_MS
from data_collector.simulator.amounts import amount_text, cut_text, price_text
from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.listing import Listing
from data_collector.simulator.market.candles import Candle, CandleSeries
from data_collector.simulator.market.market import Market
from data_collector.simulator.rest.lies import lying_body
from data_collector.venues.coinbase.speaker.frames import product_of, products_of, size_text, time_text, trade_row

TRADES_MAX = 1_000
CANDLES_MAX = 300
INTERVALS = {LENGTHS_MS[interval] // 1000: interval for interval in ("1m", "5m", "15m", "1h", "6h", "1d")}

TOO_WIDE = (
    "granularity too small for the requested time range. Count of aggregations requested exceeds {most}"
)  # fmt: skip

Query = Mapping[str, str]
Answered = tuple[object, dict[str, str]]
"""Body and headers."""


class CoinbaseError(Exception):
    """What stands in `message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Answerer:
    """The market behind the REST paths."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._products = products_of(market.listings)
        self._details: dict[str, Callable[[Listing, Query, RestFault | None], Answered]] = {
            "": lambda listing, query, fault: (self._product(listing), {}), "ticker": self._ticker,
            "stats": self._stats, "trades": self._trades, "candles": self._candles,
        }  # fmt: skip

    def answer(self, path: str, query: Query, fault: RestFault | None) -> Answered:
        """Raises `CoinbaseError`."""
        match path.strip("/").split("/"):
            case ["time"]:
                body: object = self._time()
            case ["products"]:
                body = [self._product(listing) for listing in self._products.values()]
            case ["products", product, *detail] if len(detail) < 2 and "".join(detail) in self._details:
                return self._detail(product, "".join(detail), query, fault)
            case _:
                raise CoinbaseError(404, "Route not found")
        return (body if fault is None else lying_body(body, fault)), {}

    def ahead(self, path: str, query: Query) -> Iterator[None]:
        """Make what `answer` will need of the past, a piece at a time. Raises `CoinbaseError`."""
        *_, product, detail = ("", *path.strip("/").split("/"))
        if (listing := self._products.get(product)) is None:
            return
        if detail in {"ticker", "stats"}:
            yield from self._market.listed(listing.symbol).ticker_ahead()
        elif detail == "candles":
            series, first_ms, last_ms = self._series(listing, query)
            yield from series.ahead(first_ms, last_ms, CANDLES_MAX, newest=True)

    def _detail(self, product: str, detail: str, query: Query, fault: RestFault | None) -> Answered:
        listing = self._products.get(product)
        if listing is None or self._market.status(listing.symbol) == "END_OF_DAY":
            raise CoinbaseError(404, "NotFound")
        body, headers = self._details[detail](listing, query, fault)
        if fault is not None:
            body = [] if fault.empty else lying_body(body, fault)
        return body, headers

    def _time(self) -> object:
        now_ms = self._market.now_ms
        return {"iso": f"{time_text(now_ms * 1000)[:-4]}Z", "epoch": now_ms / 1000}

    def _product(self, listing: Listing) -> object:
        status = self._market.status(listing.symbol)
        return {
            "id": product_of(listing), "base_currency": listing.base, "quote_currency": listing.quote,
            "quote_increment": price_text(listing.tick, listing.decimals),
            "base_increment": size_text(amount_text(listing.lot)),
            "display_name": f"{listing.base}-{listing.quote}", "min_market_funds": "1", "margin_enabled": False,
            "post_only": status == "HALT", "limit_only": False, "cancel_only": status == "CANCEL_ONLY",
            "status": "delisted" if status == "END_OF_DAY" else "online", "status_message": "",
            "trading_disabled": status in {"BREAK", "END_OF_DAY"}, "fx_stablecoin": False, "auction_mode": False,
        }  # fmt: skip

    def _ticker(self, listing: Listing, query: Query, fault: RestFault | None) -> Answered:
        market = self._market.listed(listing.symbol)
        ticker, tape = market.ticker(), market.tape
        return {
            "ask": ticker.ask_price, "bid": ticker.bid_price, "volume": ticker.volume, "trade_id": tape.last_id,
            "price": ticker.last_price, "size": ticker.last_qty,
            "time": time_text(tape.times_us[-1] if len(tape) else self._market.now_ms * 1000),
        }, {}  # fmt: skip

    def _stats(self, listing: Listing, query: Query, fault: RestFault | None) -> Answered:
        ticker = self._market.listed(listing.symbol).ticker()
        return {
            "open": ticker.open_price or "0", "high": ticker.high_price or "0", "low": ticker.low_price or "0",
            "last": ticker.last_price or "0", "volume": ticker.volume, "volume_30day": ticker.volume,
        }, {}  # fmt: skip

    def _trades(self, listing: Listing, query: Query, fault: RestFault | None) -> Answered:
        """The newest ones, or the newest that are older than `after`."""
        count = _number(query, "limit", TRADES_MAX)
        if not 1 <= count <= TRADES_MAX:
            raise CoinbaseError(400, f"limit must be between 1 and {TRADES_MAX}")
        market, shift = self._market.listed(listing.symbol), 0
        if fault is not None and fault.kind == "overlap":
            shift = fault.span
        if "after" in query:
            before_id = _number(query, "after", 0) + shift
            tape = market.tape_of_id(max(before_id - count, 0), count)
            end = tape.position_of_id(before_id)
        else:
            tape = market.tape_until(self._market.now_ms * 1000 + 1, count)
            end = len(tape)
        trades = tape.trades(max(0, end - count), end)
        rows = [
            trade_row(trade) | {"price": cut_text(trade.price, listing.decimals), "size": size_text(trade.quantity)}
            for trade in reversed(trades)
        ]  # fmt: skip
        edges = {"CB-BEFORE": str(trades[-1].trade_id), "CB-AFTER": str(trades[0].trade_id)} if trades else {}
        return rows, edges

    def _candles(self, listing: Listing, query: Query, fault: RestFault | None) -> Answered:
        """Of a time, the newest first, and none for a time without trades; the running one too."""
        series, first_ms, last_ms = self._series(listing, query)
        most = CANDLES_MAX
        if fault is not None and fault.kind == "newest":
            most = fault.span
        found = series.between(first_ms, last_ms, most, newest=True, exists=_is_traded)
        return [_candle_row(candle, listing) for candle in reversed(found)], {}

    def _series(self, listing: Listing, query: Query) -> tuple[CandleSeries, int, int]:
        """And between which moments candles are wanted."""
        granularity = _number(query, "granularity", 60)
        interval = INTERVALS.get(granularity)
        if interval is None:
            raise CoinbaseError(400, "Unsupported granularity")
        now_s = self._market.now_ms // 1000
        start_s, end_s = now_s - CANDLES_MAX * granularity, now_s
        if "start" in query and "end" in query:
            start_s, end_s = _second(query["start"]), _second(query["end"])
        if (end_s - start_s) / granularity > CANDLES_MAX:
            raise CoinbaseError(400, TOO_WIDE.format(most=CANDLES_MAX))
        series = self._market.listed(listing.symbol).series(interval)
        return series, start_s * 1000, min(end_s * 1000, self._market.now_ms)


def _is_traded(candle: Candle) -> bool:
    return candle.totals.count > 0


def _candle_row(candle: Candle, listing: Listing) -> object:
    totals = candle.totals
    prices = (price_text(amount, listing.decimals) for amount in (totals.low, totals.high, totals.open, totals.close))
    numbers = (*prices, size_text(amount_text(totals.volume)))
    return [candle.open_ms // 1000, *(msgspec.Raw(text.encode()) for text in numbers)]


def _number(query: Query, name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal():
        raise CoinbaseError(400, f"Invalid {name}")
    return int(text)


def _second(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise CoinbaseError(400, "Invalid time") from None
