"""`data-collector validation-service` as people start it: edits, kills, signals, and its Data Docs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from data_collector.validation.auditing.messages import AuditUpload, Chunk, encode
from tests.contract.validation_app import GOOD, MSGPACK, rule, suite
from tests.integration.processes import ROOT, is_running
from tests.integration.waiting import DEADLINE_S, until
from tests.market import kline

TOKEN = "the-token-of-these-tests"
COMMAND = (sys.executable, "-m", "data_collector", "validation-service")
WORKER_S = 60.0
"""Great Expectations is imported within, also on a busy machine."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content


@dataclass
class Service:
    """A running one."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; names of headers are written with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, body, given, method=method)  # noqa: S310 - our own address
        try:
            answer = urllib.request.urlopen(request, timeout=DEADLINE_S)  # noqa: S310 - our own address
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            return Answer(answer.status, dict(answer.headers.items()), answer.read())

    def validate(self, engine: str = "compiled") -> Answer:
        body = json.dumps({"kind": "kline", "records": [GOOD]}).encode()
        return self.ask("POST", f"/validate?engine={engine}", body, content_type="application/json")

    def put(self, document: object) -> Answer:
        return self.ask(
            "PUT", "/suites/kline", json.dumps(document).encode(), content_type="application/json",
            authorization=f"Bearer {TOKEN}",
        )  # fmt: skip

    def health(self) -> dict[str, object]:
        return self.ask("GET", "/health").json

    def worker(self) -> dict[str, object]:
        return msgspec.convert(self.health()["worker"], dict[str, object])

    def digest(self) -> str:
        return self.ask("GET", "/suites/kline").headers["etag"].strip('"')

    def worker_pid(self) -> int:
        """Of the worker, when it is up."""
        return until(
            lambda: msgspec.convert(self.worker()["pid"], int) if self.worker()["state"] == "up" else None,
            "the worker", deadline_s=WORKER_S, output=self.told,
        )  # fmt: skip

    def told(self) -> str:
        return (self.folder / "log").read_text()


@contextmanager
def serving(folder: Path, *options: str, **settings: str) -> Iterator[Service]:
    """The command, in `folder`; ended with the block."""
    ports = folder / "ports.json"
    ports.unlink(missing_ok=True)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "--port", "0", "--port-file", str(ports), "--exit-with-parent", *options],
            cwd=folder, env=environment(folder, **settings), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until(lambda: ports.exists() or process.poll() is not None, "the port", output=(folder / "log").read_text)
        yield Service(process, json.loads(ports.read_text())["url"], folder)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
    chosen = {name.upper(): value for name, value in settings.items()}
    return {
        **kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "VAR_DIR": str(folder / "var"),
        "CONTROL_TOKEN": TOKEN, **chosen,
    }  # fmt: skip


def test_edits_by_put_and_by_hand_come_into_force_and_wrong_ones_are_told(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        assert service.validate().json["results"] == [{"valid": True, "failed": []}]

        put = service.put(suite(rule("put_cap")))
        assert put.status == 200
        assert "put_cap" in str(service.validate().json["results"])

        file = tmp_path / "var" / "suites" / "kline.json"
        file.write_text(json.dumps(suite(rule("hand_cap"))))
        until(
            lambda: "hand_cap" in str(service.validate().json["results"]), "the rule written by hand",
            output=service.told,
        )  # fmt: skip
        assert "put_cap" not in str(service.validate().json["results"])

        file.write_text(json.dumps(suite(rule("hand_cap", severity="fatal"))))
        until(lambda: service.health()["reasons"], "the refusal", output=service.told)
        assert service.health()["status"] == "degraded"
        assert "kline.json" in str(service.ask("GET", "/suites").json["faults"])
        assert "hand_cap" in str(service.validate().json["results"])
        assert service.told().count('"event": "suite_refused"') == 1

        file.unlink()
        until(lambda: not service.health()["reasons"], "the end of it", output=service.told)
        assert service.validate().json["results"] == [{"valid": True, "failed": []}]


@pytest.mark.slow
def test_killed_worker_leaves_compiled_validation_and_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        pid = service.worker_pid()
        assert service.validate("gx").status == 200

        os.kill(pid, signal.SIGKILL)
        gone = until(lambda: answer if (answer := service.validate("gx")).status != 200 else None, "the loss of it")

        assert gone.status == 503
        assert gone.headers["retry-after"] == "1"
        assert service.validate().status == 200
        assert "worker is not up" in str(service.health()["reasons"])
        assert service.worker_pid() != pid
        assert service.validate("gx").status == 200
        metrics = service.ask("GET", "/metrics").body.decode()
        assert "data_validation_worker_restarts_total 1.0" in metrics


@pytest.mark.slow
def test_data_docs_are_built_from_audits_and_survive_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path, "--docs-every-s", "2") as service:
        service.worker_pid()
        assert b"No Data Docs yet" in service.ask("GET", "/docs-site/").body
        judged_by = service.digest()
        assert service.put(suite(rule())).status == 200
        chunk = msgspec.Raw(encode(Chunk("kline", judged_by, klines=[kline()])))

        body = encode(AuditUpload("tests", [chunk]))
        audit = service.ask("POST", "/audit", body, content_type=MSGPACK["content-type"])

        assert audit.status == 200
        until(lambda: b"validations/kline" in service.ask("GET", "/docs-site/").body, "Data Docs", output=service.told)

    with serving(tmp_path) as service:
        assert b"validations/kline" in service.ask("GET", "/docs-site/").body
        service.worker_pid()
        assert service.ask("POST", "/audit", body, content_type=MSGPACK["content-type"]).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_service_and_worker(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as service:
        pid = service.worker_pid()

        service.process.send_signal(number)
        code = service.process.wait(DEADLINE_S)

        assert code == 0
        until(lambda: not is_running(pid), "the end of the worker")


def test_worker_does_not_outlive_a_killed_service(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        pid = service.worker_pid()

        service.process.kill()

        until(lambda: not is_running(pid), "the end of the worker")


def test_starts_that_cannot_be_end_with_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        busy = run(tmp_path, "--port", port)
    open_door = run(tmp_path, "--host", "0.0.0.0", CONTROL_TOKEN="")
    nowhere = run(tmp_path, "--host", "no-such-host.invalid")

    assert (busy.returncode, open_door.returncode, nowhere.returncode) == (69, 78, 78)
    assert "--port 0 find a free one" in busy.stderr
    assert "CONTROL_TOKEN must be set" in open_door.stderr
    assert "--host no-such-host.invalid" in nowhere.stderr
    assert "Traceback" not in busy.stderr + open_door.stderr + nowhere.stderr


def test_folder_that_is_a_file_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()

    ended = run(tmp_path, "--port", "0", "--folder", str(in_the_way))

    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr == (
        f"The folder {in_the_way} cannot be used (File exists). Make it writable, or choose another with VAR_DIR.\n"
    )


def run(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], cwd=folder, env=environment(folder) | variables, capture_output=True, text=True,
        timeout=DEADLINE_S, check=False,
    )  # fmt: skip
