"""Candles for Backtrader: a backtest over history, a live feed, or history that goes on live.

Backtrader is under the GNU General Public License, version 3 or later. This module is no part of it and stays under the
Apache License 2.0; whoever distributes a program together with Backtrader distributes the whole under the GPL.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final, Protocol

from data_collector.client.client import Client
from data_collector.client.errors import Away, NotInstalled, WrongQuestion
from data_collector.client.live import Live
from data_collector.client.reading.delivery import PATIENCE_S
from data_collector.client.records import CALENDAR, EPOCH_START, Gap, Item, Kline, ms_of
from data_collector.client.terms.policy import Filling, GapPolicy
from data_collector.client.terms.series import klines_of
from data_collector.client.terms.times import Time
from data_collector.model.calendar import DAY_MS

try:
    import backtrader as bt
except ImportError as error:
    raise NotInstalled("CandleFeed is for Backtrader: pip install 'btc-data-collector[backtrader]'.") from error

_FIRST_DAY: Final = float(EPOCH_START.toordinal())
"""1970-01-01, as Backtrader counts days."""

_TIMEFRAMES: Final = {
    "s": (bt.TimeFrame.Seconds, 1), "m": (bt.TimeFrame.Minutes, 1), "h": (bt.TimeFrame.Minutes, 60),
    "d": (bt.TimeFrame.Days, 1), "w": (bt.TimeFrame.Weeks, 1), "M": (bt.TimeFrame.Months, 1),
}  # fmt: skip
"""Of an interval's unit, and how many of them it is."""

_OURS: Final = ("quote_volume", "trades", "taker_buy_base_volume", "taker_buy_quote_volume", "missing")
"""Lines beyond Backtrader's own, of which `openinterest` stays NaN."""

_WRITTEN: Final = ("datetime", "open", "high", "low", "close", "volume", *_OURS)


class _Asked(Protocol):
    """The parameters."""

    client: Client | None
    symbol: str
    interval: str
    start: Time | None
    end: Time | None
    limit: int | None
    live: bool
    gaps: GapPolicy
    qcheck: float
    name: str
    timeframe: int | None
    compression: int | None
    sessionend: object


class CandleFeed(bt.feed.DataBase):
    """Closed candles of one symbol and interval, as bars.

    `CandleFeed(client=client, symbol="BTCUSDT", interval="1m", start="2024-01-01", end="2024-02-01")` is for backtests.
    With `live=True` it goes on when it has reached the present: `start` says how much history comes first, none by
    default. `start`, `end` and `limit` are those of `Client.klines`; Backtrader's own parameters work too.

    A bar is stamped with the time at which its candle closed, in UTC. Beside Backtrader's lines there are
    `quote_volume`, `trades`, `taker_buy_base_volume`, `taker_buy_quote_volume` (NaN where the exchange does not tell),
    and `missing`: how many candles are missing before this bar; the attribute `gaps` says why.

    The parameter `gaps` says what becomes of them: `mark`, `raise` (`GapFound` out of `Cerebro.run`), or `fill` with
    flat candles. A strategy is notified of `DELAYED` while older candles come, of `LIVE` when nothing waits any more,
    of `CONNBROKEN` with a `Gap`, or with the error while somebody is away: for a minute, then it is raised. Of what is
    preloaded Backtrader notifies nobody in time: look at `missing`.
    """

    lines = _OURS
    params = (
        ("client", None), ("symbol", ""), ("interval", "1m"), ("start", None), ("end", None), ("limit", None),
        ("live", False), ("gaps", "mark"), ("qcheck", 0.5), ("timeframe", None), ("compression", None),
    )  # fmt: skip
    p: _Asked

    def __init__(self, **_parameters: object) -> None:
        """Raises `WrongQuestion`. Backtrader has put the parameters into `p`."""
        super().__init__()
        asked = self.p
        _check_asked(asked)
        # Parameters are taken along into other processes, where a client cannot go.
        self._client, asked.client = asked.client, None
        unit, count = _TIMEFRAMES[asked.interval[-1]]
        asked.timeframe, asked.compression = unit, count * int(asked.interval[:-1])
        asked.name = asked.name or f"{asked.symbol}:{asked.interval}"
        self._ends_days = asked.sessionend is None
        self._clones: list[_Clone] = []
        self.gaps: list[Gap] = []
        """All that came, in order."""

    def islive(self) -> bool:
        """Whether bars come as they close."""
        return self.p.live

    def haslivedata(self) -> bool:
        """Whether a bar waits."""
        return not self._is_newest

    def start(self) -> None:
        """Ask for the candles. Raises `ClientError`."""
        super().start()
        self._qcheck = self.p.qcheck
        self._targets = [getattr(self.l, name) for name in _WRITTEN]
        self._missed = 0
        self._is_newest = True
        self._was_live = False
        self._has_warned = False
        self.gaps = []
        self._bars = self._shaped(self._asked_for())

    def clone(self, **kwargs: object) -> _Clone:
        """The same candles once more, as Cerebro asks for when it is to resample a feed that it has already."""
        made = _Clone(dataname=self, **kwargs)
        self._clones.append(made)
        return made

    def addfilter(self, p: object, *args: object, **kwargs: object) -> None:
        """What makes longer candles, say."""
        _warn_of_weeks(kwargs)
        super().addfilter(p, *args, **kwargs)

    def __getstate__(self) -> dict[str, object]:
        """What was preloaded, for `optstrategy`."""
        return {**self.__dict__, "_client": None, "_bars": None, "_clones": []}

    def _getnexteos(self) -> tuple[datetime, float]:
        """Days end at midnight, UTC: the candle that closes then is the last one of its day."""
        if not self._ends_days or self._calendar is not None or not len(self):
            return super()._getnexteos()
        midnight = float(math.ceil(self.l.datetime[0]))
        return bt.num2date(midnight), midnight

    def _check(self, forcedata: object = None) -> None:
        """Nothing: by a clock a resampler would give a bar away before its last candle has come."""

    def _load(self) -> bool | None:
        """Write the next bar; None where none waits, False at the end."""
        try:
            kline = next(self._bars)
        except StopIteration:
            self.put_notification(self.DISCONNECTED)
            return False
        if kline is None:
            return None
        self._was_live = self._was_live and self._is_newest
        self.put_notification(self.LIVE if self._was_live else self.DELAYED)
        for target, value in zip(self._targets, (*_values(kline), self._missed), strict=True):
            target[0] = value
        self._missed = 0
        return True

    def _asked_for(self) -> Iterable[Item | None]:
        asked, client = self.p, self._client
        if client is None:
            raise WrongQuestion("A CandleFeed reads in no other process than its own: preload it, or set maxcpus=1.")
        gaps: GapPolicy = "raise" if asked.gaps == "raise" else "mark"
        if not asked.live:
            return client.klines(asked.symbol, asked.interval, asked.start, asked.end, asked.limit, gaps)
        series, start = f"{asked.symbol}:{asked.interval}", "now" if asked.start is None else asked.start
        opened = partial(client.live, series, start=start, gaps=gaps)
        with suppress(Away):
            return self._followed(opened, opened())
        return self._followed(opened)

    def _shaped(self, items: Iterable[Item | None]) -> Generator[Kline | None]:
        filling = Filling() if self.p.gaps == "fill" else None
        for item in items:
            if isinstance(item, Gap):
                self._note(item)
            for each in [item] if filling is None or item is None else filling.filled([item]):
                match each:
                    case None | Kline():
                        yield each
                    case Gap():
                        self._missed += each.count

    def _followed(self, opened: Callable[[], Live], live: Live | None = None) -> Generator[Item | None]:
        """None where nothing waits. Raises `Away` when it has lasted a minute."""
        away_since_s: float | None = None
        while True:
            try:
                live = live or opened()
                batch = live.poll(self._qcheck)
            except Away as error:
                now_s = time.monotonic()
                away_since_s = now_s if away_since_s is None else away_since_s
                if now_s - away_since_s > PATIENCE_S:
                    raise
                self.put_notification(self.CONNBROKEN, error)
                time.sleep(self._qcheck)
                yield None
                continue
            away_since_s = None
            assert batch is not None, "nobody closes it"
            for number, item in enumerate(batch.items, 1):
                self._is_newest = number == len(batch.items) and live.is_caught_up
                yield item
            if not batch.items:
                self._is_newest = self._was_live = live.is_caught_up
                if live.is_caught_up:
                    self.put_notification(self.LIVE)
                yield None

    def _note(self, gap: Gap) -> None:
        self.gaps.append(gap)
        # A status that repeats is passed over.
        self._laststatus = self.DELAYED
        self.put_notification(self.CONNBROKEN, gap)
        longer = [each for each in (self, *self._clones) if each.resampling]
        if longer and self.p.gaps == "mark" and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{gap.sentence} Backtrader makes longer candles of those that are left, and does not tell: load "
                f'{self.p.symbol} with the longer interval instead, or with gaps="fill".',
                stacklevel=2,
            )


