"""Prices, candles and trades for viewers, sampled from the store a few times a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime

from data_collector.api.live.events import (
    CANDLES_MAX,
    TAPE_TRADES_MAX,
    BestQuote,
    CandleState,
    Focus,
    Price,
    TapeTrade,
    TickerState,
    Viewer,
    event_bytes,
)
from data_collector.model.calendar import Calendar
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Trade
from data_collector.sinks.redis.connection import Command, StoreConnection
from data_collector.sinks.redis.entries import StreamEntry, entries_of, kline_of, trade_of

SYMBOLS_PER_BATCH = 250
"""Asked for in one batch, so that neither store nor event loop is held for more than some milliseconds."""

FIRST_ENTRIES = 200
"""Of `stream:`, read when a focus is new: every interval writes there several times a second."""

NEXT_ENTRIES = 100
"""Of `stream:` between two looks; of more, the newest are taken."""

_QUOTE_FIELDS = ("bid", "bid_quantity", "ask", "ask_quantity")
_TICKER_FIELDS = ("high_price", "low_price", "quote_volume", "bid_price", "ask_price")
_FIELDS = ("price", "price_change_percent", "volume", "timestamp")


class PriceBoard:
    """The newest price row of every symbol."""

    def __init__(self) -> None:
        self.rows: dict[str, Price] = {}
        self._replies: dict[str, object] = {}

    async def changed(self, connection: StoreConnection, keys: StoreKeys, symbols: Sequence[str]) -> list[Price]:
        """Read the rows; those that differ from the last reading. Raises `SinkUnavailable`."""
        for gone in self.rows.keys() - set(symbols):
            del self.rows[gone], self._replies[gone]
        changed: list[Price] = []
        for start in range(0, len(symbols), SYMBOLS_PER_BATCH):
            batch = symbols[start : start + SYMBOLS_PER_BATCH]
            commands: list[Command] = [("HMGET", keys.key("latest", symbol), *_FIELDS) for symbol in batch]
            for symbol, reply in zip(batch, await connection.execute(commands), strict=True):
                if self._replies.get(symbol) == reply:
                    continue
                self._replies[symbol] = reply
                row = _price(symbol, reply)
                if row is not None:
                    self.rows[symbol] = row
                    changed.append(row)
        return changed


class Kept:
    """An event that is the same for everybody, and told when it differs from the one before."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._event: bytes | None = None
        self._is_new = False

    def take(self, event: bytes | None) -> None:
        """What the last reading has brought; None is nothing to tell."""
        self._event, self._is_new = event, event != self._event

    def offer(self, viewer: Viewer, *, known: bool) -> None:
        """`known` is whether the viewer was told the one before."""
        if self._event is not None and (self._is_new or not known):
            viewer.offer_encoded(self._name, self._event)


