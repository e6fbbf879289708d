"""What some trades of a symbol come to. Amounts are integers of the builder's steps."""

from __future__ import annotations

from data_collector.candles.amounts import text_of
from data_collector.model.records import Kline

LACKING_MAX = 1_000


class Candle:
    """Of trades that were added in the order of their ids."""

    __slots__ = (
        "close", "count", "first_id", "high", "high_units", "is_whole", "last_id", "low", "low_units",
        "open", "open_ms", "quote", "sides_known", "taker_quote", "taker_volume", "volume",
    )  # fmt: skip

    def __init__(self, open_ms: int, *, is_whole: bool) -> None:
        self.open_ms = open_ms
        self.is_whole = is_whole
        """Whether no trade of its time was missed before it began to be filled."""
        self.open = self.high = self.low = self.close = ""
        """Texts of trades."""
        self.high_units = self.low_units = 0
        self.volume = self.quote = self.taker_volume = self.taker_quote = 0
        self.count = 0
        self.first_id = self.last_id = -1
        """-1 where unknown: of what was summed up before a restart."""
        self.sides_known = True

    @property
    def ids(self) -> tuple[int, int]:
        """Its first and last trade, where they name all of its trades; else -1."""
        follows = self.first_id >= 0 and self.last_id - self.first_id + 1 == self.count
        return (self.first_id, self.last_id) if follows else (-1, -1)

    def take(self, later: Candle) -> None:
        """Add what happened later; ids tell which came first, where they are known."""
        if not self.count:
            self.open, self.first_id = later.open, later.first_id
            self.high, self.high_units = later.high, later.high_units
            self.low, self.low_units = later.low, later.low_units
        else:
            if later.high_units > self.high_units:
                self.high, self.high_units = later.high, later.high_units
            if later.low_units < self.low_units:
                self.low, self.low_units = later.low, later.low_units
            if later.first_id < self.first_id:
                # A trade that was told too early.
                self.open, self.first_id = later.open, later.first_id
        if later.last_id >= self.last_id:
            self.close, self.last_id = later.close, later.last_id
        self.volume += later.volume
        self.quote += later.quote
        self.taker_volume += later.taker_volume
        self.taker_quote += later.taker_quote
        self.count += later.count
        self.sides_known = self.sides_known and later.sides_known

    def scale(self, price: int, quantity: int) -> None:
        """The steps of prices and quantities have become finer by these factors."""
        self.high_units *= price
        self.low_units *= price
        self.volume *= quantity
        self.taker_volume *= quantity
        self.quote *= price * quantity
        self.taker_quote *= price * quantity

    def kline(
        self, symbol: str, interval: str, next_open_ms: int, event_ms: int, decimals: tuple[int, int], *,
        is_closed: bool,
    ) -> Kline:  # fmt: skip
        """The record; the steps of prices and quantities have so many decimals."""
        prices, quantities = decimals
        least = max(prices, quantities)
        taker_volume = taker_quote = None
        if self.sides_known:
            taker_volume = text_of(self.taker_volume, quantities, quantities)
            taker_quote = text_of(self.taker_quote, prices + quantities, least)
        first_id, last_id = self.ids
        return Kline(
            symbol, interval, self.open_ms, next_open_ms - 1, self.open, self.high, self.low, self.close,
            volume=text_of(self.volume, quantities, quantities),
            quote_volume=text_of(self.quote, prices + quantities, least),
            taker_buy_base_volume=taker_volume, taker_buy_quote_volume=taker_quote, trades=self.count,
            is_closed=is_closed, event_ms=event_ms, first_trade_id=first_id, last_trade_id=last_id,
        )  # fmt: skip


class Lacking:
    """Opening times of klines that lack a trade; the newest ones."""

    __slots__ = ("_opens_ms",)

    def __init__(self) -> None:
        self._opens_ms: set[int] = set()

    def add(self, open_ms: int) -> int:
        """One more; the time of the one that is forgotten for it, -1 for none."""
        self._opens_ms.add(open_ms)
        if len(self._opens_ms) <= LACKING_MAX:
            return -1
        oldest_ms = min(self._opens_ms)
        self._opens_ms.discard(oldest_ms)
        return oldest_ms

    def first_ms(self, from_ms: int, until_ms: int) -> int:
        """The first one from a time on that opened before `until_ms`; that time where there is none."""
        if not self._opens_ms:
            return until_ms
        return min((open_ms for open_ms in self._opens_ms if from_ms <= open_ms < until_ms), default=until_ms)

    def clear(self) -> None:
        """Forget all of them."""
        self._opens_ms.clear()


class Sum:
    """The running kline of one interval."""

    __slots__ = ("candle", "name", "next_open_ms", "over", "since_ms")

    def __init__(self, name: str, since_ms: int) -> None:
        self.name = name
        self.since_ms = since_ms
        """What opened before is not known whole."""
        self.candle: Candle | None = None
        self.next_open_ms = -1
        self.over: list[tuple[Candle, int]] = []
        """Those that have ended, with their ends."""

    def open(self, candle: Candle, next_open_ms: int) -> None:
        """It begins with this."""
        self.candle, self.next_open_ms = candle, next_open_ms

    @property
    def candles(self) -> list[Candle]:
        """The one that runs, and those that have ended."""
        return [*([] if self.candle is None else [self.candle]), *(candle for candle, _ in self.over)]

    def miss(self, time_ms: int) -> None:
        """A trade of that time is lacking."""
        if self.candle is not None and self.candle.open_ms <= time_ms < self.next_open_ms:
            self.candle.is_whole = False

    def end_by(self, time_ms: int) -> None:
        """Where it ended until then it is over, and given if it is whole."""
        if self.candle is None or self.next_open_ms > time_ms:
            return
        if self.candle.is_whole and self.candle.count:
            self.over.append((self.candle, self.next_open_ms))
        self.candle = None
