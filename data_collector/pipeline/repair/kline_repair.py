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

from data_collector.model.backoff import Backoff
from data_collector.model.calendar import is_whole, missing_range, place_ms
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.gaps import GapReason
from data_collector.model.grid import KlineGrid, longest_ms
from data_collector.model.keys import Key
from data_collector.model.records import Kline
from data_collector.model.venue import KlinePage, KlinesApi, TradesApi
from data_collector.pipeline.gaps.attempts import BLOCK_S, GAP_DEADLINE_S, is_block
from data_collector.pipeline.repair.due_kline import ASK_AGAIN_S, DueKline
from data_collector.pipeline.repair.exchange_clock import ClockKeeper
from data_collector.pipeline.repair.told_refusals import ToldRefusals
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.kline_doubts import KlineDoubt
from data_collector.pipeline.sequence.series import KlineSeries

GRACE_S = 5.0
"""A closing frame comes up to two seconds after the end, on a slow line later."""

BUILT_GRACE_S = 60.0
"""All trades of a kline are here, and only a later one is waited for, or the exchange's newest id."""

FIRST_S = 30.0
"""A kline of which trades are missing is the first of a series, and REST does not tell it so long after its end, or
answers nothing for so long: then the next one is."""

LOOK_S = 0.5
"""How often series are looked at."""

LOOK_BACK = 60
"""How far before what is due a later question begins: the kline right before it may not exist either."""

IDS_DECIDE_S = 60.0
"""REST has not answered for so long: trade ids alone decide what had no trade."""

QUIET_MAX = 1_000
"""Klines without a trade that are made in one go; the next question goes on."""

PAST_KLINES = 500
"""Fetched before the first closed kline of a series, so that charts are not empty."""


