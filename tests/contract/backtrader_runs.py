"""Backtrader's engine over our feed, and what a strategy in it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import backtrader as bt
import pytest

from data_collector.client import Client
from data_collector.client.adapters.backtrader import CandleFeed
from data_collector.client.records import time_of
from tests.market import NOON_MS, SYMBOL

UTCNOW = pytest.mark.filterwarnings(r"ignore:datetime\.datetime\.utcnow:DeprecationWarning")
"""Backtrader is of 2023, and asks for the time as one did then."""

Acts = Mapping[object, Callable[[], object]]

NOON = time_of(NOON_MS).replace(tzinfo=None)


class _Parameters(Protocol):
    until: int
    acts: Acts | None


class Seen(bt.Strategy):
    """Writes down what it is told, in order.

    It ends the run behind so many bars; `acts` are done when something that equals their key is told.
    """

    params = (("until", 0), ("acts", None))
    p: _Parameters

    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []
        """Minutes of bars, names of statuses or, with what comes along, pairs."""
        self.bars: list[dict[str, float]] = []
        """Of the first feed."""
        self.volumes: list[tuple[float, ...]] = []
        """Of the bars of all feeds."""

    def notify_data(self, data: bt.feed.AbstractDataBase, status: int, *args: object) -> None:
        """A status."""
        name = data._getstatusname(status)
        self._tell((name, *args) if args else name)

    def next(self) -> None:
        """A bar of some feed."""
        self.bars.append({name: getattr(self.data.l, name)[0] for name in self.data.getlinealiases()})
        self.volumes.append(tuple(data.l.volume[0] for data in self.datas))
        self._tell(minute_of(self.data.datetime.datetime()))
        if len(self.bars) == self.p.until:
            self.env.runstop()

    def _tell(self, what: object) -> None:
        self.told.append(what)
        act = (self.p.acts or {}).get(what[0] if isinstance(what, tuple) else what)
        if act is not None:
            act()

    @property
    def missing(self) -> list[float]:
        """Of each bar."""
        return [bar["missing"] for bar in self.bars]


def minute_of(closed: datetime) -> int:
    """Between noon and the minute's candle that closed then."""
    return (closed - NOON) // timedelta(minutes=1) - 1


def feed_of(reader: Client, /, **changes: object) -> CandleFeed:
    """Of minutes."""
    return CandleFeed(**{"client": reader, "symbol": SYMBOL, "interval": "1m", "qcheck": 0.05, **changes})


def run(
    *feeds: CandleFeed, until: int = 0, acts: Acts | None = None, engine: Mapping[str, object] | None = None
) -> Seen:  # fmt: skip
    """To the end of the feeds, or until so many bars."""
    return run_of(engine_of(*feeds, **(engine or {})), until=until, acts=acts)


def engine_of(*feeds: CandleFeed, **settings: object) -> bt.Cerebro:
    """Backtrader's engine, which has these."""
    cerebro = bt.Cerebro(stdstats=False, **settings)
    for feed in feeds:
        cerebro.adddata(feed)
    return cerebro


def run_of(cerebro: bt.Cerebro, *, until: int = 0, acts: Acts | None = None) -> Seen:
    """Of feeds that it has already."""
    cerebro.addstrategy(Seen, until=until, acts=acts)
    (seen,) = cerebro.run()
    assert isinstance(seen, Seen)
    return seen
