"""What the history writer reads of the newest tickers: a sample."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Ticker
from data_collector.model.wire import TICKER_FIELDS
from data_collector.service.history_writer.messages import Orders
from data_collector.sinks.redis.connection import Command, ReplyError, StoreConnection
from data_collector.sinks.redis.not_ours import WRONG_TYPE
from data_collector.sinks.redis.stored_records import NO_RECORD, stored_ticker

ROUND_S = 1.0
"""Between two looks at tickers: the exchange sends a symbol's at most once a second."""

SYMBOLS_PER_ROUND = 500
"""Looked at together, and the others take their turn in the next rounds: bounds the load of both stores."""

_TICKER_FIELDS = ("event_ms", *TICKER_FIELDS[1:])


class TickerSampler:
    """Looks at the symbols of `orders` in turn. Where there is nothing to look at, it finds nothing.

    `latest:` holds the newest ticker of each symbol and none before it, so what came and went between two looks is not
    seen. Nothing waits while PostgreSQL is away: the next look goes on.
    """

    def __init__(self, connection: StoreConnection, orders: Orders) -> None:
        self._connection = connection
        self._keys = StoreKeys(orders.prefix)
        self._symbols: Sequence[str] = orders.symbols if orders.tickers else ()
        self._turn = 0
        self._next_round_s = 0.0
        self._taken: dict[str, int] = {}
        """Symbol to the event time that PostgreSQL has."""
        self._warned: set[str] = set()
        """Symbols of which it was logged that they cannot be read."""

    async def read(self) -> list[Ticker]:
        """Tickers that are others than those taken; none before the next round is due. Raises `SinkUnavailable`."""
        now_s = time.monotonic()
        if not self._symbols or now_s < self._next_round_s:
            return []
        self._next_round_s = now_s + ROUND_S
        end = self._turn + SYMBOLS_PER_ROUND
        symbols = self._symbols[self._turn : end]
        self._turn = end if end < len(self._symbols) else 0
        commands: list[Command] = [("HMGET", self._keys.key("latest", symbol), *_TICKER_FIELDS) for symbol in symbols]
        replies = await self._connection.execute(commands)
        found = [self._ticker(symbol, reply) for symbol, reply in zip(symbols, replies, strict=True)]
        return [ticker for ticker in found if ticker is not None]

    def take(self, tickers: Sequence[Ticker]) -> None:
        """These are in PostgreSQL."""
        self._taken.update((ticker.symbol, ticker.event_ms) for ticker in tickers)

    def _ticker(self, symbol: str, reply: object) -> Ticker | None:
        """None for a symbol that has no ticker yet, or still the one that was taken."""
        if isinstance(reply, ReplyError) and reply.kind != WRONG_TYPE:
            raise SinkUnavailable(f"The store refuses to be read: {reply}")
        values = reply if isinstance(reply, list) else []
        fields = {name: str(value) for name, value in zip(_TICKER_FIELDS, values, strict=False) if value is not None}
        # A hash without an event time has the price of a trade alone.
        if isinstance(reply, list) and "event_ms" not in fields:
            return None
        try:
            ticker = stored_ticker(symbol, fields)
        except NO_RECORD as error:
            self._tell(symbol, reply if isinstance(reply, ReplyError) else error)
            return None
        self._warned.discard(symbol)
        return ticker if ticker.event_ms != self._taken.get(symbol) else None

    def _tell(self, symbol: str, reason: Exception) -> None:
        if symbol not in self._warned:
            self._warned.add(symbol)
            structlog.get_logger().warning("history_ticker_unreadable", symbol=symbol, reason=str(reason))
