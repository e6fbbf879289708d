"""Answers of the memory child: what is remembered is asked, and written down as users read it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from msgspec import Struct

from data_collector.client.adapters.memory import Memory, NoShape
from data_collector.client.adapters.memory import Outcome as Remembered
from data_collector.client.errors import ClientError, WrongQuestion
from data_collector.service.memory.following import Follower, Following, Series
from data_collector.service.memory.messages import (
    SERIES_MAX,
    Hit,
    Orders,
    Outcome,
    Question,
    Refusal,
    Reply,
    SimilarPage,
)

READERS_MAX: Final = 4
"""Of different series or windows, the last that were asked about; each takes some 200 bytes a candle."""

DIGITS: Final = 6
"""Of what is drawn: a log return of 0.000001 is 0.0001 %."""

COME_BACK_S: Final = 2.0


class _Reader(Struct):
    memory: Memory
    follower: Follower
    version: int
    """Of what was read."""


class Moments:
    """For one thread."""

    def __init__(self, orders: Orders, following: Following) -> None:
        self._orders = orders
        self._following = following
        self._readers: OrderedDict[tuple[Series, int], _Reader] = OrderedDict()

    def answer(self, question: Question) -> Reply | Refusal:
        """What there is to say; a series that is not followed yet is from now on."""
        series = (question.symbol, question.interval)
        follower = self._following.of(series)
        number, name = question.number, " ".join(series)
        if follower is None:
            detail = f"{SERIES_MAX} series are remembered at a time, and all have been asked about just now."
            return Refusal(number, "later", f"{detail} Come back in a moment.", COME_BACK_S)
        if not follower.version:
            why = "" if follower.fault is None else f": {follower.fault}"
            detail = f"{name} is being filled, {follower.candles:,} candles so far{why}; come back in a moment."
            return Refusal(number, "later", detail, COME_BACK_S)
        try:
            return Reply(number, self._page(question, self._memory(follower, question.window)))
        except NoShape as error:
            return Refusal(number, "conflict", str(error))
        except WrongQuestion as error:
            return Refusal(number, "wrong", str(error))
        except ClientError as error:
            return Refusal(number, "later", str(error), COME_BACK_S)

    def _memory(self, follower: Follower, window: int) -> Memory:
        """As new as the file."""
        key = (follower.series, window)
        reader, version = self._readers.pop(key, None), follower.version
        if reader is None or reader.follower is not follower:
            symbol, interval = follower.series
            memory = Memory(self._orders.folder, symbol, interval, window, exchange=self._orders.exchange)
            reader = _Reader(memory, follower, version)
        elif reader.version != version:
            reader.memory.reload()
            reader.version = version
        self._readers[key] = reader
        while len(self._readers) > READERS_MAX:
            self._readers.popitem(last=False)[1].memory.close()
        return reader.memory

    def _page(self, question: Question, memory: Memory) -> SimilarPage:
        """Raises `ClientError`."""
        found = memory.moments(question.k, question.at_ms, question.horizons)
        longest = question.horizons[-1]
        hits = [
            Hit(
                iso(hit.start), iso(hit.end), round(hit.similarity, DIGITS), round(hit.scale, DIGITS),
                {str(horizon): round(after, DIGITS) for horizon, after in hit.after.items()},
                *_drawn(memory, hit.start, question.window, longest),
            )
            for hit in found.hits
        ]  # fmt: skip
        assert memory.first is not None, "there is a window"
        return SimilarPage(
            question.symbol, question.interval, question.window, question.k, iso(found.forecasts[0].at),
            iso(memory.first), len(memory), _drawn(memory, found.start, question.window, 0)[0], hits,
            [_outcome(each.horizon, each) for each in found.forecasts],
            [_outcome(each.horizon, each.random) for each in found.forecasts],
        )  # fmt: skip


def _drawn(memory: Memory, start: datetime, window: int, horizon: int) -> tuple[list[float], list[float]]:
    """Closes of the window, and of what followed."""
    path = [round(each, DIGITS) for each in memory.path(start, horizon).tolist()]
    return path[:window], path[window:]


def _outcome(horizon: int, found: Remembered) -> Outcome:
    lower, median, upper = (_rounded(found.quantiles.get(share)) for share in (0.25, 0.5, 0.75))
    return Outcome(horizon, found.n, round(found.effective_n, 2), median, lower, upper, _rounded(found.mean))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def iso(at: datetime) -> str:
    """As everywhere in the API."""
    return at.isoformat()
