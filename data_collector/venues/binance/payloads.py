"""The payloads that Binance would send for our records: what `codec` decodes, the other way round."""

from __future__ import annotations

from typing import assert_never

from data_collector.model.records import AggregateTrade, Kline, MiniTicker, Quote, Record, Ticker, Trade


def payload_of(record: Record, unit: int) -> dict[str, object]:
    """The payload of a frame; `unit` is how many of the connection's time units make a millisecond."""
    match record:
        case Trade():
            return _trade_payload(record, unit)
        case Kline():
            return _kline_payload(record, unit)
        case Ticker():
            return _ticker_payload(record, unit)
        case AggregateTrade():
            return {
                "e": "aggTrade", "E": record.event_ms * unit, "s": record.symbol, "a": record.aggregate_id,
                "p": record.price, "q": record.quantity, "f": record.first_trade_id, "l": record.last_trade_id,
                "T": record.time_ms * unit, "m": record.is_buyer_maker, "M": True,
            }  # fmt: skip
        case MiniTicker():
            return {
                "e": "24hrMiniTicker", "E": record.event_ms * unit, "s": record.symbol, "c": record.last_price,
                "o": record.open_price, "h": record.high_price, "l": record.low_price, "v": record.volume,
                "q": record.quote_volume,
            }  # fmt: skip
        case Quote():
            return {
                "u": record.update_id, "s": record.symbol, "b": record.bid, "B": record.bid_quantity,
                "a": record.ask, "A": record.ask_quantity,
            }  # fmt: skip
        case _:
            assert_never(record)


def _trade_payload(trade: Trade, unit: int) -> dict[str, object]:
    payload: dict[str, object] = {
        "e": "trade", "E": trade.event_ms * unit, "s": trade.symbol, "t": trade.trade_id, "p": trade.price,
        "q": trade.quantity,
    }  # fmt: skip
    if trade.buyer_order_id is not None:
        payload["b"] = trade.buyer_order_id
    if trade.seller_order_id is not None:
        payload["a"] = trade.seller_order_id
    time = trade.time_ms if unit == 1 else trade.time_ms * 1000 + (trade.sub_ms_us or 0)
    return payload | {"T": time, "m": trade.is_buyer_maker, "M": True}


def _kline_payload(kline: Kline, unit: int) -> dict[str, object]:
    # In microseconds a kline ends at open + interval - 1 µs.
    close = kline.close_ms if unit == 1 else kline.close_ms * 1000 + 999
    return {
        "e": "kline", "E": kline.event_ms * unit, "s": kline.symbol,
        "k": {
            "t": kline.open_ms * unit, "T": close, "s": kline.symbol, "i": kline.interval, "f": kline.first_trade_id,
            "L": kline.last_trade_id, "o": kline.open, "c": kline.close, "h": kline.high, "l": kline.low,
            "v": kline.volume, "n": kline.trades, "x": kline.is_closed, "q": kline.quote_volume,
            "V": kline.taker_buy_base_volume, "Q": kline.taker_buy_quote_volume, "B": "0",
        },
    }  # fmt: skip


def _ticker_payload(ticker: Ticker, unit: int) -> dict[str, object]:
    return {
        "e": "24hrTicker", "E": ticker.event_ms * unit, "s": ticker.symbol, "p": ticker.price_change,
        "P": ticker.price_change_percent, "w": ticker.weighted_avg_price, "x": ticker.prev_close_price,
        "c": ticker.last_price, "Q": ticker.last_qty, "b": ticker.bid_price, "B": ticker.bid_qty,
        "a": ticker.ask_price, "A": ticker.ask_qty, "o": ticker.open_price, "h": ticker.high_price,
        "l": ticker.low_price, "v": ticker.volume, "q": ticker.quote_volume, "O": ticker.open_time * unit,
        "C": ticker.close_time * unit, "F": ticker.first_id, "L": ticker.last_id, "n": ticker.count,
    }  # fmt: skip
