"""Fetches closed klines that no frame brought from the exchange's REST side, and gives up what it does not have.

Life cycle: the service makes one and runs it beside the lines. It looks at every series some times a second; one whose
due kline should have closed `GRACE_S` ago is asked for with one call for all that it lacks, the oldest first. What the
exchange does not tell is asked for again, less and less often. It raises nothing for an exchange that is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from data_collector.model.calendar import missing_range
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.gaps import GapReason
from data_collector.model.protocols import History
from data_collector.pipeline.backoff import Backoff
from data_collector.pipeline.intake import Intake
from data_collector.pipeline.kline_intake import SeriesKey
from data_collector.pipeline.series import Series

GRACE_S = 5.0
"""A closing frame comes up to two seconds after the end, on a slow line later."""

LOOK_S = 0.5
"""How often series are looked at."""

GAP_DEADLINE_S = 600.0
"""A REST side that has not answered for so long will not be waited for."""

ROWS_MAX = 1_000
"""What one call tells at most."""

ABSENT_TRIES = 3
ABSENT_S = 10.0
"""So often, and over so long, answers must leave out a kline that later ones follow: then there is none."""

ASK_AGAIN_S = 5.0
ASK_AGAIN_MAX_S = 60.0
"""The pauses between calls that tell nothing of what is due: they double."""

PAST_KLINES = 500
"""Fetched before the first closed kline of a series, so that charts are not empty."""


class Hole:
    """What is known of a series' due kline."""

    __slots__ = ("answered_s", "due_ms", "left_out", "left_out_s", "next_s", "overdue_s", "pause_s")

    def __init__(self, due_ms: int, overdue_s: float, grace_s: float) -> None:
        self.due_ms = due_ms
        self.overdue_s = overdue_s
        """When it was seen to be over and not closed."""
        self.next_s = overdue_s + grace_s
        """When REST may be asked."""
        self.answered_s = overdue_s
        """When REST answered last."""
        self.pause_s = ASK_AGAIN_S
        self.left_out = 0
        """How many answers left it out and told later ones, and since when."""
        self.left_out_s = 0.0


