"""One audit worker for several collectors: a real process, asked on several lines, when one of them does not behave."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
import pytest_asyncio

from data_collector.child import open_link
from data_collector.model.errors import Transient
from data_collector.validation.auditing import ports, shared_worker
from data_collector.validation.auditing.audit_worker import COMMAND as GREAT_EXPECTATIONS
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.chunks import AuditBroken, Sealed, seal
from data_collector.validation.auditing.messages import (
    Answer,
    Audit,
    AuditPart,
    AuditReport,
    CheckSuite,
    Taken,
    answer_decoder,
)
from data_collector.validation.auditing.shared_port import SharedPort
from data_collector.validation.auditing.shared_worker import SharedWorker
from data_collector.validation.gate.compiler import compile_suite
from data_collector.validation.rules.columns import Checked
from data_collector.validation.rules.suite import Suite, shipped_suite
from tests.integration.audit_requests import good_records, suite_of

WORKER = """
import os, socket, sys, time
from data_collector.validation.auditing.messages import *
line = socket.socket(fileno=int(sys.argv[-1])).makefile("rwb")
def send(content):
    line.write(len(content).to_bytes(4) + content)
    line.flush()
send(READY)
parts = 0
while head := line.read(4):
    request = request_decoder.decode(line.read(int.from_bytes(head)))
    if isinstance(request, AuditPart):
        parts = len(request.chunks) + (0 if request.is_first else parts)
        answer = Taken()
    elif isinstance(request, CheckSuite):
        if request.suite == b"deadly":
            os._exit(1)
        answer = CheckReport([])
    elif request.source == "deadly":
        os._exit(1)
    elif request.source == "endless":
        time.sleep(60)
    elif request.chunks_before != (parts if request.chunks_before else 0):
        answer = WorkerFault("parts of others came between")
    else:
        rows = len(request.chunks) + request.chunks_before
        answer = AuditReport({"trade": rows}, {}, {}, [], [], seconds=float(os.getpid()), memory_bytes=1)
    send(encode(answer))
"""
"""What it says of a batch tells its process, and how many chunks came."""

COMMAND = (sys.executable, "-c", WORKER)


class Everybody:
    """A worker, and collectors' ends of lines to it."""

    def __init__(self, command: Sequence[str]) -> None:
        self.worker = SharedWorker(lambda: AuditWorker(command))
        self._ports: list[SharedPort] = []

    def port(self, source: str = "anybody") -> SharedPort:
        self._ports.append(SharedPort(self.worker.connect(), source))
        return self._ports[-1]

    async def close(self) -> None:
        for port in self._ports:
            await port.close()
        await self.worker.close()


