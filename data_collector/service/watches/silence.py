"""Whether a stream that keeps silent is quiet or mute, and what is done about a mute one.

Every stream's cursor is sampled once a second. One that is silent for longer than its own rhythm allows, or has not
spoken since the start, is asked about on the REST side, many symbols in one call where tickers name trades, else one
symbol after the other: when the exchange's last trade id does not move the stream is quiet, and nothing is done. When
it moves and the stream does not speak, the stream is mute: it is subscribed to anew, and if that does not help, its
connection is replaced (make before break). Trades that keep silent while statistics count more of them are mute too.
Where no id is told nothing is proven, unless statistics tell that nothing was traded, and the operator is told. One
whose records all are refused speaks: nothing is done, and the operator is told which rule it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence

import structlog

from data_collector.model.channels import collected
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.status import Snapshot
from data_collector.model.venue import ListingApi, Venue
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.rhythm import Rhythm
from data_collector.pipeline.sequence.intake import Intake
from data_collector.service.lines import Group
from data_collector.service.part import Part, PartHealth, Spawn, names
from data_collector.service.watches.silent_stream import QUIET_AGAIN_S, Stream
from data_collector.service.watches.statistics import Statistics

SAMPLE_S = 1.0
STREAMS_PER_SLICE = 500
"""Between slices others run: 500 streams take about half a millisecond."""

PROBE_S = 2.0
"""Between two questions; beyond `MANY_SYMBOLS` symbols a question costs weight that matters."""

PROBE_MANY_S = 15.0
MANY_SYMBOLS = 100

FIRST_WORD_S = 10.0
"""A stream of a trading symbol speaks within this time after the subscription."""

RENEWAL_S = 60.0
"""A connection is replaced because of the same stream after so long again, then after twice as long, and so on."""

RENEWALS_MAX = 6
"""An hour."""


class SilenceWatch(Part):
    """One eternal task per collection; what it found is read by the report."""

    def __init__(
        self, keys: Sequence[tuple[Key, Group]], venue: Venue, rest: ListingApi, intake: Intake,
        statistics: Statistics, counters: Counters, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._rest = rest
        self._intake = intake
        self._statistics = statistics
        self._counters = counters
        self._ask_s = 0.0
        self._asks_each = venue.cost.head > 0
        self._asked_s: dict[str, float] = {}
        """When each symbol was asked about, where it is asked about alone."""
        self._codec = venue.codec
        self._streams: list[Stream] = []
        self._refusing: set[tuple[str, ...]] = set()
        """Rules that refuse all of a stream."""
        for key, group in keys:
            self.add(key, group)

    def add(self, key: Key, group: Group) -> None:
        """A stream is subscribed to from now on."""
        channel = collected(key)
        if channel is not None:
            rhythm = Rhythm(self._passed(key) + self._refused(key), self._clock())
            self._streams.append(Stream(key, self._codec.stream_name(key), group, rhythm, channel.grace_s))

    def remove(self, keys: Collection[Key]) -> None:
        """Streams that are subscribed to no longer."""
        over = {self._codec.stream_name(key) for key in keys}
        for stream in self._streams:
            stream.is_over = stream.name in over
        self._streams = [stream for stream in self._streams if not stream.is_over]

    def start(self, spawn: Spawn) -> None:
        """See `Part`."""
        spawn("silence", self.run)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()

    async def look(self) -> None:
        """One round of samples, and what follows from them."""
        suspects = [stream async for stream in self._sampled()]
        self._log_refused()
        if suspects:
            await self._judge(suspects)

    def report(self, snapshot: Snapshot) -> PartHealth:
        """Streams that have not spoken since the start and are not proven quiet, and those that ought to speak."""
        watched = list(self._watched())
        unspoken = [each for each in watched if not each.rhythm.has_spoken and not each.quiet]
        mute = [each.name for each in watched if each.is_mute]
        self._counters.set("data_collector_streams_silent", len(unspoken))
        self._counters.set("data_collector_streams_mute", len(mute))
        self._counters.set("data_collector_streams_quiet", sum(each.quiet for each in watched))
        reasons: list[str] = []
        now_s = self._clock()
        late = {stream.key.symbol for stream in unspoken if now_s - stream.begun_s > FIRST_WORD_S}
        if late:
            reasons.append(f"not all streams have spoken of {names(sorted(late))}")
        if mute:
            reasons.append(f"the exchange trades, and these streams are mute: {names(mute)}")
        unproven = [each.name for each in watched if each.is_unproven(now_s) and not each.is_mute]
        if unproven:
            reasons.append(
                f"these streams are silent, and the exchange's REST side names no newest trade that would prove them"
                f" quiet: {names(unproven)}; see whether the exchange itself trades them, and whether a proxy or cache"
                " answers in its place"
            )
        reasons += self._refused_reasons(watched)
        return PartHealth(reasons, ready=not unspoken and not mute)

    def _refused_reasons(self, watched: Sequence[Stream]) -> Iterator[str]:
        symbols: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for stream in watched:
            if stream.is_refused:
                symbols.setdefault((self._rules(stream), f"{stream.key.unit}s"), []).append(stream.key.symbol)
        units: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for (rules, unit), refused in symbols.items():
            units.setdefault((rules, names(refused)), []).append(unit)
        for (rules, of), refused_units in units.items():
            yield (
                f"all {', '.join(refused_units)} of {of} are refused by {', '.join(rules)}: see `data-collector"
                " quarantine list`, or mend the rule"
            )

    def _log_refused(self) -> None:
        """Each set of rules once, when it begins to refuse all of a stream, and when it refuses none so any more."""
        refused: dict[tuple[str, ...], list[str]] = {}
        for stream in self._streams:
            if stream.is_refused:
                refused.setdefault(self._rules(stream), []).append(stream.name)
        for rules in refused.keys() - self._refusing:
            structlog.get_logger().warning(
                "streams_all_refused", rules=rules, streams=len(refused[rules]), example=refused[rules][0]
            )
        for rules in self._refusing - refused.keys():
            structlog.get_logger().info("streams_pass_again", rules=rules)
        self._refusing = set(refused)

    def _rules(self, stream: Stream) -> tuple[str, ...]:
        """That refused its newest record of those that were."""
        return self._intake.tally.refused[stream.key].rules

    def _watched(self) -> Iterator[Stream]:
        """Streams that ought to speak: the exchange gives them, and their symbol is traded."""
        statistics, refused = self._statistics, self._refused_keys()
        for stream in self._streams:
            symbol = stream.key.symbol
            if symbol not in statistics.resting and symbol not in statistics.unlisted and stream.key not in refused:
                yield stream

    def _refused_keys(self) -> set[Key]:
        groups = {stream.group for stream in self._streams}
        return {key for group in groups for key in group.refused}

    def _has_spoken(self, stream: Stream, now_s: float) -> bool:
        """Whether anything has come since the last sample, passed or refused."""
        passed, refused = self._passed(stream.key), self._refused(stream.key)
        stream.judge(passed, refused, now_s)
        return stream.rhythm.sample(passed + refused, now_s, counts=stream.key.channel == "trade")

    def _refused(self, key: Key) -> int:
        refused = self._intake.tally.refused.get(key)
        return 0 if refused is None else refused.count

    def _passed(self, key: Key) -> int:
        """Grows with what the stream brings and passes."""
        intake = self._intake
        if key.channel == "trade":
            return intake.trades.sequences[key.symbol].spoken
        if key.channel != "kline":
            return intake.spoken.get(key, -1)
        series = intake.klines.series.get(key)
        return -1 if series is None else series.event_ms

    async def _sampled(self) -> AsyncIterator[Stream]:
        """Samples every stream within `SAMPLE_S`, and gives those that keep silent."""
        streams = list(self._watched())
        if len(streams) < len(self._streams):
            self._begin_refused(self._refused_keys())
        slices = max(1, -(-len(streams) // STREAMS_PER_SLICE))
        for number in range(slices):
            await asyncio.sleep(SAMPLE_S / slices)
            now = self._clock()
            for stream in streams[number * STREAMS_PER_SLICE : (number + 1) * STREAMS_PER_SLICE]:
                if stream.is_over:
                    continue
                if self._has_spoken(stream, now):
                    stream.speak()
                    stream.renewals = 0
                elif not stream.group.is_connected:
                    # Not the stream's fault: its time begins with the next connection.
                    stream.rhythm.heard_s = now
                elif not stream.rhythm.has_spoken or now - stream.rhythm.heard_s > stream.rhythm.silence_max_s:
                    yield stream

    def _begin_refused(self, keys: Collection[Key]) -> None:
        """Their time begins when the exchange gives them; one that speaks is given."""
        now_s = self._clock()
        for stream in self._streams if keys else ():
            if stream.key not in keys:
                continue
            stream.begun_s = now_s
            if self._has_spoken(stream, now_s):
                for line in stream.group.lines:
                    line.accept(stream.key)
            stream.rhythm.heard_s = now_s

    async def _judge(self, suspects: Sequence[Stream]) -> None:
        now = self._clock()
        self._look_at_statistics(suspects, now)
        # What is traded behind a mute stream comes by REST, once it is known that there is something.
        asked = [each for each in suspects if now >= each.ask_s or (each.is_filled and not each.unproven_s)]
        if asked and now >= self._ask_s:
            symbols = self._next_symbol(asked) if self._asks_each else {each.key.symbol for each in suspects}
            try:
                last_ids = await (self._ask_heads(symbols, now) if self._asks_each else self._ask_all(symbols, now))
            except (VenueUnreachable, VenueRefused):
                for stream in asked:
                    if stream.key.symbol in symbols:
                        stream.unproven_s = stream.unproven_s or now
            else:
                for stream in suspects:
                    if not stream.is_over and stream.key.symbol in symbols:
                        self._compare(stream, last_ids.get(stream.key.symbol))
        await self._act([stream for stream in suspects if not stream.is_over and self._is_overdue(stream)])

    def _look_at_statistics(self, suspects: Sequence[Stream], now: float) -> None:
        for stream in suspects:
            statistics = self._intake.statistics.get(stream.key.symbol)
            if stream.key.channel != "trade" or statistics is None or (stream.strikes and now < stream.ask_s):
                # Something that was done about it takes its time.
                continue
            if stream.is_traded_beside(statistics):
                stream.moved_s = stream.moved_s or now
                stream.quiet = False

    async def _ask_all(self, symbols: Collection[str], now: float) -> Mapping[str, int | None]:
        self._ask_s = now + (PROBE_S if len(symbols) <= MANY_SYMBOLS else PROBE_MANY_S)
        tickers = await self._rest.tickers(sorted(symbols))
        for ticker in tickers:
            self._intake.take_statistics(ticker)
        return {ticker.symbol: ticker.last_id for ticker in tickers}

    def _next_symbol(self, asked: Sequence[Stream]) -> set[str]:
        """The one that has waited longest: between two questions the repair has its turn."""
        return {min((stream.key.symbol for stream in asked), key=lambda symbol: self._asked_s.get(symbol, 0.0))}

    async def _ask_heads(self, symbols: Collection[str], now: float) -> Mapping[str, int | None]:
        self._asked_s |= dict.fromkeys(symbols, now)
        heads = await self._rest.heads(sorted(symbols))
        for each, trade_id in heads.items():
            self._intake.take_head(each, trade_id)
        return heads

    def _compare(self, stream: Stream, last_id: int | None) -> None:
        now = self._clock()
        if last_id is None:
            # The exchange left the symbol out, or names no trade: that alone says nothing of it.
            statistics = self._intake.statistics.get(stream.key.symbol)
            stream.quiet = statistics is not None and statistics.count == 0
            stream.unproven_s = 0.0 if stream.quiet else stream.unproven_s or now
            stream.put_off(now)
            return
        stream.unproven_s = 0.0
        known_id = stream.last_id
        if stream.key.channel == "trade" and stream.rhythm.has_spoken and not stream.strikes:
            known_id = self._intake.trades.due_id(stream.key.symbol) - 1
        elif known_id is None and now < stream.ask_s:
            # Something was done about it, which takes its time.
            return
        elif known_id is None:
            # What was traded before must not count against the stream: only what comes from now on.
            stream.last_id = last_id
            stream.ask_s = now + (PROBE_S if stream.strikes else QUIET_AGAIN_S)
            return
        if last_id > known_id:
            stream.moved_s = stream.moved_s or now
            stream.quiet = False
            stream.ask_s = now
        elif now >= stream.ask_s:
            stream.quiet = not stream.is_traded
            stream.put_off(now)

    def _is_overdue(self, stream: Stream) -> bool:
        now = self._clock()
        if self._has_spoken(stream, now):
            stream.speak()
            return False
        return stream.moved_s > 0.0 and now - stream.moved_s >= stream.grace_s

    async def _act(self, mute: Sequence[Stream]) -> None:
        """First the streams alone are subscribed to anew, then their connection is replaced."""
        now = self._clock()
        anew: dict[Group, list[str]] = {}
        for stream in mute:
            stream.strikes += 1
            if stream.strikes == 1:
                self._counters.add("data_collector_watchdogs_total", kind="stream")
                anew.setdefault(stream.group, []).append(stream.name)
                stream.doubt(now + PROBE_S)
            else:
                stream.doubt(now + RENEWAL_S * 2**stream.renewals)
                stream.renewals = min(stream.renewals + 1, RENEWALS_MAX)
        for group, streams in anew.items():
            structlog.get_logger().warning("streams_mute", streams=len(streams), example=streams[0])
            for line in group.lines:
                await line.resubscribe(streams)
        for group in {stream.group for stream in mute if stream.strikes > 1}:
            structlog.get_logger().warning("streams_stay_mute", lines=[line.name for line in group.lines])
            for line in group.lines:
                line.renew()