class FocusReader:
    """One series that somebody looks at: its newest candles and trades since the last look."""

    def __init__(self, focus: Focus, keys: StoreKeys, calendar: Calendar, exchange: str | None) -> None:
        """`exchange` where there are several."""
        self._focus = focus
        self._exchange = exchange
        self._calendar = calendar
        self._stream_key = keys.key("stream", focus.symbol)
        self._trades_key = keys.key("trades", focus.symbol)
        self._quote_key = keys.key("quote", focus.symbol)
        self._latest_key = keys.key("latest", focus.symbol)
        self._quote, self._ticker = Kept("quote"), Kept("ticker")
        self._stream_id: str | None = None
        self._trades_id: str | None = None
        self._candles: list[CandleState] = []
        self._trades: list[TapeTrade] = []
        self._left_out = 0
        self._recent_candles: dict[int, CandleState] = {}
        self._recent_trades: deque[TapeTrade] = deque(maxlen=TAPE_TRADES_MAX)

    async def read(self, connection: StoreConnection) -> None:
        """What is new since the last reading. Raises `SinkUnavailable`."""
        entries_max = FIRST_ENTRIES if self._stream_id is None else NEXT_ENTRIES
        of_stream, of_trades, of_quote, of_latest = await connection.execute(
            [
                _newest(self._stream_key, self._stream_id, entries_max),
                _newest(self._trades_key, self._trades_id, TAPE_TRADES_MAX),
                ("HMGET", self._quote_key, *_QUOTE_FIELDS),
                ("HMGET", self._latest_key, *_TICKER_FIELDS),
            ]
        )
        stream = entries_of(of_stream, self._focus.symbol, self._stream_key)[::-1]
        trades = entries_of(of_trades, self._focus.symbol, self._trades_key)[::-1]
        self._stream_id = stream[-1].id if stream else self._stream_id
        self._trades_id = trades[-1].id if trades else self._trades_id
        self._quote.take(self._quote_of(of_quote))
        self._ticker.take(self._ticker_of(of_latest))
        self._candles = self._candles_of(stream)
        self._trades = [_tape_trade(trade) for entry in trades if (trade := trade_of(entry)) is not None]
        self._left_out = self._between(len(trades) == TAPE_TRADES_MAX)
        self._recent_candles |= {candle.time: candle for candle in self._candles}
        while len(self._recent_candles) > CANDLES_MAX:
            del self._recent_candles[min(self._recent_candles)]
        self._recent_trades += self._trades

    def offer(self, viewers: Iterable[Viewer]) -> None:
        """What the last reading has brought."""
        for viewer in viewers:
            viewer.offer_candles(self._candles)
            viewer.offer_trades(self._trades, self._left_out)
            self._quote.offer(viewer, known=True)
            self._ticker.offer(viewer, known=True)

    def catch_up(self, viewer: Viewer) -> None:
        """For one who comes when others look already."""
        viewer.offer_candles(self._recent_candles.values())
        viewer.offer_trades(self._recent_trades, 0)
        self._quote.offer(viewer, known=False)
        self._ticker.offer(viewer, known=False)

    def _candles_of(self, entries: Sequence[StreamEntry]) -> list[CandleState]:
        """The newest state of each candle; only those of the focus's own interval, oldest first."""
        newest: dict[int, CandleState] = {}
        for entry in entries:
            kline = kline_of(entry, self._calendar)
            if kline is not None and kline.interval == self._focus.interval:
                newest[kline.open_ms] = self._candle(kline)
        return [newest[open_ms] for open_ms in sorted(newest)]

    def _candle(self, kline: Kline) -> CandleState:
        return CandleState(
            kline.symbol, kline.interval, kline.open_ms, kline.open, kline.high, kline.low, kline.close, kline.volume,
            kline.is_closed, self._exchange,
        )  # fmt: skip

    def _quote_of(self, reply: object) -> bytes | None:
        """None while there is none, and for a key of another type."""
        if not isinstance(reply, list) or not all(isinstance(quantity, str) for quantity in reply[1::2]):
            return None
        bid, bid_quantity, ask, ask_quantity = reply
        return event_bytes(BestQuote(self._focus.symbol, bid, bid_quantity, ask, ask_quantity, self._exchange))

    def _ticker_of(self, reply: object) -> bytes | None:
        """None while no statistics have come, and for a key of another type."""
        if not isinstance(reply, list) or not any(reply):
            return None
        # A field that the exchange does not tell is missing, or empty.
        high, low, quote_volume, bid, ask = (text or None for text in reply)
        return event_bytes(TickerState(self._focus.symbol, high, low, quote_volume, bid, ask, self._exchange))

    def _between(self, is_cut: bool) -> int:
        """How many trades lie between the last reading and this one, by their ids, when it has not got them all."""
        if not self._trades:
            return 0
        is_first = not self._recent_trades
        return self._trades[0].trade_id - self._recent_trades[-1].trade_id - 1 if is_cut and not is_first else 0


def _newest(key: str, after: str | None, count: int) -> Command:
    return ("XREVRANGE", key, "+", "-" if after is None else f"({after}", "COUNT", count)


def _price(symbol: str, reply: object) -> Price | None:
    """None while there is no price, and for a key of another type."""
    if not isinstance(reply, list) or not isinstance(reply[0], str):
        return None
    price, change_percent, volume, timestamp = reply
    return Price(symbol, price, change_percent, volume, _ms(timestamp))


def _ms(timestamp: object) -> int | None:
    try:
        return round(datetime.fromisoformat(str(timestamp)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _tape_trade(trade: Trade) -> TapeTrade:
    return TapeTrade(trade.trade_id, trade.time_ms, trade.price, trade.quantity, trade.is_buyer_maker)
