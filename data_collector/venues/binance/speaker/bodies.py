"""REST bodies, made of the same market as the streams. Pure. `unit`: how many time units make a millisecond."""

from __future__ import annotations

from data_collector.model.calendar import MINUTE_MS
from data_collector.model.records import AggregateTrade, Ticker, Trade
from data_collector.simulator.amounts import SCALE, amount_text, rounded_quotient
from data_collector.simulator.listing import Listing
from data_collector.simulator.market.book import Book
from data_collector.simulator.market.candles import Candle
from data_collector.simulator.market.market import SymbolMarket
from data_collector.simulator.market.tape import Tape

Body = dict[str, object]

PRICE_MAX = 10**6 * SCALE
QUANTITY_MAX = 9_000_000 * SCALE
AVERAGE_PRICE_MINUTES = 5

ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
SELF_TRADE_MODES = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT")


def kline_row(candle: Candle, unit: int) -> list[object]:
    """One row of klines."""
    totals = candle.totals
    return [
        candle.open_ms * unit,
        amount_text(totals.open),
        amount_text(totals.high),
        amount_text(totals.low),
        amount_text(totals.close),
        amount_text(totals.volume),
        candle.next_open_ms * unit - 1,
        amount_text(totals.quote_volume),
        totals.count,
        amount_text(totals.buy_volume),
        amount_text(totals.buy_quote_volume),
        "0",
    ]


def trade_rows(tape: Tape, start: int, end: int, unit: int) -> list[Body]:
    """Rows of trades and historicalTrades."""
    start, end = max(0, start), min(end, len(tape))
    return [_trade_row(tape.trade(position), tape.quotes[position], unit) for position in range(start, end)]


def _trade_row(trade: Trade, quote: int, unit: int) -> Body:
    return {
        "id": trade.trade_id,
        "price": trade.price,
        "qty": trade.quantity,
        "quoteQty": amount_text(quote),
        "time": trade.time_ms if unit == 1 else trade.time_ms * unit + (trade.sub_ms_us or 0),
        "isBuyerMaker": trade.is_buyer_maker,
        "isBestMatch": True,
    }


def aggregate_row(trade: AggregateTrade, unit: int) -> Body:
    """One row of aggTrades."""
    return {
        "a": trade.aggregate_id,
        "p": trade.price,
        "q": trade.quantity,
        "f": trade.first_trade_id,
        "l": trade.last_trade_id,
        "T": trade.time_ms * unit,
        "m": trade.is_buyer_maker,
        "M": True,
    }


def ticker_body(ticker: Ticker, unit: int) -> Body:
    """ticker/24hr, FULL."""
    return {
        "symbol": ticker.symbol,
        "priceChange": ticker.price_change,
        "priceChangePercent": ticker.price_change_percent,
        "weightedAvgPrice": ticker.weighted_avg_price,
        "prevClosePrice": ticker.prev_close_price,
        "lastPrice": ticker.last_price,
        "lastQty": ticker.last_qty,
        "bidPrice": ticker.bid_price,
        "bidQty": ticker.bid_qty,
        "askPrice": ticker.ask_price,
        "askQty": ticker.ask_qty,
        "openPrice": ticker.open_price,
        "highPrice": ticker.high_price,
        "lowPrice": ticker.low_price,
        "volume": ticker.volume,
        "quoteVolume": ticker.quote_volume,
        "openTime": None if ticker.open_time is None else ticker.open_time * unit,
        "closeTime": None if ticker.close_time is None else ticker.close_time * unit,
        "firstId": ticker.first_id,
        "lastId": ticker.last_id,
        "count": ticker.count,
    }


MINI_FIELDS = (
    "symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime",
    "firstId", "lastId", "count",
)  # fmt: skip
"""What ticker/24hr gives for type=MINI."""


def book_ticker_body(book: Book) -> Body:
    """ticker/bookTicker."""
    quote = book.quote()
    return {
        "symbol": quote.symbol,
        "bidPrice": quote.bid,
        "bidQty": quote.bid_quantity,
        "askPrice": quote.ask,
        "askQty": quote.ask_quantity,
    }


def depth_body(book: Book, limit: int) -> Body:
    """depth."""
    return {"lastUpdateId": book.update_id, "bids": book.bids(limit), "asks": book.asks(limit)}


def average_price_body(symbol: SymbolMarket, unit: int) -> Body:
    """avgPrice: of the last five minutes, or the last price when there was no trade in them."""
    tape = symbol.tape
    start = tape.position_of_time(symbol.now_us - AVERAGE_PRICE_MINUTES * MINUTE_MS * 1000)
    price = tape.prices[-1] if len(tape) else 0
    if start < len(tape):
        totals = tape.totals(start, len(tape))
        price = rounded_quotient(totals.quote_volume * SCALE, totals.volume)
    time = tape.times_us[-1] // 1000 * unit if len(tape) else 0
    return {"mins": AVERAGE_PRICE_MINUTES, "price": amount_text(price), "closeTime": time}


def symbol_body(listing: Listing, status: str, *, with_permissions: bool) -> Body:
    """One symbol of exchangeInfo. Clients take the first filter for the price filter."""
    return {
        "symbol": listing.symbol,
        "status": status,
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(listing),
        "permissions": [],
        "permissionSets": [["SPOT", "TRD_GRP_004"]] if with_permissions else [],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": SELF_TRADE_MODES,
    }


def _filters(listing: Listing) -> list[Body]:
    tick, lot = amount_text(listing.tick), amount_text(listing.lot)
    price_max, quantity_max = amount_text(PRICE_MAX), amount_text(QUANTITY_MAX)
    zero = amount_text(0)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": price_max, "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": quantity_max, "stepSize": lot},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {"filterType": "MARKET_LOT_SIZE", "minQty": zero, "maxQty": quantity_max, "stepSize": zero},
        {
            "filterType": "NOTIONAL", "minNotional": "0.00010000", "applyMinToMarket": True,
            "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": AVERAGE_PRICE_MINUTES,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]  # fmt: skip


def exchange_body(symbols: list[Body], now_ms: int, weight_per_minute: int, unit: int) -> Body:
    """exchangeInfo."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms * unit,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_per_minute},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
            {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
        ],
        "exchangeFilters": [],
        "symbols": symbols,
    }
