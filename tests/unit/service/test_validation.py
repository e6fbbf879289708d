"""Validation as a part of the service: what it tells of the audit follows the audit's rhythm."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from data_collector.model.status import Snapshot
from data_collector.observe.counters import Counters
from data_collector.service.validation import LAG_S, Validation
from data_collector.settings import load_settings
from tests.integration.waiting import until_async
from tests.market import trade

EVERY_S = 300


@pytest.mark.parametrize(("waited_s", "is_behind"), [(EVERY_S + LAG_S - 1, False), (EVERY_S + LAG_S + 1, True)])
def test_only_what_waits_longer_than_the_rhythm_is_behind(tmp_path: Path, waited_s: float, *, is_behind: bool) -> None:
    """A lag of two minutes, which used to be told as one, is nothing where an audit comes every five."""
    settings = load_settings({"VALIDATION_SERVICE_URL": "http://127.0.0.1:9", "GX_AUDIT_SECONDS": str(EVERY_S)}, None)
    validation = Validation(settings, tmp_path, Counters(), lambda _: None)
    validation.auditor.note_trade(trade())
    validation.auditor._since_s["trade"] = time.monotonic() - waited_s
    snapshot = Snapshot()

    reasons = [reason for reason in validation.report(snapshot).reasons if "wait for the audit" in reason]

    audit = snapshot.validation.audit
    assert (audit.every_seconds, audit.next_seconds, audit.waiting) == (EVERY_S, 0.0, 1)
    assert bool(reasons) is is_behind
    assert all("GX_AUDIT_SECONDS" in reason for reason in reasons)


async def test_service_that_is_held_is_told_long_before_its_question_is_given_up(tmp_path: Path) -> None:
    """It takes the connection, as the kernel of a stopped process does, and says nothing."""
    snapshot = Snapshot()
    with socket.create_server(("127.0.0.1", 0)) as held:
        settings = load_settings({"VALIDATION_SERVICE_URL": f"http://127.0.0.1:{held.getsockname()[1]}"}, None)
        validation = Validation(settings, tmp_path, Counters(), lambda _: None)
        keeping = asyncio.create_task(validation.keeper.run())

        def told() -> bool:
            return any("it has not answered for 2 s" in reason for reason in validation.report(snapshot).reasons)

        await until_async(told, "a word about it")
        keeping.cancel()
        await asyncio.wait([keeping])
        await validation.close()
    assert validation.keeper.down_reason is None


async def test_stop_starts_no_great_expectations_for_the_last_messages(tmp_path: Path) -> None:
    """A reload stops and starts within 5 s; to start Great Expectations takes 3 s of them."""
    validation = Validation(load_settings({}, None), tmp_path, Counters(), lambda _: None)
    validation.auditor.note_trade(trade())

    with capture_logs() as told:
        await validation.close()

    assert validation._worker is not None
    assert validation._worker.starts == 0
    assert [(line["event"], line["rows"], line["reason"]) for line in told] == [
        ("stopped_without_audit", 1, "Great Expectations was not running")
    ]


def test_great_expectations_that_many_share_is_told_whose_records_it_gets(tmp_path: Path) -> None:
    """Data Docs showed the audits of three exchanges as those of three random numbers."""
    settings = load_settings({"VALIDATION_SERVICE_URL": "http://127.0.0.1:9"}, None, exchange="kraken")

    service = Validation(settings, tmp_path, Counters(), lambda _: None)._service

    assert service is not None
    assert service._source.startswith("kraken-")
