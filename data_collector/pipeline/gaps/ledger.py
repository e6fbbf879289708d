"""What became of each gap: opened, healed from where, or closed with what reason. For people, not for the sequence.

Life cycle: the service makes one; whoever sees a gap (repair of trades, repair of klines, the sink) tells it, on the
event loop; the report reads it. It never decides anything: forgetting it all would lose no record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal
from urllib.parse import quote

from msgspec import structs

from data_collector.model.calendar import Calendar, UtcCalendar
from data_collector.model.gaps import GapReason
from data_collector.model.grid import grid_of
from data_collector.model.keys import Key
from data_collector.model.status import HEAL_BOUNDS_S, GapEvent, GapLife, GapsStatus, GapTotals
from data_collector.model.wire import second_text
from data_collector.observe.counters import Counters
from data_collector.observe.logs import get_log
from data_collector.pipeline.gaps.ranges import Ranges

HealSource = Literal["ws", "rest", "spool", "built"]
"""Where a missing record came from: another copy on a stream, the exchange's REST side, our own memory and spool, or
trade ids that prove a kline without trades."""

CLOSED_KEPT = 1000
"""Lives of closed gaps, of all symbols together; the oldest go first."""

OPEN_KEPT = 64
"""Open gaps of one key. What is missing beyond that is counted with the newest of them, so nothing is forgotten."""

EVENTS_KEPT = 24
"""Per gap: the first of them, and the newest."""

TOLD = 200
"""Open gaps, and closed ones, in one snapshot."""

LOGGED_PER_WINDOW = 20
LOG_WINDOW_S = 10.0
"""A lost connection opens a gap per symbol; of thousands a log needs some and the count."""

REFUSED_LOG_WINDOW_S = 60.0
"""A rule that refuses one record mostly refuses many: one line of it is enough, and the count."""


class Ledger:
    """The lives of gaps of all symbols, the newest of each.

    An id names a gap by its first missing record. When the same record is missing again later, the id means the newer
    life, and the older one is forgotten.
    """

    def __init__(
        self, clock: Callable[[], float], counters: Counters | None = None, calendar: Calendar | None = None,
        *, epoch_of: Callable[[str], int] = lambda symbol: 0,
    ) -> None:  # fmt: skip
        """`clock` is the wall clock in seconds; `calendar` tells when klines open (default: `UtcCalendar`).

        `epoch_of` tells in which epoch the trade ids of a symbol are.
        """
        self._clock = clock
        self._counters = counters or Counters()
        self._calendar = calendar or UtcCalendar()
        self._open: dict[Key, list[_OpenGap]] = {}
        self._epoch_of = epoch_of
        self._closed: dict[str, GapLife] = {}
        self._totals: dict[tuple[str, str], GapTotals] = {}
        self._opened_log = _SparingLog(clock)
        self._closed_log = _SparingLog(clock)
        self._given_up_logs: dict[tuple[str, ...], _SparingLog] = {(): _SparingLog(clock)}
        """By the rules that refused; without any for other reasons."""

    def opened(self, key: Key, first: int, last: int) -> None:
        """A gap was seen, or has grown: trade ids, or open times in ms.

        Everything from `first` to `last` is missing now. Telling the same again changes nothing.
        """
        if last < first:
            return
        end = self._end(key, last)
        gaps = self._open.setdefault(key, [])
        gap = next((gap for gap in gaps if gap.touches(first, end)), None)
        if gap is None and len(gaps) >= OPEN_KEPT:
            gap = gaps[-1]
        if gap is None:
            gaps.append(self._begin(key, first, last, end))
            return
        missing = gap.missing.total
        gap.missing.add(first, end)
        if gap.missing.total != missing:
            gap.life.first, gap.life.last = min(gap.life.first, first), max(gap.life.last, last)
            gap.end = max(gap.end, end)
            gap.life.count = self._count(key, gap.life.first, gap.end)
            self._note_missing(gap)
            _add(gap.life, GapEvent(self._clock(), "grown", first, last))

    def noted(self, key: Key, what: str) -> None:
        """Something was tried for the open gap of this key: `twin_awaited`, `rest_asked`, `rest_failed`, …"""
        for gap in self._open.get(key, ()):
            # Tried again and again while an exchange is away: asked, failed, asked, … A line of each says as much.
            again = next((event for event in gap.life.events[-2:] if event.what == what), None)
            if again is None:
                _add(gap.life, GapEvent(self._clock(), what))
            else:
                again.times += 1
                again.until_s = self._clock()

    def healed(self, key: Key, first: int, last: int, source: HealSource, *, are_ordinary: bool = False) -> None:
        """Records of the open gap came; it may be healed in parts. What was not missing is not counted.

        Built klines are, unless they `are_ordinary`: a quiet market lacks most of its closing frames, and none of them
        need be told as open before.
        """
        count = 0
        for gap, came in self._take(key, first, last):
            count += came
            gap.life.healed[source] = gap.life.healed.get(source, 0) + came
            _add_heal(gap.life, GapEvent(self._clock(), "healed", first, last, count=came, by=source))
        if source == "built" and not are_ordinary:
            count = self._count(key, first, self._end(key, last))
        if count:
            totals = self._totals_of(key)
            totals.healed[source] = totals.healed.get(source, 0) + count
            self._counters.add("data_collector_gap_filled_total", count, channel=key.channel, source=source)
            self._close_filled(key)

    def given_up(
        self, key: Key, first: int, last: int, reason: GapReason, *, epoch: int | None = None,
        rules: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """The range was passed over, and `gaps:` says so. It need not have been told as open before.

        Trade ids are of that `epoch` (default: the present one). `rules` refused what was `refused`.
        """
        if last < first:
            return
        now_s, end = self._clock(), self._end(key, last)
        count = self._count(key, first, end)
        gaps = [gap for gap, _ in self._take(key, first, last)]
        if not gaps:
            gap = self._begin(key, first, last, end, epoch=epoch, is_logged=False)
            gap.missing.remove(first, end)
            self._open.setdefault(key, []).append(gap)
            gaps = [gap]
        # Where one range reaches over several gaps its count stands with the first of them.
        life = gaps[0].life
        life.given_up[reason] = life.given_up.get(reason, 0) + count
        life.rules = sorted({*life.rules, *rules})
        for gap in gaps:
            _add(gap.life, GapEvent(now_s, "given_up", first, last, count=count, by=reason))
        totals = self._totals_of(key)
        totals.given_up[reason] = totals.given_up.get(reason, 0) + count
        if rules not in self._given_up_logs:
            self._given_up_logs[rules] = _SparingLog(self._clock, 1, REFUSED_LOG_WINDOW_S)
        self._given_up_logs[rules].event(
            "gap_given_up", is_warning=True, id=life.id, symbol=key.symbol, interval=key.interval, first=first,
            last=last, count=count, reason=reason, rules=", ".join(rules) or None,
        )  # fmt: skip
        self._close_filled(key)

    def withdrawn(self, key: Key, first: int, last: int) -> None:
        """The range was never missing: the exchange has no such records. Nothing is counted."""
        if last < first:
            return
        for gap, _ in self._take(key, first, last):
            _add(gap.life, GapEvent(self._clock(), "withdrawn", first, last))
        self._close_filled(key)

    def passed(self, key: Key, until: int) -> None:
        """Nothing before this is awaited any more: what is still missing there never was, or was given up before."""
        grid = grid_of(key, self._calendar)
        stale = [
            (first, grid.span(first, min(end, until))[0])
            for gap in self._open.get(key, ()) for first, end in gap.missing if first < until
        ]  # fmt: skip
        for first, last in stale:
            self.withdrawn(key, first, last)

    def forget(self, key: Key) -> None:
        """It is collected no longer, or its ids began anew: nobody waits for what is missing."""
        self._open.pop(key, None)

    def status(self) -> GapsStatus:
        """For the snapshot: the oldest open gaps, the newest closed ones, and symbols with something to tell."""
        lives = sorted((gap.life for gaps in self._open.values() for gap in gaps), key=lambda life: life.opened_at_s)
        missing = sum(life.missing for life in lives)
        oldest_open_s = max(0.0, self._clock() - lives[0].opened_at_s) if lives else 0.0
        self._counters.set("data_collector_gaps_open", len(lives))
        self._counters.set("data_collector_gaps_missing_records", missing)
        self._counters.set("data_collector_gaps_oldest_open_seconds", oldest_open_s)
        return GapsStatus(
            open_count=len(lives),
            missing=missing,
            oldest_open_s=oldest_open_s,
            open=[_copy(life) for life in lives[:TOLD]],
            # Closed lives never change, so they go out as they are.
            closed=list(islice(reversed(self._closed.values()), TOLD)),
            totals=list(self._totals.values()),
        )

    def _begin(
        self, key: Key, first: int, last: int, end: int, *, epoch: int | None = None, is_logged: bool = True
    ) -> _OpenGap:  # fmt: skip
        count, now_s = self._count(key, first, end), self._clock()
        if epoch is None:
            epoch = self._epoch_of(key.symbol) if key.channel == "trade" else 0
        life = GapLife(gap_id(key, first, epoch), key, first, last, count, count, now_s, epoch=epoch)
        life.events.append(GapEvent(now_s, "opened", first, last, count=count))
        self._totals_of(key).gaps += 1
        if is_logged:
            self._opened_log.event(
                "gap_opened", id=life.id, symbol=key.symbol, interval=key.interval, first=first, last=last, count=count
            )
        return _OpenGap(life, end)

    def _take(self, key: Key, first: int, last: int) -> Iterator[tuple[_OpenGap, int]]:
        """The open gaps that lack part of the range, and how many records of it each: they lack them no more."""
        end = self._end(key, last)
        for gap in self._open.get(key, ()):
            before = gap.life.missing
            if gap.missing.remove(first, end):
                self._note_missing(gap)
                yield gap, before - gap.life.missing

    def _close_filled(self, key: Key) -> None:
        gaps = self._open.get(key, [])
        for gap in [gap for gap in gaps if not gap.missing]:
            gaps.remove(gap)
            self._close(gap.life)
        if not gaps:
            self._open.pop(key, None)

    def _close(self, life: GapLife) -> None:
        life.missing = 0
        life.closed_at_s = self._clock()
        if life.healed.keys() == {"built"} and not life.given_up:
            # Nothing was missing but a frame. Of these there are so many that they would push out all others.
            return
        self._closed.pop(life.id, None)
        self._closed[life.id] = life
        if len(self._closed) > CLOSED_KEPT:
            del self._closed[next(iter(self._closed))]
        if life.given_up:
            return
        seconds = max(0.0, life.closed_at_s - life.opened_at_s)
        totals = self._totals_of(life.key)
        totals.heal_counts[bisect_left(HEAL_BOUNDS_S, seconds)] += 1
        totals.heal_longest_s = max(totals.heal_longest_s, seconds)
        self._counters.observe("data_collector_gap_heal_seconds", seconds)
        self._closed_log.event(
            "gap_healed", id=life.id, symbol=life.key.symbol, interval=life.key.interval, first=life.first,
            last=life.last, count=life.count, seconds=round(seconds, 3), sources=_sources(life.healed),
        )  # fmt: skip

    def _totals_of(self, key: Key) -> GapTotals:
        # All intervals of a symbol's klines together.
        return self._totals.setdefault((key.symbol, key.channel), GapTotals(key.symbol, key.channel))

    def _note_missing(self, gap: _OpenGap) -> None:
        gap.life.missing = sum(self._count(gap.life.key, first, end) for first, end in gap.missing)

    def _end(self, key: Key, last: int) -> int:
        """Where the record after `last` stands."""
        return grid_of(key, self._calendar).following(last)

    def _count(self, key: Key, first: int, end: int) -> int:
        return grid_of(key, self._calendar).span(first, end)[1]


class _OpenGap:
    """A life that goes on, and exactly what it still lacks."""

    __slots__ = ("end", "life", "missing")

    def __init__(self, life: GapLife, end: int) -> None:
        self.life = life
        self.end = end
        self.missing = Ranges([(life.first, end)])

    def touches(self, first: int, end: int) -> bool:
        return self.life.first <= end and first <= self.end


class _SparingLog:
    """Logs so many events in a window; the first one after it says how many were left out."""

    def __init__(
        self, clock: Callable[[], float], per_window: int = LOGGED_PER_WINDOW, window_s: float = LOG_WINDOW_S
    ) -> None:  # fmt: skip
        self._clock = clock
        self._per_window = per_window
        self._window_s = window_s
        self._log = get_log()
        self._since_s = float("-inf")
        self._logged = self._left_out = 0

    def event(self, name: str, *, is_warning: bool = False, **fields: str | float | None) -> None:
        now_s = self._clock()
        if not 0 <= now_s - self._since_s < self._window_s:
            self._since_s, self._logged = now_s, 0
        if self._logged >= self._per_window:
            self._left_out += 1
            return
        self._logged += 1
        if self._left_out:
            fields["left_out_before"] = self._left_out
            self._left_out = 0
        (self._log.warning if is_warning else self._log.info)(name, **fields)


def gap_id(key: Key, first: int, epoch: int = 0) -> str:
    """`BTCUSDT-trade-1201`, in a later epoch `BTCUSDT-trade-1201-epoch-1`, `BTCUSDT-1m-2024-01-01T12:00:00`.

    It stands in a URL as it is.
    """
    if key.interval is not None:
        place = f"{key.interval}-{second_text(first // 1000)}"
    else:
        place = f"trade-{first}-epoch-{epoch}" if epoch else f"trade-{first}"
    return f"{quote(key.symbol, safe='')}-{place}"


def _sources(healed: dict[str, int]) -> str:
    return ", ".join(f"{count} by {source}" for source, count in healed.items())


def _add(life: GapLife, event: GapEvent) -> None:
    if len(life.events) >= EVENTS_KEPT:
        del life.events[EVENTS_KEPT // 2]
        life.events_left_out += 1
    life.events.append(event)


def _add_heal(life: GapLife, event: GapEvent) -> None:
    """Pages and runs of one source that follow each other are one event that grows."""
    newest = life.events[-1]
    if newest.what == "healed" and newest.by == event.by:
        newest.first, newest.last = min(newest.first, event.first), max(newest.last, event.last)
        newest.count += event.count
        newest.times += 1
        newest.until_s = event.at_s
    else:
        _add(life, event)


def _copy(life: GapLife) -> GapLife:
    """What a snapshot holds does not change any more."""
    events = [structs.replace(event) for event in life.events]
    return structs.replace(life, healed=dict(life.healed), given_up=dict(life.given_up), events=events)
