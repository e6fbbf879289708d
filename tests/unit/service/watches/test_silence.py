"""Silent streams of an exchange whose tickers name no trade, and what is told of those that nothing proves quiet."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from data_collector.model.errors import VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.status import Snapshot
from data_collector.pipeline.connections.rhythm import UNKNOWN_SILENCE_S
from data_collector.service.lines import Group
from data_collector.service.watches import silence
from data_collector.service.watches.silence import SilenceWatch
from data_collector.service.watches.statistics import Statistics
from data_collector.venues.discovery import find_venue
from tests.clock import Clock
from tests.market import NOON_MS, SYMBOL, ticker, trade
from tests.unit.pipeline.intake_scene import Scene
from tests.unit.pipeline.repair_scene import ScriptedRest

TRADES = "btcusdt@trade"
UNPROVEN = f"silent, and the exchange's REST side names no newest trade that would prove them quiet: {TRADES}; see"
MUTE = f"the exchange trades, and these streams are mute: {TRADES}"


class Heads(ScriptedRest):
    """Tells the newest trade id of each symbol, or nothing."""

    newest: int | None = None
    error: VenueUnreachable | None = None

    async def heads(self, symbols: Sequence[str]) -> dict[str, int]:
        self.asked.extend(1 for _ in symbols)
        if self.error is not None:
            raise self.error
        return {} if self.newest is None else dict.fromkeys(symbols, self.newest)


class Connected(Group):
    """Its one connection stands, and nothing is sent on it."""

    @property
    def is_connected(self) -> bool:
        return True

    @property
    def refused(self) -> set[Key]:
        return set()


class Watched(Scene):
    """Trades of one symbol, which were last told a while ago."""

    def __init__(self, *, has_spoken: bool = True) -> None:
        super().__init__()
        self.clock = Clock()
        self.rest = Heads()
        binance = find_venue("binance")
        venue = structs.replace(binance, cost=structs.replace(binance.cost, head=1))
        statistics = Statistics(self.rest, self.intake, [SYMBOL], ["trade"], self.counters, lambda listed: None)
        group = Connected([], [])
        keys = [(Key("trade", SYMBOL), group)]
        if has_spoken:
            self.begin()
        self.watch = SilenceWatch(keys, venue, self.rest, self.intake, statistics, self.counters, self.clock)
        if has_spoken:
            self.send(trade(11))
        self.rest.newest = 11 if has_spoken else None
        self.event_ms = NOON_MS

    async def pass_time(self, seconds: int, *, traded: bool = False) -> list[str]:
        """Reasons at the end; while it is `traded` the ticker counts one more trade a second."""
        for _ in range(seconds):
            self.clock.now_s += 1.0
            if traded:
                self.event_ms += 1000
                self.tell(count=5_000 + self.event_ms // 1000 - NOON_MS // 1000)
            await self.watch.look()
        return list(self.watch.report(Snapshot()).reasons)

    def tell(self, count: int | None, *, received_ns: int = 1) -> None:
        """A ticker that names no trade."""
        told = ticker(self.event_ms, last_id=None, first_id=None, count=count, received_ns=received_ns)
        if received_ns:
            self.intake.receive(told)
        else:
            self.intake.take_statistics(told)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SAMPLE_S", 0.0)


SILENT_S = int(UNKNOWN_SILENCE_S) + 2


async def test_stream_that_an_empty_page_does_not_prove_quiet_is_told_with_the_cure() -> None:
    scene = Watched()
    scene.rest.newest = None

    assert await scene.pass_time(SILENT_S) == []
    (reason,) = await scene.pass_time(15)
    assert UNPROVEN in reason
    scene.send(trade(12))
    assert await scene.pass_time(1) == []


async def test_stream_that_nobody_answers_about_is_told() -> None:
    """`Trades` alone fails, and statistics and clock are answered."""
    scene = Watched()
    scene.rest.error = VenueUnreachable("busy")

    (reason,) = await scene.pass_time(SILENT_S + 15)
    assert UNPROVEN in reason
    scene.rest.error = None
    assert await scene.pass_time(5) == []


async def test_stream_of_a_symbol_that_statistics_call_untraded_is_quiet_although_no_page_says_so() -> None:
    """It was listed and never traded, and its `Trades` are empty for ever: it is asked about ever more seldom."""
    scene = Watched(has_spoken=False)
    scene.tell(count=0, received_ns=0)

    assert await scene.pass_time(600) == []
    assert scene.watch.report(Snapshot()).ready
    assert len(scene.rest.asked) < 20


async def test_trades_are_mute_when_the_ticker_counts_more_of_them() -> None:
    """The newest trade id is told to be the old one again and again, as by a cache before the exchange."""
    scene = Watched()
    scene.tell(count=5_000)

    assert await scene.pass_time(SILENT_S + 15, traded=True) == [MUTE]
    assert await scene.pass_time(120, traded=True) == [MUTE]
    scene.send(trade(12))
    assert await scene.pass_time(1) == []


async def test_trades_that_no_head_tells_of_are_mute_when_the_ticker_counts_more_of_them() -> None:
    scene = Watched()
    scene.rest.newest = None

    assert MUTE in await scene.pass_time(SILENT_S + 15, traded=True)


@pytest.mark.parametrize("counts", [[5_000] * 60, [5_000, 4_990, 4_980], [5_000, 4_999] * 30, [None] * 60])
async def test_quiet_trades_are_quiet_whatever_leaves_the_statistics(counts: list[int | None]) -> None:
    """Trades of yesterday leave the 24 hours; answers of REST come from caches of different age."""
    scene = Watched()
    await scene.pass_time(SILENT_S)

    for count in counts:
        scene.event_ms += 1000
        scene.tell(count=count, received_ns=0)
        assert await scene.pass_time(1) == []
