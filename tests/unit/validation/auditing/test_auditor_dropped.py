"""Chunks that give way to newer ones while older ones wait to be delivered again."""

from __future__ import annotations

import asyncio

import pytest

from data_collector.model.errors import Transient
from data_collector.validation.auditing import auditor as subject
from data_collector.validation.auditing.auditor import Auditor
from tests.judging import shipped_gate
from tests.market import trade
from tests.unit.validation.auditing.test_auditor import Port, settled


async def test_what_gave_way_during_a_pause_is_skipped_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first delivery fails, and before it is repeated the buffer drops its oldest chunks."""
    monkeypatch.setattr(subject, "WAITING_BYTES_MAX", 5_000)
    monkeypatch.setattr(subject, "RETRY_FIRST_S", 0.01)
    port = Port(Transient("away"))
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    note(auditor, 0, 100)
    skipped_before = auditor.skipped.total()
    auditor._due.set()
    task = asyncio.create_task(auditor.deliver_forever())
    while not port.asked:  # noqa: ASYNC110 - the port has no event for it
        await asyncio.sleep(0)

    note(auditor, 100, 105)
    async with asyncio.timeout(10):
        await settled(auditor)
    task.cancel()
    await asyncio.wait([task])

    assert auditor.skipped.total() == skipped_before + 5
    checked = [row.trade_id for chunk in port.chunks[len(port.asked[0]) :] for row in chunk.trades]
    assert checked == list(range(auditor.skipped.total(), 105))
    assert auditor.checked.total() == len(checked)


def note(auditor: Auditor, first_id: int, end_id: int) -> None:
    """Trades in a chunk each."""
    for number in range(first_id, end_id):
        auditor.note_trade(trade(number))
        auditor.use(shipped_gate())
