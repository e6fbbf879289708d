"""Records as lines of PostgreSQL's COPY text: the exchange's own digits, put in as they are."""

from __future__ import annotations

from collections.abc import Sequence

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import open_time_text, trade_time_text

KLINE_COLUMNS = (
    "symbol", "interval", "timestamp", "open", "high", "low", "close", "volume", "trades", "quote_volume",
    "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip
TRADE_COLUMNS = (
    "symbol", "trade_id", "timestamp", "price", "quantity", "is_buyer_maker", "buyer_order_id", "seller_order_id",
)  # fmt: skip

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def kline_lines(klines: Sequence[Kline], more: Sequence[str] = ()) -> bytes:
    """In the order of `KLINE_COLUMNS`, and behind them the same `more` in every line."""
    end = _end(more)
    lines = [
        f"{_escaped(k.symbol)}\t{k.interval}\t{open_time_text(k.open_ms)}\t{k.open}\t{k.high}\t{k.low}\t{k.close}\t"
        f"{k.volume}\t{k.trades}\t{k.quote_volume}\t{k.taker_buy_base_volume}\t{k.taker_buy_quote_volume}{end}"
        for k in klines
    ]
    return "".join(lines).encode()


def trade_lines(trades: Sequence[Trade], more: Sequence[str] = ()) -> bytes:
    """In the order of `TRADE_COLUMNS`, and behind them the same `more` in every line."""
    end = _end(more)
    lines = [
        f"{_escaped(t.symbol)}\t{t.trade_id}\t{trade_time_text(t.time_ms, t.sub_ms_us)}\t{t.price}\t{t.quantity}\t"
        f"{'t' if t.is_buyer_maker else 'f'}\t{_optional(t.buyer_order_id)}\t{_optional(t.seller_order_id)}{end}"
        for t in trades
    ]
    return "".join(lines).encode()


def _end(more: Sequence[str]) -> str:
    return "".join(f"\t{_escaped(text)}" for text in more) + "\n"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _optional(number: int | None) -> str:
    return "\\N" if number is None else str(number)


def gap_row(exchange: str, key: Key, gap: Gap) -> tuple[str | int, ...]:
    """A row of `market_data_gaps`; the interval of trades is empty."""
    return (exchange, key.symbol, key.channel, key.interval or "", gap.first, gap.last, gap.count, gap.reason)