class KlineRepair:
    """The task that asks."""

    def __init__(
        self, intake: Intake, history: History, *, catch_up_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`catch_up_s`: what is missing at the start and older is not fetched."""
        self._intake = intake
        self._klines = intake.klines
        self._history = history
        self._calendar = intake.klines.calendar
        self._catch_up_ms = int(catch_up_s * 1000)
        self._clock = clock
        self._backoff = Backoff()
        self._holes: dict[SeriesKey, Hole] = {}
        self._blocked_until_s = 0.0
        self._event_ms = 0
        self._event_seen_s = 0.0

    @property
    def missing(self) -> dict[SeriesKey, int]:
        """Series that lack a kline whose grace is over, with its open time."""
        now = self._clock()
        return {key: hole.due_ms for key, hole in self._holes.items() if now >= hole.overdue_s + GRACE_S}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask for what is due, once."""
        now = self._clock()
        try:
            now_ms = await self._exchange_ms(now)
            self._skip_old(now_ms)
            self._note_holes(now, now_ms)
            self._give_up(now, now_ms)
            if now < self._blocked_until_s:
                return
            asked = [key for key, hole in self._holes.items() if now >= hole.next_s]
            for key in sorted(asked, key=lambda key: self._holes[key].due_ms):
                series, hole = self._klines.series.get(key), self._holes.get(key)
                if series is not None and hole is not None:
                    await self._ask(series, hole, now_ms)
            if not asked:
                await self._ask_less_urgent()
        except (VenueUnreachable, VenueRefused) as error:
            retry_after_s = error.retry_after_s if isinstance(error, VenueUnreachable) else None
            self._blocked_until_s = now + self._backoff.next_delay_s(retry_after_s=retry_after_s)
            structlog.get_logger().info("klines_unanswered", reason=str(error))

    async def _exchange_ms(self, now: float) -> int:
        event_ms = self._intake.newest_event_ms
        if not self._event_ms and not event_ms:
            event_ms = await self._history.server_time_ms()
        if event_ms > self._event_ms:
            self._event_ms, self._event_seen_s = event_ms, now
        return self._event_ms + int((now - self._event_seen_s) * 1000)

    def _skip_old(self, now_ms: int) -> None:
        """Of what the store told us to lack, only the younger part is fetched, and that at once."""
        now = self._clock()
        for key in self._holes.keys() - self._klines.series.keys():
            # Collected no longer.
            del self._holes[key]
        for key in self._klines.resumed:
            series = self._klines.series[key]
            self._pass_over(series, self._open_at(series, now_ms - self._catch_up_ms), "skipped")
            self._holes[key] = Hole(series.due_ms, now, 0.0)
        self._klines.resumed.clear()

    def _note_holes(self, now: float, now_ms: int) -> None:
        for key, series in self._klines.series.items():
            hole = self._holes.get(key)
            if series.due_ms < 0 or self._after(series, series.due_ms) > now_ms:
                if hole is not None:
                    del self._holes[key]
            elif hole is None or hole.due_ms != series.due_ms:
                self._holes[key] = Hole(series.due_ms, now, GRACE_S)

    def _give_up(self, now: float, now_ms: int) -> None:
        for key, hole in list(self._holes.items()):
            series = self._klines.series[key]
            if now >= hole.next_s and series.pass_refused() is not None:
                # No good copy of what was refused has come.
                self._klines.release(series)
            elif now - max(hole.overdue_s, hole.answered_s) >= GAP_DEADLINE_S:
                old_ms = self._open_at(series, now_ms - int(GAP_DEADLINE_S * 1000))
                self._pass_over(series, max(old_ms, self._after(series, series.due_ms)), "lost")
            if series.due_ms != hole.due_ms:
                del self._holes[key]

    async def _ask(self, series: Series, hole: Hole, now_ms: int) -> None:
        """One call for all that a series lacks; what it tells is passed on in order."""
        due_ms, ledger = series.due_ms, self._klines.ledger
        if hole.due_ms != due_ms:
            # Its closing frame came while others were asked for.
            return
        # Younger ones may still come by themselves.
        until_ms = max(self._open_at(series, now_ms - int(GRACE_S * 1000)), self._after(series, due_ms))
        last_ms, _ = missing_range(self._calendar, series.interval, due_ms, until_ms)
        ledger.opened(series.symbol, series.interval, due_ms, last_ms)
        ledger.noted(series.symbol, series.interval, "rest_asked")
        try:
            rows = await self._history.klines(series.symbol, series.interval, due_ms, last_ms)
        except (VenueUnreachable, VenueRefused):
            ledger.noted(series.symbol, series.interval, "rest_failed")
            raise
        hole.answered_s = self._clock()
        for row in rows:
            if due_ms <= row.open_ms <= last_ms:
                self._klines.take_told(series, row)
        if series.due_ms != due_ms:
            more = series.due_ms < until_ms
            self._holes[series.symbol, series.interval] = Hole(series.due_ms, self._clock(), 0.0 if more else GRACE_S)
        else:
            self._ask_again(series, hole, until_ms)

    def _ask_again(self, series: Series, hole: Hole, until_ms: int) -> None:
        """The answer did not tell the due kline."""
        now, held_ms = self._clock(), series.first_held_ms
        if held_ms is None:
            # The exchange itself has none yet, or none any more: a market that rests has no klines.
            hole.next_s = now + hole.pause_s
            hole.pause_s = min(hole.pause_s * 2, ASK_AGAIN_MAX_S)
            return
        hole.left_out_s = hole.left_out_s if hole.left_out else now
        hole.left_out += 1
        if hole.left_out >= ABSENT_TRIES and now - hole.left_out_s >= ABSENT_S:
            self._pass_over(series, min(until_ms, held_ms), "absent")
        hole.next_s = now + ASK_AGAIN_S

    def _pass_over(self, series: Series, until_ms: int, reason: GapReason) -> None:
        """As far as what waits."""
        held_ms = series.first_held_ms
        series.pass_over(until_ms if held_ms is None else min(until_ms, held_ms), reason)
        self._klines.release(series)

    async def _ask_less_urgent(self) -> None:
        """One call for what nobody waits for."""
        klines = self._klines
        if klines.doubtful:
            kline = klines.doubtful[0]
            rows = await self._history.klines(kline.symbol, kline.interval, kline.open_ms, kline.open_ms)
            del klines.doubtful[0]
            for row in rows:
                klines.reconcile(kline, row)
        elif klines.begun:
            kline = klines.begun[0]
            first_ms = kline.open_ms - PAST_KLINES * (kline.close_ms + 1 - kline.open_ms)
            rows = await self._history.klines(kline.symbol, kline.interval, max(first_ms, 0), kline.open_ms - 1)
            del klines.begun[0]
            klines.put_past(rows[-PAST_KLINES:])

    def _open_at(self, series: Series, time_ms: int) -> int:
        """The open time, from the due one on, of the first kline that ends after `time_ms`."""
        if self._after(series, series.due_ms) > time_ms:
            return series.due_ms
        last_ms, _ = missing_range(self._calendar, series.interval, series.due_ms, time_ms)
        after_ms = self._after(series, last_ms)
        return after_ms if after_ms <= time_ms else last_ms

    def _after(self, series: Series, open_ms: int) -> int:
        return self._calendar.next_open_ms(series.interval, open_ms)
