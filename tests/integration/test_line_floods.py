"""An exchange that talks without end: its words fill no log, and its notices make no storm of dials."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.governor import Governor
from data_collector.pipeline.connections.line import Line, LineContext
from data_collector.pipeline.connections.transport import Address, Resolver
from data_collector.pipeline.connections.words import WORDS_PER_MINUTE
from data_collector.venues.binance.codec import BinanceCodec
from tests.integration.raw_peer import peer
from tests.integration.waiting import until_async
from tests.unit.pipeline.connections.connecting import take
from tests.unit.pipeline.connections.test_lateness_twins import LIMITS

NOTICE = b'{"e":"serverShutdown","E":1700000000000}'
ERROR = b'{"error":{"code":3,"msg":"Invalid JSON"},"id":99999}'
NOTICES = "data_collector_server_shutdowns_total"
ROLLOVERS = "data_collector_rollovers_total"


class Talker:
    """A peer that says the same on each connection again and again, and that nothing is subscribed."""

    def __init__(self, text: bytes) -> None:
        self.dials = 0
        answers = [b'{"result":[],"id":%d}' % number for number in range(1, 6)]
        self._frames = b"".join(b"\x81" + bytes([len(each)]) + each for each in (text, *answers))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the other side goes."""
        self.dials += 1
        while not reader.at_eof():
            writer.write(self._frames)
            await writer.drain()
            await asyncio.sleep(0.005)


def line_to(url: str, counters: Counters) -> Line:
    connect = Resolver(counters).connect
    dials = Governor(300, 300.0)
    context = LineContext(Address(url), BinanceCodec(), LIMITS, take, lambda _: -1, dials, connect, counters)
    return Line("1", [], context)


async def test_notices_of_shutdown_without_end_make_no_storm_of_dials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new connection was announced to end at once: 103 dials a minute."""
    monkeypatch.setattr("data_collector.pipeline.connections.line.EARLY_PER_MINUTE", 1)
    counters, talker = Counters(), Talker(NOTICE)
    async with peer(talker.talk) as url:
        line = line_to(url, counters)
        with capture_logs() as logs:
            task = asyncio.create_task(line.run())
            await until_async(lambda: counters.value(ROLLOVERS, result="overlap"), "the first roll-over")
            seen = counters.value(NOTICES)
            await until_async(lambda: counters.value(NOTICES) > seen + 2 * WORDS_PER_MINUTE, "notices of the next one")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert talker.dials == 2
    assert len([each for each in logs if each["event"] == "exchange_shutdown_announced"]) <= WORDS_PER_MINUTE


async def test_errors_that_nobody_asked_for_fill_no_log() -> None:
    """One line of the log each: thousands a second, as fast as the exchange sends them."""
    counters, talker = Counters(), Talker(ERROR)
    async with peer(talker.talk) as url:
        line = line_to(url, counters)
        with capture_logs() as logs:
            task = asyncio.create_task(line.run())
            await until_async(lambda: line._words.left_out > 3 * WORDS_PER_MINUTE, "many errors")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    errors = [each for each in logs if each["event"] == "exchange_error"]
    assert (len(errors), errors[0]["message"]) == (WORDS_PER_MINUTE, "Invalid JSON")
