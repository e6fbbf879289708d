"""Which of two lines lags: judged four times a second, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime

import pytest

from data_collector.model.venue import StreamLimits
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.governor import Governor
from data_collector.pipeline.connections.lateness import SAMPLE_S, Twins
from data_collector.pipeline.connections.line import Line, LineContext
from data_collector.pipeline.connections.transport import Address
from tests.market import NOON_MS, quote, trade
from tests.unit.pipeline.connections.connecting import CODEC, connected, take

LIMITS = StreamLimits(
    streams_per_connection=10, control_messages_per_s=4, connection_attempts=10, connection_attempts_window_s=1.0,
    ping_interval_s=20.0, max_age_s=86_400.0,
)  # fmt: skip


async def dial(host: str, port: int) -> socket.socket:
    raise AssertionError("nobody dials here")


class Pair:
    """Two connected lines; messages are put into their sockets without a network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = float(NOON_MS)
        monkeypatch.setattr(time, "time_ns", lambda: int(self.now_ms * 1e6))
        address = Address("ws://exchange.invalid/stream")
        context = LineContext(address, CODEC, LIMITS, take, lambda _: -1, Governor(1, 1.0), dial, Counters())
        self.lines = Line("1A", [], context), Line("1B", [], context)
        for line in self.lines:
            line._live = connected()
        self.twins = Twins(*self.lines)

    def bring(self, line: int, *, late_ms: float = 0.0, several: bool = False) -> None:
        """A message that was sent `late_ms` ago comes in on a line; with `several` trades, or a single one."""
        live = self.lines[line]._live
        assert live is not None
        live.socket.last_message_ns = int(self.now_ms * 1e6)
        event_ms = int(self.now_ms - late_ms)
        newest = trade(event_ms=event_ms, received_ns=live.socket.last_message_ns)
        older = trade(event_ms=event_ms - 5_000, received_ns=live.socket.last_message_ns)
        live.socket._receive([older, newest] if several else newest)

    def bring_quote(self, line: int) -> None:
        """A message that tells no time."""
        live = self.lines[line]._live
        assert live is not None
        live.socket._receive(quote())

    def compare(self) -> None:
        self.now_ms += SAMPLE_S * 1000
        self.twins.compare()

    @property
    def replaced(self) -> list[str]:
        """Which lines were given up."""
        return [line.name for line in self.lines if line._live is not None and line._live.socket.ended.done()]


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    await asyncio.sleep(0)
    pair = Pair(monkeypatch)
    pair.compare()
    return pair


async def test_line_that_is_behind_for_three_seconds_is_replaced(pair: Pair) -> None:
    for _ in range(11):
        pair.bring(0)
        pair.bring(1, late_ms=300.0)
        pair.compare()
    assert pair.replaced == []

    pair.bring(0)
    pair.bring(1, late_ms=300.0)
    pair.compare()

    assert pair.replaced == ["1B"]


async def test_line_that_is_behind_is_replaced_where_quotes_come_first(pair: Pair) -> None:
    for _ in range(12):
        pair.bring_quote(0)
        pair.bring_quote(1)
        pair.bring(0)
        pair.bring(1, late_ms=300.0)
        pair.compare()

    assert pair.replaced == ["1B"]


async def test_line_that_is_behind_is_replaced_where_several_trades_come_in_a_frame(pair: Pair) -> None:
    for _ in range(12):
        pair.bring(0, several=True)
        pair.bring(1, late_ms=300.0, several=True)
        pair.compare()

    assert pair.replaced == ["1B"]


async def test_line_that_is_behind_now_and_then_is_kept(pair: Pair) -> None:
    for number in range(100):
        pair.bring(0, late_ms=0.0 if number % 8 else 900.0)
        pair.bring(1)
        pair.compare()

    assert pair.replaced == []


async def test_line_that_is_a_little_behind_is_kept(pair: Pair) -> None:
    for _ in range(100):
        pair.bring(0, late_ms=240.0)
        pair.bring(1)
        pair.compare()

    assert pair.replaced == []


async def test_line_that_brings_nothing_while_its_twin_does_is_replaced(pair: Pair) -> None:
    for _ in range(14):
        pair.bring(1)
        pair.compare()

    assert pair.replaced == ["1A"]


async def test_rest_of_both_lines_and_one_message_lost_is_no_lag(pair: Pair) -> None:
    pair.bring(0)
    for _ in range(100):
        pair.compare()

    assert pair.replaced == []


async def test_count_begins_anew_with_another_connection(pair: Pair) -> None:
    for _ in range(11):
        pair.bring(0)
        pair.bring(1, late_ms=300.0)
        pair.compare()
    pair.lines[0]._live = connected()
    pair.lines[0]._live.began_at = datetime(2030, 1, 1, tzinfo=UTC)
    pair.compare()

    pair.bring(0)
    pair.bring(1, late_ms=300.0)
    pair.compare()

    assert pair.replaced == []
