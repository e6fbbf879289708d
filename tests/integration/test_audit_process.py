"""The line to the audit worker, when what is at its other end does not behave, and what is imported where."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import data_collector.validation
from data_collector.child import FRAME_BYTES_MAX
from data_collector.model.errors import Transient
from data_collector.validation.auditing import audit_worker
from data_collector.validation.auditing.audit_worker import AuditWorker, gx_is_installed
from data_collector.validation.auditing.messages import Audit, CheckReport, CheckSuite, WorkerFault

QUESTION = CheckSuite("trade", b"{}")
PATIENCE_S = 20.0

PRELUDE = """
import msgspec, socket, sys, time
line = socket.socket(fileno=int(sys.argv[-1]))
def send(content): line.sendall(len(content).to_bytes(4) + content)
def read(): return line.recv(1 << 20)
fine = msgspec.msgpack.encode({"type": "CheckReport", "faults": []})
"""


def program(text: str) -> AuditWorker:
    return AuditWorker([sys.executable, "-c", PRELUDE + text])


async def test_answers_come_one_at_a_time() -> None:
    worker = program("send(b'')\nwhile read(): send(fine)")
    await worker.start()

    answers = await asyncio.gather(*(worker.ask(QUESTION, PATIENCE_S) for _ in range(5)))

    assert answers == [CheckReport([])] * 5
    await worker.close()
    assert (worker.alive, worker.pid) == (False, None)
    await worker.close()


async def test_worker_that_was_not_started_is_gone() -> None:
    with pytest.raises(Transient, match="not started"):
        await AuditWorker().ask(QUESTION, PATIENCE_S)


async def test_program_that_ends_at_once_does_not_start() -> None:
    worker = program("sys.exit(1)")

    with pytest.raises(Transient, match="gone"):
        await worker.start()

    assert not worker.alive


async def test_program_that_does_not_exist_does_not_start() -> None:
    with pytest.raises(Transient, match="FileNotFoundError"):
        await AuditWorker(["/no/such/program"]).start()


async def test_program_that_says_nothing_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_worker, "START_S", 0.3)
    worker = program("time.sleep(60)")

    with pytest.raises(Transient, match="was not ready within"):
        await worker.start()

    assert not worker.alive


async def test_worker_that_does_not_answer_in_time_is_killed_and_can_be_started_again() -> None:
    worker = program("send(b'')\nif read(): time.sleep(60)")
    await worker.start()

    with pytest.raises(Transient, match=r"did not answer within 0\.2 s"):
        await worker.ask(QUESTION, 0.2)

    assert worker.pid is None
    await worker.start()
    assert worker.alive
    await worker.close()


async def test_worker_that_dies_over_a_question_is_gone() -> None:
    worker = program("send(b'')\nread()\nline.sendall(bytes([0, 0]))")
    await worker.start()

    with pytest.raises(Transient, match="gone"):
        await worker.ask(QUESTION, PATIENCE_S)

    assert not worker.alive


@pytest.mark.parametrize("answer", ["send(b'nonsense')", f"line.sendall(({FRAME_BYTES_MAX + 1}).to_bytes(4))"])
async def test_worker_that_answers_nonsense_is_killed(answer: str) -> None:
    worker = program(f"send(b'')\nread()\n{answer}\ntime.sleep(60)")
    await worker.start()

    with pytest.raises(Transient, match="gone"):
        await worker.ask(QUESTION, PATIENCE_S)

    assert not worker.alive


async def test_cancelled_question_ends_the_worker() -> None:
    worker = program("send(b'')\nread()\ntime.sleep(60)")
    await worker.start()

    question = asyncio.create_task(worker.ask(QUESTION, PATIENCE_S))
    await asyncio.sleep(0)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question

    assert not worker.alive


async def test_request_that_is_too_long_is_not_sent() -> None:
    worker = program("send(b'')\nwhile read(): send(fine)")
    await worker.start()

    assert isinstance(await worker.ask(Audit("x" * FRAME_BYTES_MAX, {}, []), PATIENCE_S), WorkerFault)
    assert await worker.ask(QUESTION, PATIENCE_S) == CheckReport([])
    await worker.close()


async def test_worker_that_does_not_hear_the_hang_up_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_worker, "ORDERLY_STOP_S", 0.2)
    worker = program("send(b'')\ntime.sleep(60)")
    await worker.start()

    await worker.close()

    assert not worker.alive


async def test_terminated_worker_is_not_alive() -> None:
    worker = program("send(b'')\ntime.sleep(60)")
    await worker.start()
    assert worker.pid is not None

    os.kill(worker.pid, signal.SIGTERM)
    with pytest.raises(Transient):
        await worker.ask(QUESTION, PATIENCE_S)

    assert not worker.alive
    await worker.close()


def test_asking_process_does_not_import_great_expectations() -> None:
    program = (
        "import sys, data_collector.validation.auditing.audit_worker, data_collector.validation.gate.gate as gate\n"
        "print([name for name in ('great_expectations', 'pandas', 'numpy') if name in sys.modules])"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout

    assert printed == "[]\n"
    assert gx_is_installed()


def test_vocabulary_is_that_of_the_installed_version() -> None:
    command = [sys.executable, "-m", "tests.integration.gx_vocabulary"]
    made = subprocess.run(command, capture_output=True, check=True).stdout

    assert made == Path(data_collector.validation.__path__[0], "vocabulary.json").read_bytes()