class _Clone(bt.feed.DataClone):
    """The candles of a feed once more."""

    lines = _OURS

    def addfilter(self, p: object, *args: object, **kwargs: object) -> None:
        """What makes longer candles, say."""
        _warn_of_weeks(kwargs)
        super().addfilter(p, *args, **kwargs)

    def _check(self, forcedata: object = None) -> None:
        """As of the feed."""


def _check_asked(asked: _Asked) -> None:
    """Raise `WrongQuestion`."""
    if not isinstance(asked.client, Client):
        raise WrongQuestion("client= is to be the Client that reads: CandleFeed(client=Client(), symbol=…).")
    if not asked.symbol:
        raise WrongQuestion('symbol= is to say whose candles: CandleFeed(client=client, symbol="BTCUSDT").')
    klines_of(asked.symbol, asked.interval)
    if asked.gaps not in ("mark", "raise", "fill"):
        raise WrongQuestion(f"gaps={asked.gaps!r} is none of mark, raise, fill.")
    if asked.live and not (asked.end is None and asked.limit is None):
        raise WrongQuestion("With live=True bars come without end: leave end= and limit= out, or stop it with todate=.")
    if not (asked.timeframe is None and asked.compression is None):
        raise WrongQuestion("interval= says how long candles are: leave timeframe= and compression= out.")


def _values(kline: Kline) -> Sequence[float]:
    closed_ms = CALENDAR.next_open_ms(kline.interval, ms_of(kline.timestamp))
    return (
        closed_ms / DAY_MS + _FIRST_DAY, float(kline.open), float(kline.high), float(kline.low), float(kline.close),
        float(kline.volume), _number(kline.quote_volume), _number(kline.trades),
        _number(kline.taker_buy_base_volume), _number(kline.taker_buy_quote_volume),
    )  # fmt: skip


def _number(value: Decimal | int | None) -> float:
    return math.nan if value is None else float(value)


def _warn_of_weeks(resampled: Mapping[str, object]) -> None:
    timeframe = resampled.get("timeframe")
    if isinstance(timeframe, int) and bt.TimeFrame.Days < timeframe < bt.TimeFrame.NoTimeFrame:
        name = bt.TimeFrame.getname(timeframe, 2).lower()
        warnings.warn(
            f'Backtrader puts the last candle of {name} into the next one: load interval="1w" or "1M" instead.',
            stacklevel=5,
        )
