"""A collector process that does not answer, as the HTTP process asks it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from data_collector.api import collector as asked
from data_collector.api.collector import Collector
from data_collector.model.errors import Transient

DEAF = (sys.executable, "-c", "import signal; signal.pause()")


async def test_all_who_ask_for_subscriptions_give_up_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them waited behind the one before, and held a connection meanwhile."""
    monkeypatch.setattr(asked, "ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr(asked, "ORDERLY_STOP_S", 0.1)
    collector = Collector(DEAF)
    await collector.start()
    running = asyncio.create_task(collector.run())
    await asyncio.sleep(0)
    askers = [asyncio.create_task(collector.subscriptions()) for _ in range(20)]

    await asyncio.wait(askers, return_when=asyncio.FIRST_COMPLETED)
    for _ in range(10):
        await asyncio.sleep(0)

    assert all(asker.done() for asker in askers)
    assert {type(asker.exception()) for asker in askers} == {Transient}
    await collector.stop()
    await running
