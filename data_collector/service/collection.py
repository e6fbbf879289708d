"""From the exchange to the store: what a record passes, put together once and run from every start to its stop.

    Lines > Intake (with the gate of `Validation`) > Outlet > Storing: pump > sink
                        ^                 |  ^
                        +--- Repairs <----+--+

Life cycle: the service makes one. `begin`, `start`, and when all tasks are cancelled `end`; then again from `begin`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from data_collector.model.channels import CHANNELS
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import SIDES, Channel, KeyKind
from data_collector.model.venue import ExchangeApi, Venue
from data_collector.observe.counters import Counters
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.tally import Tap
from data_collector.pipeline.sequence.wanted_klines import WantedKlines
from data_collector.recording.recorder import Recorder
from data_collector.service.epochs import EpochHome, Epochs
from data_collector.service.lines import Lines, Wiring
from data_collector.service.part import Part, spawner
from data_collector.service.repairs import Repairs, SpoolHome
from data_collector.service.restoring import restore
from data_collector.service.resubscription import Resubscription, RunningParts
from data_collector.service.storing import Storing
from data_collector.service.validation import Validation
from data_collector.service.watches.consumer_groups import ConsumerGroups
from data_collector.service.watches.silence import SilenceWatch
from data_collector.service.watches.statistics import Statistics
from data_collector.settings import Settings
from data_collector.sinks.redis.sink import RedisSink

BEGIN_RETRY_S = 0.5


class Collection:
    """Holds what stays from one start to the next."""

    def __init__(
        self, settings: Settings, venue: Venue, rest: ExchangeApi, home: SpoolHome, epochs: EpochHome,
        validation: Validation, counters: Counters, *, tap: Tap | None, extra_channels: Sequence[Channel],
        recorder: Recorder | None,
    ) -> None:  # fmt: skip
        """`tap` gets each record that passed the gate; `extra_channels` are subscribed to for it alone; `recorder`
        keeps what the exchange says."""
        self._settings = settings
        self._venue = venue
        self._rest = rest
        self._counters = counters
        self.outlet = Outlet(list(settings.symbols), home.spool)
        ledger = Ledger(time.time, counters, venue.calendar, epoch_of=self.outlet.epoch_of)
        self.intake = Intake(
            validation.keeper.gate, self.outlet, _wanted_klines(settings, venue), counters, validation.auditor,
            ledger=ledger,
        )  # fmt: skip
        self.intake.tally.tap = tap
        self._epochs = epochs
        self._spool = home.spool
        self._repairs = Repairs(settings, self.outlet, self.intake, rest, home, ledger, epochs, counters, venue=venue)
        if "trade" not in settings.channels:
            self.intake.trades.collect_none()
        self.statistics = Statistics(
            rest, self.intake, settings.symbols, settings.channels, counters, on_listed=validation.auditor.learn
        )
        self.wiring = Wiring(settings, venue, extra_channels, self.intake, counters, recorder)
        self.subscribed = Resubscription(
            settings, venue, rest, self.wiring, self.intake, self.outlet, self._repairs, self.statistics
        )
        for key in self.subscribed.current.every_key():
            self.intake.add(key)
        self._storing: Storing | None = None
        self.parts: Sequence[Part] = ()
        """Those of the newest start, from the ground up; none before the first."""

    async def begin(self, sink: RedisSink, *, was_filled: bool) -> None:
        """Go on where the store, or what we hold for it, ends, and make what is made anew for each start.

        Where the store `was_filled` before, what it has nothing of was lost.
        """
        while True:
            try:
                collected = self.intake.trades.collected
                tails = await sink.tails(list(collected))
                if (reason := self._repairs.unknown_epochs(collected, tails)) is not None:
                    await self._epochs.wait(reason)
                    continue
                self._repairs.resume(collected.values(), tails, was_filled=was_filled)
                wanted = self.subscribed.current
                # Before the exchange has told its time, what is stored of it is a better witness than our own clock.
                stored_ms = max((tail.last_ms for tail in tails.values() if tail is not None), default=0)
                now_ms = max(self.intake.tally.exchange_now_ms(), stored_ms)
                cursors = await sink.kline_cursors(wanted.symbols, wanted.kline_intervals, now_ms)
                self.intake.klines.begin(cursors, was_filled=was_filled)
                if (built := self.intake.klines.built) is not None:
                    await restore(built, collected, cursors, sink, self._spool, self._venue)
                break
            except SinkUnavailable as error:
                structlog.get_logger().warning("store_awaited", reason=str(error))
                await asyncio.sleep(BEGIN_RETRY_S)
        counters, intake = self._counters, self.intake
        self._storing = storing = self._storing or Storing(self._settings, self.outlet, sink, intake, counters)
        sink.sides = self.sides
        self._lines = Lines(self.wiring.groups(wanted), self.wiring, intake, counters)
        keys = [(key, group) for group in self._lines.groups for key in group.keys if key.channel in wanted.channels]
        self._watch = SilenceWatch(keys, self._venue, self._rest, intake, self.statistics, counters)
        limits = _limits(self._settings)
        groups = ConsumerGroups(sink, storing.pump.ask, self.streams, self._venue.store_keys, limits, counters)
        epochs = Epochs(
            intake.trades, self.outlet, self._spool, self._rest, self._epochs, sink, storing.pump.ask, counters,
            is_automatic=self._settings.auto_epoch,
        )  # fmt: skip
        self.parts = (self.statistics, self._watch, self._lines, self._repairs, epochs, groups, storing)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Run all parts in the group."""
        assert self._storing is not None, "begin() comes first"
        for part in self.parts:
            part.start(spawner(group))
        self.subscribed.use(RunningParts(self._lines, self._watch, self._storing, group.create_task))

    def streams(self) -> list[str]:
        """Keys of what is written to now and trimmed."""
        key, channels = self._venue.store_keys.key, self.subscribed.current.channels
        kinds = [each.stream for name, each in CHANNELS.items() if name in channels and each.stream is not None]
        return [key(kind, symbol) for symbol in self.outlet.queues for kind in kinds]

    def sides(self) -> list[str]:
        """Keys of the streams beside the records."""
        return [self._venue.store_keys.key(kind, symbol) for symbol in self.outlet.queues for kind in SIDES]

    async def end(self) -> None:
        """Write out what waits, when the group has ended."""
        assert self._storing is not None, "begin() comes first"
        self.subscribed.use(None)
        self.intake.release_held(everything=True)
        await self._storing.drain()


def _limits(settings: Settings) -> dict[KeyKind, tuple[str, int]]:
    """Of every kind of stream, the setting and its value that trims it."""
    channels = CHANNELS.values()
    return {each.stream: (each.maxlen, settings.maxlen(each.maxlen)) for each in channels if each.stream is not None}


def _wanted_klines(settings: Settings, venue: Venue) -> WantedKlines:
    intervals = settings.intervals if "kline" in settings.channels else ()
    return WantedKlines(venue.calendar, intervals, settings.catch_up_seconds, are_built=venue.klines == "built")