@pytest_asyncio.fixture
async def everybody(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[Everybody]:
    """Every chunk is a part of its own. The command may be another one."""
    monkeypatch.setattr(ports, "PART_BYTES_MAX", 1)
    everybody = Everybody(getattr(request, "param", COMMAND))
    yield everybody
    await everybody.close()


def chunks(count: int) -> list[Sealed]:
    return sealed(shipped_suite("trade"), good_records("trade", 1)) * count


def sealed(suite: Suite, records: Sequence[Checked]) -> list[Sealed]:
    return [*seal(compile_suite(suite), suite.encoded(), records, {}, {}, 0.0)]


def rows(report: AuditReport) -> int:
    return report.rows["trade"]


def process_of(report: AuditReport) -> int:
    return int(report.seconds)


async def test_all_are_answered_by_one_process(everybody: Everybody) -> None:
    asked = [everybody.port() for _ in range(3)]

    reports = await asyncio.gather(*(port.audit(chunks(2 + n)) for n, port in enumerate(asked)))

    assert [rows(report) for report in reports] == [2, 3, 4]
    assert len({process_of(report) for report in reports}) == 1
    assert [(port.starts, port.is_up) for port in asked] == [(1, True)] * 3
    assert await asked[0].check("trade", b"fine") == []


async def test_worker_that_is_killed_is_started_again_and_all_are_told(everybody: Everybody) -> None:
    asked = [everybody.port(), everybody.port()]
    first = [await port.audit(chunks(1)) for port in asked]

    os.kill(process_of(first[0]), signal.SIGKILL)
    again = [await _audited_in_the_end(port, chunks(1)) for port in asked]

    assert process_of(again[0]) == process_of(again[1]) != process_of(first[0])
    assert [port.starts for port in asked] == [2, 2]


async def _audited_in_the_end(port: SharedPort, batch: Sequence[Sealed]) -> AuditReport:
    """As an `Auditor` does: once more after what was in vain."""
    try:
        return await port.audit(batch)
    except Transient:
        return await port.audit(batch)


async def test_batch_that_kills_the_worker_is_blamed_on_its_own_collector(everybody: Everybody) -> None:
    deadly, other = everybody.port("deadly"), everybody.port()

    broken, report = await asyncio.gather(deadly.audit(chunks(3)), other.audit(chunks(2)), return_exceptions=True)

    assert isinstance(broken, AuditBroken)
    assert not deadly.is_up
    assert isinstance(report, AuditReport)
    assert rows(report) == 2


async def test_suite_that_kills_the_worker_is_refused(everybody: Everybody) -> None:
    port = everybody.port()

    (fault,) = await port.check("trade", b"deadly")

    assert "could not try it" in fault
    assert rows(await port.audit(chunks(1))) == 1


async def test_worker_that_hangs_is_ended_and_the_others_are_answered(
    everybody: Everybody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_worker, "AUDIT_TIMEOUT_S", 1.5)
    endless, other = everybody.port("endless"), everybody.port()

    broken, report = await asyncio.gather(endless.audit(chunks(1)), other.audit(chunks(2)), return_exceptions=True)

    assert isinstance(broken, AuditBroken)
    assert "did not answer within 1.5 s" in str(broken)
    assert isinstance(report, AuditReport)
    assert other.starts == 2


@pytest.mark.parametrize("everybody", [["/no/such/program"]], indirect=True)
async def test_worker_that_cannot_be_started_is_told_to_all_and_no_batch_is_blamed(everybody: Everybody) -> None:
    asked = [everybody.port(), everybody.port()]

    for port in asked:
        with pytest.raises(Transient, match="FileNotFoundError") as told:
            await port.audit(chunks(1))
        assert not isinstance(told.value, AuditBroken)
        with pytest.raises(Transient, match="FileNotFoundError"):
            await port.check("trade", b"fine")


async def test_collector_that_dies_in_mid_batch_loses_its_own_alone(everybody: Everybody) -> None:
    dying, other = await open_link(everybody.worker.connect(), answer_decoder), everybody.port()
    await dying.send(AuditPart([msgspec.Raw(chunks(1)[0].body)], is_first=True))
    assert isinstance(await dying.receive(), Taken)
    waiting = asyncio.create_task(other.audit(chunks(3)))
    await asyncio.sleep(0)
    dying.close()

    assert rows(await waiting) == 3
    assert rows(await everybody.port().audit(chunks(2))) == 2


async def test_collector_that_stands_still_in_mid_batch_loses_its_turn_and_comes_again(
    everybody: Everybody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_worker, "NEXT_PART_S", 0.2)
    slow, other = everybody.port(), everybody.port()
    ask, stands = slow._asked, asyncio.Event()

    async def hesitating(request: AuditPart | Audit | CheckSuite) -> Answer:
        if isinstance(request, AuditPart) and not request.is_first:
            await stands.wait()
        return await ask(request)

    monkeypatch.setattr(slow, "_asked", hesitating)
    standing = asyncio.create_task(slow.audit(chunks(4)))
    reports = [await other.audit(chunks(3)) for _ in range(2)]
    stands.set()

    assert [rows(report) for report in reports] == [3, 3]
    with pytest.raises(Transient, match="others had their turn") as told:
        await standing
    assert not isinstance(told.value, AuditBroken), "nothing is wrong with the batch"
    assert rows(await slow.audit(chunks(4))) == 4


async def test_flood_of_one_does_not_starve_another(everybody: Everybody) -> None:
    flooding, quiet, order = everybody.port(), everybody.port(), ["quiet"]

    async def flood() -> None:
        while True:
            await flooding.audit(chunks(50))
            order.append("flood")

    task = asyncio.create_task(flood())
    for _ in range(5):
        await quiet.audit(chunks(1))
        order.append("quiet")
    task.cancel()

    assert "flood flood flood" not in " ".join(order), "it waits for the batch under way, and at most for one more"


async def test_line_that_is_lost_is_told(everybody: Everybody) -> None:
    port = everybody.port()
    await port.audit(chunks(1))
    await everybody.worker.close()

    with pytest.raises(Transient, match="restart the service"):
        await port.audit(chunks(1))


@pytest.mark.parametrize("everybody", [GREAT_EXPECTATIONS], indirect=True)
async def test_rules_and_what_came_before_are_each_collectors_own(everybody: Everybody) -> None:
    """One collector's rule is not another's, nor are its trades those before another's."""
    one, other = everybody.port("one"), everybody.port("other")
    strict = suite_of(
        "trade", {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "trade_id", "value_set": [1]}}
    )
    plain, trades = shipped_suite("trade"), good_records("trade", 4)
    first = await asyncio.gather(
        one.audit(sealed(strict, trades)),
        other.audit(sealed(plain, trades)),
    )
    again = await asyncio.gather(
        one.audit(sealed(plain, trades[3:])),
        everybody.port("third").audit(sealed(plain, trades[3:])),
    )

    assert [report.broken["trade"] for report in first] == [{"r0": 3}, {}]
    assert [report.broken["trade"].get("trade_order") for report in again] == [1, None]
    assert one.starts == other.starts == 1