class KlineRepair:
    """The task that asks."""

    def __init__(
        self, intake: Intake, rest: KlinesApi, rows_max: int, *, trades: TradesApi | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`rows_max`: what one answer holds at most; `trades` tell which times were quiet, where klines do not."""
        self._intake = intake
        self._rows_max = rows_max
        self._klines = intake.klines
        self._rest = rest
        self._trades = trades
        self._calendar = intake.klines.calendar
        self._clock = clock
        self.exchange_clock = ClockKeeper(intake, rest, clock)
        self._backoff = Backoff()
        self._refused = ToldRefusals(clock)
        self._holes: dict[Key, DueKline] = {}
        self._blocked_until_s = 0.0
        self._deadline_s = GAP_DEADLINE_S
        """After the last answer."""
        self._failed_s: float | None = None
        """Since when REST has not answered."""

    @property
    def unclosed(self) -> list[Key]:
        """Series of which updates have come for two intervals and the grace, and nothing has closed yet.

        Where the series goes on is not known then, so REST is not asked for it.
        """
        return [key for key, series in self._klines.series.items() if series.due_ms < 0 and self._is_unclosed(series)]

    @property
    def doubts(self) -> list[str]:
        """Sentences about symbols whose klines REST tells otherwise than their trades make them."""
        return self._klines.doubts.told(self._clock())

    @property
    def refusals(self) -> set[str]:
        """Why the exchange will never give what was asked of it of late, of some series."""
        return self._refused.told(self._klines.series)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask for what is due, once."""
        now = self._clock()
        self._klines.doubts.look(self._intake.trades.collected, now)
        self._begin_without_rest(now)
        if not self.exchange_clock.now_ms() and now < self._blocked_until_s:
            return
        try:
            now_ms = await self.exchange_clock.ask_ms()
            self._skip_old(now_ms)
            self._note_holes(now, now_ms)
            self._give_up(now, now_ms)
            if now < self._blocked_until_s:
                return
            asked = [key for key, hole in self._holes.items() if self._is_asked_for(key, hole, now)]
            for key in sorted(asked, key=lambda key: self._holes[key].due_ms):
                series, hole = self._klines.series.get(key), self._holes.get(key)
                if series is not None and hole is not None:
                    await self._ask(series, hole, now_ms)
            if not asked:
                await self._ask_less_urgent(now_ms)
            if not self._holes:
                # Nobody waits for REST: a failure of long ago says nothing of the next one.
                self._failed_s = None
                self._backoff.reset()
        except (VenueUnreachable, VenueRefused) as error:
            retry_after_s = error.retry_after_s if isinstance(error, VenueUnreachable) else None
            self._blocked_until_s = now + self._backoff.next_delay_s(retry_after_s=retry_after_s)
            if is_block(retry_after_s):
                self._deadline_s = GAP_DEADLINE_S + BLOCK_S
            if self._failed_s is None:
                self._failed_s = now
                structlog.get_logger().warning("klines_unanswered", reason=str(error))
            elif now - self._failed_s >= IDS_DECIDE_S:
                self._leave_to_ids()

    def _is_made(self, series: KlineSeries, open_ms: int) -> bool:
        """Whether a kline will be made of our trades, which tell more than REST does."""
        return self._klines.built is not None and self._klines.built.will_make(series.key, open_ms)

    def _is_asked_for(self, key: Key, hole: DueKline, now: float) -> bool:
        built = self._klines.built
        if built is not None and now < hole.overdue_s + BUILT_GRACE_S and built.makes(self._klines.series[key]):
            return False
        return now >= hole.next_s or self._has_news(key, hole)

    def _has_news(self, key: Key, hole: DueKline) -> bool:
        """A later kline has come since REST answered without the due one: now it can prove that there is none."""
        was_answered = hole.answered_s > hole.overdue_s
        return was_answered and not hole.asked_past and self._klines.series[key].first_held_ms is not None

    def _begin_without_rest(self, now: float) -> None:
        """New series begin with what has closed, where REST tells nothing of their first kline, or does not answer."""
        for key in list(self._klines.beginning):
            series, hole = self._klines.series[key], self._holes.get(key)
            since_s = min(now if hole is None else hole.overdue_s, now if self._failed_s is None else self._failed_s)
            if series.first_held_ms is not None and now - since_s >= FIRST_S:
                series.begin_at(series.first_held_ms)
                self._klines.release(series)

    def _leave_to_ids(self) -> None:
        """REST stays away: what trade ids prove to be without trades needs not wait for it."""
        for key, hole in list(self._holes.items()):
            series = self._klines.series.get(key)
            if series is not None:
                series.leave_to_ids(self._open_at(series, self.exchange_clock.now_ms()))
                self._klines.release(series)
            if series is None or series.due_ms != hole.due_ms:
                del self._holes[key]

    def _skip_old(self, now_ms: int) -> None:
        """Of what the store told us to lack, only the younger part is fetched, and that at once."""
        now = self._clock()
        for key in self._holes.keys() - self._klines.series.keys():
            # Collected no longer.
            del self._holes[key]
        for key in self._klines.resumed:
            series = self._klines.series[key]
            self._pass_over(series, self._open_at(series, now_ms - self._klines.catch_up_ms), "skipped")
            self._holes[key] = DueKline(series.due_ms, now, 0.0)
        self._klines.resumed.clear()

    def _note_holes(self, now: float, now_ms: int) -> None:
        for key, series in self._klines.series.items():
            hole = self._holes.get(key)
            if series.due_ms < 0 or self._after(series, series.due_ms) > now_ms:
                if hole is not None:
                    del self._holes[key]
            elif hole is None or hole.due_ms != series.due_ms:
                self._holes[key] = DueKline(series.due_ms, now, GRACE_S)

    def _give_up(self, now: float, now_ms: int) -> None:
        for key, hole in list(self._holes.items()):
            series = self._klines.series[key]
            held_ms = series.first_held_ms
            if now >= hole.next_s and series.pass_refused() is not None:
                # No good copy of what was refused has come.
                self._klines.release(series)
            elif hole.asked_past and held_ms is not None and series.is_lost and now - hole.overdue_s >= FIRST_S:
                series.begin_at(held_ms)
                self._klines.release(series)
            elif now - max(hole.overdue_s, hole.answered_s) >= self._deadline_s:
                old_ms = self._open_at(series, now_ms - int(GAP_DEADLINE_S * 1000))
                self._pass_over(series, max(old_ms, self._after(series, series.due_ms)), "lost")
            if series.due_ms != hole.due_ms:
                del self._holes[key]

    async def _ask(self, series: KlineSeries, hole: DueKline, now_ms: int) -> None:
        """One call for all that a series lacks; what it tells is passed on in order."""
        due_ms, ledger = series.due_ms, self._klines.ledger
        if hole.due_ms != due_ms:
            # Its closing frame came while others were asked for.
            return
        # Younger ones may still come by themselves.
        until_ms = max(self._open_at(series, now_ms - int(GRACE_S * 1000)), self._after(series, due_ms))
        last_ms, _ = missing_range(self._calendar, series.key.kline_interval, due_ms, until_ms)
        # An answer with the one before, too, proves that there is none between.
        grid = KlineGrid(self._calendar, series.key.kline_interval)
        first_ms = grid.back(due_ms, LOOK_BACK if hole.asked_past else 1)
        if series.key not in self._klines.beginning:
            ledger.opened(series.key, due_ms, last_ms)
        ledger.noted(series.key, "rest_asked")
        try:
            # A later one in the answer shows that REST has got so far.
            page = await self._klines_of_rest(series.key, first_ms, max(last_ms, series.first_held_ms or 0))
        except VenueUnreachable:
            ledger.noted(series.key, "rest_failed")
            raise
        except VenueRefused as error:
            # It concerns this series alone, and nobody waits for what will never come.
            ledger.noted(series.key, "rest_refused")
            self._refused.note(series.key, error)
            if series.first_held_ms is not None:
                self._pass_over(series, until_ms, "lost")
            self._ask_later(hole)
            return
        rows = page.klines
        whole = {row.open_ms for row in rows if self._is_whole(row, due_ms)}
        for row in rows:
            place = place_ms(self._calendar, row.interval, row.open_ms, due_ms)
            if place is None or not due_ms <= place <= last_ms or (place > due_ms and self._is_made(series, place)):
                continue
            if row.open_ms in whole:
                self._klines.take_told(series, row)
            elif place not in whole:
                # The exchange's own oddity: in place of a kline it has something else.
                self._klines.set_aside(series, row, place)
        told_ms = page.told_to_ms(self._rows_max)
        series.leave_to_rest(last_ms if told_ms is None else min(told_ms, last_ms))
        if series.due_ms == due_ms and not page.tells_quiet:
            await self._take_quiet(series, last_ms)
        if series.due_ms != due_ms:
            more = series.due_ms < until_ms
            self._holes[series.key] = DueKline(series.due_ms, self._clock(), 0.0 if more else GRACE_S)
        else:
            self._ask_again(series, hole, until_ms, proves_absence=page.proven_from_ms <= due_ms < page.proven_to_ms)

    async def _take_quiet(self, series: KlineSeries, last_ms: int) -> None:
        """What is due and was left out had no trade, if none was made in its time: two trades with ids in turn tell."""
        symbol, interval, open_ms = series.key.symbol, series.key.kline_interval, series.due_ms
        first_id = None if self._trades is None else await self._trades.first_trade_id(symbol, open_ms)
        if self._trades is None or first_id is None:
            return
        around = (await self._trades.trades(symbol, first_id - 1, limit=2)).trades
        if [trade.trade_id for trade in around] != [first_id - 1, first_id] or around[0].time_ms >= open_ms:
            return
        price = around[0].price
        for _ in range(QUIET_MAX):
            next_ms = self._after(series, open_ms)
            if open_ms > last_ms or next_ms > around[1].time_ms:
                return
            quiet = Kline(
                symbol, interval, open_ms, next_ms - 1, price, price, price, price, volume="0", quote_volume="0",
                taker_buy_base_volume="0", taker_buy_quote_volume="0", trades=0, is_closed=True, event_ms=next_ms,
            )  # fmt: skip
            self._klines.take_told(series, quiet)
            open_ms = next_ms

    def _ask_again(self, series: KlineSeries, hole: DueKline, until_ms: int, *, proves_absence: bool) -> None:
        """The answer did not tell the due kline."""
        now, held_ms = self._clock(), series.first_held_ms
        if held_ms is None:
            # The exchange itself has none yet, or none any more: a market that rests has no klines.
            hole.answered_s = now
            self._ask_later(hole)
            return
        hole.asked_past, hole.next_s = True, now + ASK_AGAIN_S
        if not proves_absence:
            # REST lags behind the stream: it does not have the later one either.
            return
        hole.answered_s = now
        if hole.left_out.note(now):
            self._pass_over(series, min(until_ms, held_ms), "absent")

    def _ask_later(self, hole: DueKline) -> None:
        hole.next_s = self._clock() + hole.pauses.next_delay_s()

    async def _klines_of_rest(self, key: Key, first_ms: int, last_ms: int) -> KlinePage:
        page = await self._rest.klines(key.symbol, key.kline_interval, first_ms, last_ms)
        self._refused.answered(key)
        self._deadline_s = GAP_DEADLINE_S
        if self._failed_s is not None:
            self._backoff.reset()
            structlog.get_logger().info("klines_answered", after_s=round(self._clock() - self._failed_s, 1))
            self._failed_s = None
        return page

    def _pass_over(self, series: KlineSeries, until_ms: int, reason: GapReason) -> None:
        """As far as what waits."""
        held_ms = series.first_held_ms
        gap = series.pass_over(until_ms if held_ms is None else min(until_ms, held_ms), reason)
        if gap is not None:
            self._klines.ledger.given_up(series.key, gap.first, gap.last, reason)
        self._klines.release(series)

    async def _ask_less_urgent(self, now_ms: int) -> None:
        """One call for what nobody waits for."""
        klines = self._klines
        doubts = klines.doubts
        if comparable := [doubt for doubt in doubts.waiting if self._is_comparable(doubt, now_ms)]:
            first = comparable[0].kline
            within_ms = (self._rows_max - 1) * (first.close_ms + 1 - first.open_ms)
            asked = {
                doubt.kline.open_ms: doubt for doubt in comparable
                if doubt.series == comparable[0].series
                and first.open_ms <= doubt.kline.open_ms <= first.open_ms + within_ms
            }  # fmt: skip
            rows = await self._klines_if_any(first, first.open_ms, max(asked))
            doubts.waiting[:] = [doubt for doubt in doubts.waiting if doubt not in asked.values()]
            for row in rows:
                if row.open_ms in asked:
                    klines.reconcile(asked[row.open_ms], row, now_ms)
        elif klines.begun:
            kline = klines.begun[0]
            first_ms = max(kline.open_ms - min(PAST_KLINES, self._rows_max) * (kline.close_ms + 1 - kline.open_ms), 0)
            rows = await self._klines_if_any(kline, first_ms, kline.open_ms - 1)
            del klines.begun[0]
            klines.put_past(rows[-PAST_KLINES:])

    async def _klines_if_any(self, kline: Kline, first_ms: int, last_ms: int) -> list[Kline]:
        key = Key("kline", kline.symbol, kline.interval)
        try:
            page = await self._klines_of_rest(key, first_ms, last_ms)
        except VenueRefused as error:
            self._refused.note(key, error)
            return []
        return [row for row in page.klines if self._is_whole(row, kline.open_ms)]

    def _is_comparable(self, doubt: KlineDoubt, now_ms: int) -> bool:
        """Whether it is time to ask, and the kline was put: revisions follow.

        A kline that waits behind one that is missing is not put yet.
        """
        series = self._klines.series.get(Key("kline", *doubt.series))
        return now_ms >= doubt.from_ms and (series is None or doubt.kline.open_ms < series.due_ms)

    def _is_whole(self, kline: Kline, anchor_ms: int) -> bool:
        return is_whole(self._calendar, kline.interval, kline.open_ms, kline.close_ms, anchor_ms)

    def _is_unclosed(self, series: KlineSeries) -> bool:
        if self._klines.built is not None:
            grace_ms = int(BUILT_GRACE_S * 1000)
            return self._klines.built.traded_ms(series) >= 2 * longest_ms(series.key.kline_interval) + grace_ms
        if series.first_ms < 0:
            return False
        second_ms = self._after(series, series.first_ms)
        return series.event_ms >= self._after(series, second_ms) + int(GRACE_S * 1000)

    def _open_at(self, series: KlineSeries, time_ms: int) -> int:
        """The open time, from the due one on, of the first kline that ends after `time_ms`."""
        if self._after(series, series.due_ms) > time_ms:
            return series.due_ms
        last_ms, _ = missing_range(self._calendar, series.key.kline_interval, series.due_ms, time_ms)
        after_ms = self._after(series, last_ms)
        return after_ms if after_ms <= time_ms else last_ms

    def _after(self, series: KlineSeries, open_ms: int) -> int:
        return self._calendar.next_open_ms(series.key.kline_interval, open_ms)
