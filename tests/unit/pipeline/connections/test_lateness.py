"""A line that brings everything ever later, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime

import pytest

from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.governor import Governor
from data_collector.pipeline.connections.lateness import AGAIN_S, LATE_MS, LATE_S, Lateness
from data_collector.pipeline.connections.line import Line, LineContext
from data_collector.pipeline.connections.transport import Address
from tests.market import NOON_MS, quote, trade
from tests.unit.pipeline.connections.connecting import CODEC, connected, take
from tests.unit.pipeline.connections.test_lateness_twins import LIMITS


async def dial(host: str, port: int) -> socket.socket:
    raise AssertionError("nobody dials here")


class Scene:
    """A connected line; messages are put into its socket without a network."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.counters = Counters()
        address = Address("ws://exchange.invalid/stream")
        context = LineContext(address, CODEC, LIMITS, take, lambda _: -1, Governor(1, 1.0), dial, self.counters)
        self.line = Line("1", [], context)
        self.lateness = Lateness(self.line, self.counters, clock=lambda: self.now_s)
        self.connect(datetime(2026, 1, 1, tzinfo=UTC))

    def connect(self, began_at: datetime) -> None:
        live = connected()
        live.began_at = began_at
        self.line._live = live
        self.lateness.look()

    def bring(self, seconds: int, *, late_ms: float = 0.0, several: bool = False) -> None:
        """A message a second, each that late; with `several` records, or a single one."""
        for _ in range(seconds):
            self.now_s += 1.0
            live = self.line._live
            assert live is not None
            event_ms = int(NOON_MS + self.now_s * 1000 - late_ms)
            newest, older = trade(event_ms=event_ms), trade(event_ms=event_ms - 60_000)
            live.socket._receive([quote(), older, newest, quote()] if several else newest)
            self.lateness.look()

    def bring_quote(self) -> None:
        """A message that tells no time."""
        live = self.line._live
        assert live is not None
        live.socket._receive(quote())
        self.lateness.look()

    @property
    def renewals(self) -> float:
        return self.counters.value("data_collector_watchdogs_total", kind="late")


@pytest.fixture
async def scene() -> Scene:
    await asyncio.sleep(0)
    return Scene()


async def test_line_that_comes_late_for_long_is_renewed_and_told(scene: Scene) -> None:
    scene.bring(10)
    scene.bring(int(LATE_S), late_ms=LATE_MS + 1_000)
    assert scene.renewals == 0

    scene.bring(1, late_ms=LATE_MS + 1_000)

    assert scene.renewals == 1
    assert scene.line._live is not None
    assert scene.line._live.ends_soon
    assert scene.line.lag_s == pytest.approx(LATE_MS / 1000 + 1.0)


async def test_message_without_a_time_is_no_sample_and_the_next_one_is(scene: Scene) -> None:
    scene.bring(10)
    scene.bring(1, late_ms=LATE_MS + 1_000)
    scene.bring_quote()
    scene.bring(int(LATE_S), late_ms=LATE_MS + 1_000)

    assert scene.renewals == 1


async def test_newest_of_several_records_in_a_message_tells_how_late_it_is(scene: Scene) -> None:
    """A snapshot of trades, for instance, holds old ones too."""
    scene.bring(10)
    scene.bring(10, several=True)
    assert scene.renewals == 0

    scene.bring(int(LATE_S) + 1, late_ms=LATE_MS + 1_000, several=True)

    assert scene.renewals == 1


async def test_burst_that_catches_up_is_no_lateness(scene: Scene) -> None:
    for _ in range(20):
        scene.bring(4, late_ms=LATE_MS * 3)
        scene.bring(1)

    assert scene.renewals == 0


async def test_exchange_whose_clock_is_off_is_not_late(scene: Scene) -> None:
    scene.bring(100, late_ms=3_600_000.0)

    assert scene.renewals == 0
    assert scene.line.lag_s == 0.0


async def test_line_that_stays_late_is_renewed_ever_more_rarely(scene: Scene) -> None:
    scene.bring(1)
    scene.bring(int(7 * AGAIN_S), late_ms=LATE_MS * 2)

    assert scene.renewals == 3


async def test_another_connection_is_judged_by_its_own_messages(scene: Scene) -> None:
    scene.bring(1)
    scene.bring(10, late_ms=LATE_MS * 2)
    scene.connect(datetime(2026, 1, 2, tzinfo=UTC))
    scene.bring(10, late_ms=LATE_MS * 2)

    assert scene.renewals == 1
    assert scene.line.lag_s == 0.0
