"""Klines of one symbol out of its trades, as they pass in the order of their ids. Pure: times are arguments.

Life cycle: whoever has a symbol's trades makes one and adds each of them once; `break_off` says that some were missed.
Trades are summed by the minute (by the second where klines of a second are wanted), and longer klines are summed up
from those. `close` gives the klines that are over and of which all trades are known; of no other is anything given.

A trade belongs to the kline of its own time, also where one with a smaller id happened later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_collector.candles.amounts import DECIMALS_MAX, exact_units, units_of
from data_collector.candles.candle import Candle, Lacking, Sum
from data_collector.model.calendar import DAY_MS, MINUTE_MS, Calendar, place_ms
from data_collector.model.gaps import GapReason
from data_collector.model.records import Kline, Trade

DISORDER_MS = 500
"""A trade with a later id happened later, or at most so much earlier: a kline stays open for so long after its end, and
the first trades of all begin none."""

NEVER = 2**63

_POWERS = tuple(10**power for power in range(DECIMALS_MAX + 1))


class CandleBuilder:
    """See the module."""

    __slots__ = (
        "_anchors", "_base", "_base_ms", "_calendar", "_candle", "_from_ms", "_head_id", "_head_ms", "_lacking",
        "_now_ms", "_pending", "_price_decimals", "_price_text", "_price_units", "_quantity_decimals", "_sums",
        "_told_id", "_until_ms", "borders", "doubtful", "last_id", "missed", "settled_ms", "starts_ms", "symbol",
    )  # fmt: skip

    def __init__(self, symbol: str, calendar: Calendar, intervals: Iterable[str] = ()) -> None:
        self.symbol = symbol
        self._calendar = calendar
        self._price_decimals = self._quantity_decimals = 0
        self._price_text, self._price_units = "", 0
        self._anchors: dict[str, int] = {}
        self._sums: dict[str, Sum] = {}
        """What the running kline of each interval has so far, without what is pending."""
        self._pending: dict[int, Candle] = {}
        """Of the shortest interval, by open time: those that are not settled."""
        self._candle = Candle(0, is_whole=False)
        """That of the newest trade, which opens at `_from_ms` and ends before `_until_ms`."""
        self._from_ms = self._until_ms = 0
        self.starts_ms = NEVER
        """All trades from then on are here."""
        self._head_id = self._head_ms = -1
        """No trade with a later id happened before this time."""
        self._now_ms = -1
        """The exchange's clock, as it was told last."""
        self.settled_ms = -1
        """What ended until then is over."""
        self.last_id = -1
        """Of the newest trade."""
        self._told_id = -1
        self.doubtful: set[int] = set()
        """Times in klines that the exchange may count otherwise."""
        self.borders: set[int] = set()
        """Ends of klines behind which a trade was told to have happened before."""
        self._lacking = Lacking()
        """Klines of the shortest interval that were over before all of their trades had come."""
        self.missed: list[int] = []
        """Times of trades that came when their kline was over; the caller takes them out."""
        self._base, self._base_ms = "1m", MINUTE_MS
        self.use(intervals)

    @property
    def base(self) -> str:
        """The interval that trades are summed by."""
        return self._base

    @property
    def has_begun(self) -> bool:
        """Whether trades are known from some time on."""
        return self.starts_ms < NEVER

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is known yet."""
        return self.starts_ms == NEVER and self.settled_ms < 0

    def use(self, intervals: Iterable[str], since_ms: int = -1) -> None:
        """Make these from now on; of those that are new, what opens from `since_ms` on, or is told by `restore`."""
        wanted = list(intervals)
        base, base_ms = ("1s", 1_000) if "1s" in wanted else ("1m", MINUTE_MS)
        if base_ms != self._base_ms:
            self.break_off()
            self._sums = {}
        self._base, self._base_ms = base, base_ms
        self._sums = {name: self._sums.get(name) or Sum(name, since_ms) for name in wanted}

    def anchor(self, interval: str, open_ms: int) -> None:
        """Weeks and `3d` open on midnights that only the exchange knows: here is one of them."""
        self._anchors[interval] = open_ms

    def begin(self, since_ms: int) -> None:
        """All trades that happen from then on will be added."""
        self.starts_ms = since_ms

    def restore(self, interval: str, parts: Sequence[Kline]) -> None:
        """Klines of a longer interval consist of these whole ones up to now: the running one, and those before."""
        if (running := self._sums.get(interval)) is None or None in map(self._candle_of, parts):
            return
        # Looked at before, they have made room for the digits of all.
        for candle in filter(None, map(self._candle_of, parts)):
            running.end_by(candle.open_ms)
            if running.candle is None and (place := self.place(interval, candle.open_ms)) is not None:
                running.open(Candle(place, is_whole=True), self._calendar.next_open_ms(interval, place))
            if running.candle is not None and candle.count:
                running.candle.take(candle)

    def add(self, trade: Trade) -> None:
        """The next trade."""
        time_ms = trade.time_ms
        if not self._from_ms <= time_ms < self._until_ms:
            self._turn(time_ms)
        candle = self._candle
        text = trade.price
        if text != self._price_text and not self._take_price(text):
            return
        price = self._price_units
        whole, _, fraction = trade.quantity.partition(".")
        if len(fraction) == self._quantity_decimals and (digits := whole + fraction).isdecimal():
            quantity = int(digits)
        elif (fitted := self._fit_quantity(trade.quantity)) is not None:
            quantity = fitted
        else:
            return
        if not candle.count:
            candle.open = candle.high = candle.low = trade.price
            candle.high_units = candle.low_units = price
            candle.first_id = trade.trade_id
        elif price > candle.high_units:
            candle.high, candle.high_units = trade.price, price
        elif price < candle.low_units:
            candle.low, candle.low_units = trade.price, price
        candle.close = trade.price
        candle.last_id = self.last_id = trade.trade_id
        candle.count += 1
        candle.volume += quantity
        amount = price * quantity
        candle.quote += amount
        maker = trade.is_buyer_maker
        if maker is False:
            candle.taker_volume += quantity
            candle.taker_quote += amount
        elif maker is None:
            candle.sides_known = False

    def pass_over(self, reason: GapReason) -> None:
        """Ids that were due are passed over: those that the exchange itself has not are no trades."""
        if reason == "absent":
            self.doubtful.add(self._from_ms)
        else:
            self.break_off()

    def break_off(self) -> None:
        """What comes next does not follow what was added: no kline with a trade that may be missing is given."""
        self._settle(self._heard_ms())
        self._pending = {}
        self._lacking.clear()
        for running in self._sums.values():
            running.candle = None
        self.starts_ms = NEVER
        self._from_ms = self._until_ms = 0

    def begin_anew(self) -> None:
        """The exchange's trade ids begin anew."""
        self.break_off()
        self._head_id = self._head_ms = self._told_id = self.last_id = -1

    def prove(self, trade_id: int, time_ms: int, next_id: int, latest_ms: int = NEVER) -> None:
        """No trade up to this id happened after `latest_ms`, no later one before `time_ms`; `next_id` is to come."""
        if time_ms > self._head_ms:
            self._head_id, self._head_ms = trade_id, time_ms
        if trade_id == next_id - 1 and next_id > 0:
            self.starts_ms = min(self.starts_ms, latest_ms + 1)

    def proven_ms(self, now_ms: int, next_id: int) -> int:
        """Until when all trades are known; `now_ms` is the exchange's clock."""
        self._now_ms = now_ms
        # One that is known and not here may have happened a little before the newest that is.
        heard_ms = self._heard_ms()
        return heard_ms - DISORDER_MS if self._head_id >= next_id else max(heard_ms, self._head_ms)

    def close(self, now_ms: int, next_id: int) -> list[Kline]:
        """Klines that are over, in the order in which they ended; `now_ms` is the exchange's clock."""
        until_ms = min(now_ms - DISORDER_MS, self.proven_ms(now_ms, next_id))
        return self.settle(until_ms, now_ms)

    def settle(self, until_ms: int, event_ms: int) -> list[Kline]:
        """Klines that ended until then, of which all trades are known."""
        if until_ms > self.settled_ms:
            self._settle(until_ms)
        over: list[tuple[int, int, Kline]] = []
        for name, running in self._sums.items():
            for candle, next_open_ms in running.over:
                kline = self._kline(name, candle, next_open_ms, max(event_ms, next_open_ms), is_closed=True)
                over.append((next_open_ms, -candle.open_ms, kline))
            running.over = []
        over.sort(key=lambda each: each[:2])
        return [kline for _, _, kline in over]

    def running(self, event_ms: int) -> list[Kline]:
        """Klines that are open and whole so far, if a trade was added since they were asked for last."""
        newest_ms = self._heard_ms()
        if self._told_id == self.last_id or newest_ms < 0:
            return []
        self._told_id = self.last_id
        found: list[Kline] = []
        for name, running in self._sums.items():
            open_ms = self.place(name, newest_ms)
            if open_ms is None or not self._is_whole(open_ms, running):
                continue
            next_open_ms = self._calendar.next_open_ms(name, open_ms)
            candle = Candle(open_ms, is_whole=True)
            if running.candle is not None and running.candle.open_ms == open_ms:
                candle.take(running.candle)
            for part_ms in sorted(self._pending):
                if open_ms <= part_ms < next_open_ms:
                    candle.take(self._pending[part_ms])
            found.append(self._kline(name, candle, next_open_ms, event_ms, is_closed=False))
        return found

    def has_all_of(self, interval: str, open_ms: int) -> bool:
        """Whether nothing was missed of a kline, so far: it will be given, or has no trade."""
        running = self._sums.get(interval)
        return running is not None and self._is_whole(open_ms, running)

    @property
    def newest_ms(self) -> int:
        """When the kline of the newest trade opened; 0 while there is none."""
        return self._from_ms

    @property
    def next_end_ms(self) -> int | None:
        """When the first kline ends that has trades and is not settled."""
        return min(self._pending) + self._base_ms if self._pending else None

    def quiet_ms(self, interval: str, due_ms: int) -> tuple[int, int]:
        """What opens from `due_ms` and the first of these on, ends until the second, and was not given had no trade."""
        return max(self.starts_ms, self._sums[interval].since_ms), self._lacking.first_ms(due_ms, self.settled_ms)

    def is_doubtful(self, open_ms: int, next_open_ms: int) -> bool:
        """Whether the exchange may count a kline otherwise."""
        at_border = open_ms in self.borders or next_open_ms in self.borders
        return at_border or any(open_ms <= time_ms < next_open_ms for time_ms in self.doubtful)

    def _heard_ms(self) -> int:
        """When the newest kline opened that has a trade: one of the future proves nothing yet."""
        return max((open_ms for open_ms in self._pending if open_ms <= self._now_ms), default=-1)

    def _is_whole(self, open_ms: int, running: Sum) -> bool:
        """Whether a running kline of the newest trades has all that happened since it opened."""
        if running.candle is not None and running.candle.open_ms == open_ms:
            return running.candle.is_whole
        return self._knows_all(open_ms, self._calendar.next_open_ms(running.name, open_ms), running)

    def _knows_all(self, open_ms: int, next_open_ms: int, running: Sum) -> bool:
        """Whether no trade is missing in a kline that is about to be summed up."""
        if open_ms < max(self.starts_ms, running.since_ms):
            return False
        return self._lacking.first_ms(open_ms, next_open_ms) == next_open_ms

    def _turn(self, time_ms: int) -> None:
        """The next trade is of another kline than the one before."""
        # No earlier trade happened later than that.
        self.starts_ms = min(self.starts_ms, time_ms + DISORDER_MS)
        open_ms = time_ms - time_ms % self._base_ms
        if self._until_ms > 0 and open_ms < self._from_ms:
            # Of the klines on both sides the exchange may think otherwise.
            self.borders.add(self._from_ms)
        self._from_ms, self._until_ms = open_ms, open_ms + self._base_ms
        candle = self._pending.get(open_ms)
        if candle is None:
            candle = Candle(open_ms, is_whole=open_ms >= self.starts_ms)
            if self._until_ms > self.settled_ms:
                self._pending[open_ms] = candle
            else:
                self._miss(open_ms)
                # The next one may be missed too, and later.
                self._until_ms = open_ms
        self._candle = candle

    def _miss(self, time_ms: int) -> None:
        """A trade of a kline that is over: those that are not lack it."""
        self.doubtful.add(time_ms)
        self.missed.append(time_ms)
        forgotten_ms = self._lacking.add(time_ms)
        if forgotten_ms >= 0:
            self.starts_ms = max(self.starts_ms, forgotten_ms + self._base_ms)
        for running in self._sums.values():
            running.miss(time_ms)

    def _settle(self, until_ms: int) -> None:
        for open_ms in sorted(each for each in self._pending if each + self._base_ms <= until_ms):
            candle = self._pending.pop(open_ms)
            if candle is self._candle:
                self._until_ms = self._from_ms
            for name, running in self._sums.items():
                running.end_by(open_ms)
                if running.candle is None and (place := self.place(name, open_ms)) is not None:
                    next_open_ms = self._calendar.next_open_ms(name, place)
                    is_whole = candle.is_whole if name == self._base else self._knows_all(place, next_open_ms, running)
                    running.open(Candle(place, is_whole=is_whole), next_open_ms)
                if running.candle is not None:
                    running.candle.take(candle)
        for running in self._sums.values():
            running.end_by(until_ms)
        self.settled_ms = max(self.settled_ms, until_ms)
        if self.doubtful or self.borders:
            oldest_ms = min((each.candle.open_ms for each in self._sums.values() if each.candle), default=until_ms)
            self.doubtful = {time_ms for time_ms in self.doubtful if time_ms >= min(oldest_ms, until_ms - DAY_MS)}
            self.borders = {time_ms for time_ms in self.borders if time_ms >= until_ms - DAY_MS}

    def place(self, interval: str, time_ms: int) -> int | None:
        """When the kline of that time opened; None where only the exchange can tell."""
        anchor_ms = self._anchors.get(interval)
        step_ms = self._calendar.next_open_ms(interval, 0)
        if anchor_ms is None and step_ms > DAY_MS and not interval.endswith("M"):
            return None
        return place_ms(self._calendar, interval, time_ms, anchor_ms)

    def _take_price(self, text: str) -> bool:
        whole, _, fraction = text.partition(".")
        if len(fraction) == self._price_decimals and (digits := whole + fraction).isdecimal():
            self._price_units = int(digits)
        else:
            fitted = units_of(text, self._price_decimals)
            if fitted is None:
                self.break_off()
                return False
            units, decimals = fitted
            if decimals > self._price_decimals:
                self._scale(_POWERS[decimals - self._price_decimals], 1)
                self._price_decimals = decimals
            self._price_units = units
        self._price_text = text
        return True

    def _fit_quantity(self, text: str) -> int | None:
        fitted = units_of(text, self._quantity_decimals)
        if fitted is None:
            self.break_off()
            return None
        units, decimals = fitted
        if decimals > self._quantity_decimals:
            self._scale(1, _POWERS[decimals - self._quantity_decimals])
            self._quantity_decimals = decimals
        return units

    def _scale(self, price: int, quantity: int) -> None:
        sums = [candle for running in self._sums.values() for candle in running.candles]
        for candle in {id(each): each for each in (*self._pending.values(), self._candle, *sums)}.values():
            candle.scale(price, quantity)

    def _kline(self, interval: str, candle: Candle, next_open_ms: int, event_ms: int, *, is_closed: bool) -> Kline:
        decimals = self._price_decimals, self._quantity_decimals
        return candle.kline(self.symbol, interval, next_open_ms, event_ms, decimals, is_closed=is_closed)

    def _candle_of(self, kline: Kline) -> Candle | None:
        """A kline that was given once; None where not all of its numbers are known."""
        if kline.quote_volume is None or kline.trades is None:
            return None
        candle = Candle(kline.open_ms, is_whole=True)
        candle.open, candle.high, candle.low, candle.close = kline.open, kline.high, kline.low, kline.close
        candle.count, candle.first_id, candle.last_id = kline.trades, kline.first_trade_id, kline.last_trade_id
        taker_volume, taker_quote = kline.taker_buy_base_volume, kline.taker_buy_quote_volume
        candle.sides_known = taker_volume is not None and taker_quote is not None
        texts = (kline.volume, kline.quote_volume, taker_volume or "0", taker_quote or "0")
        if not all(map(self._take_price, (kline.high, kline.low))) or not self._make_room(texts):
            return None
        prices, quantities = self._price_decimals, self._quantity_decimals
        candle.high_units, candle.low_units = exact_units(kline.high, prices), exact_units(kline.low, prices)
        decimals = (quantities, prices + quantities, quantities, prices + quantities)
        candle.volume, candle.quote, candle.taker_volume, candle.taker_quote = map(exact_units, texts, decimals)
        return candle

    def _make_room(self, texts: Sequence[str]) -> bool:
        """Whether the steps hold these: a quantity and an amount in turn."""
        finest = 0
        for text in texts[::2]:
            if self._fit_quantity(text) is None:
                return False
        for text in texts[1::2]:
            fitted = units_of(text, 0, 2 * DECIMALS_MAX)
            if fitted is None:
                return False
            finest = max(finest, fitted[1] - self._price_decimals)
        if finest > self._quantity_decimals:
            self._scale(1, _POWERS[finest - self._quantity_decimals])
            self._quantity_decimals = finest
        return True
