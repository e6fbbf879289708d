"""Starting and ending: the HTTP process and its collector live and die together, and say why in a sentence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from data_collector.api import collector as collector_process
from data_collector.child import start_child
from data_collector.control import SNAPSHOTS
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.model.status import Snapshot
from data_collector.web.serving import listen
from tests.contract.event_stream import looking_on
from tests.contract.http_service import (
    DEADLINE_S,
    ROOT,
    HttpService,
    environment,
    fake_command,
    running,
    started,
    write_snapshot,
)
from tests.integration.processes import is_running
from tests.integration.waiting import until

RUNNING = Snapshot(condition="healthy", ready=True, collector_running=True, redis_url="redis://127.0.0.1:6379/0")

SHIM = """
from data_collector.api import create_app, main
app = create_app(collector_command={command!r})
if __name__ == "__main__":
    raise SystemExit(main(app))
"""
"""api.py with another collector."""

ANNOUNCING = """
import sys
from data_collector.api import serve
from data_collector.settings import load_settings
def tell(url, snapshot):
    print(url, snapshot.redis_url, flush=True)
raise SystemExit(serve(load_settings(env_file=None), announce=tell, collector_command=sys.argv[1:]))
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[HttpService]:
    with running(tmp_path, RUNNING) as service:
        yield service


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    write_snapshot(tmp_path, RUNNING)
    path = tmp_path / "shim.py"
    path.write_text(SHIM.format(command=fake_command(tmp_path)))
    return path


def uvicorn(app: str, *flags: str) -> list[str]:
    return [sys.executable, "-m", "uvicorn", app, *flags]


def errors_of(folder: Path) -> str:
    return (folder / "stderr").read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def answering(url: str, folder: Path, process: subprocess.Popen[str]) -> HttpService:
    """The service at `url` once it answers."""
    service = HttpService(process, url, folder)

    until(lambda: answers(service))
    return service


def answers(service: HttpService) -> bool:
    try:
        return service.get("/health").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both_in_order(service: HttpService, number: signal.Signals) -> None:
    collector = service.collector_pid()

    service.process.send_signal(number)

    assert service.process.wait(DEADLINE_S) == 0
    assert (service.folder / "stopped").exists()
    assert not is_running(collector)
    assert "Traceback" not in errors_of(service.folder)


@pytest.mark.parametrize("code", [69, 78])
def test_a_collector_that_cannot_start_ends_the_service_with_its_sentence(tmp_path: Path, code: int) -> None:
    (tmp_path / "exit").write_text(str(code))

    with started([sys.executable, "-c", ANNOUNCING, *fake_command(tmp_path)], tmp_path, environment()) as process:
        assert process.wait(DEADLINE_S) == code

    assert "A sentence that says what is wrong." in errors_of(tmp_path)
    assert "Traceback" not in errors_of(tmp_path)


def test_a_killed_collector_ends_the_service(service: HttpService) -> None:
    os.kill(service.collector_pid(), signal.SIGKILL)

    assert service.process.wait(DEADLINE_S) == 128 + signal.SIGKILL
    assert "collector_ended" in errors_of(service.folder)


def test_a_killed_service_takes_its_collector_along_in_order(service: HttpService) -> None:
    collector = service.collector_pid()

    service.process.kill()

    until(lambda: not is_running(collector))
    assert (service.folder / "stopped").exists()


def test_a_hung_collector_makes_health_503_until_it_answers_again(service: HttpService) -> None:
    collector = service.collector_pid()
    os.kill(collector, signal.SIGSTOP)

    until(lambda: service.get("/health").status == 503)
    health, live = service.get("/health"), service.get("/health/live")
    os.kill(collector, signal.SIGCONT)

    assert health.json["collector_running"] is False
    assert "has not answered" in str(health.json["reasons"])
    assert live.status == 503
    until(lambda: service.get("/health").status == 200)
    assert service.collector_pid() == collector


def test_a_second_interrupt_leaves_at_once(service: HttpService) -> None:
    collector = service.collector_pid()
    os.kill(collector, signal.SIGSTOP)

    service.process.send_signal(signal.SIGINT)
    until(lambda: is_refused(service))
    service.process.send_signal(signal.SIGINT)
    code = service.process.wait(DEADLINE_S)
    os.kill(collector, signal.SIGCONT)

    assert code == 130
    until(lambda: not is_running(collector))
    assert (service.folder / "stopped").exists()


def test_a_collector_does_not_hold_the_port(service: HttpService) -> None:
    place = urlsplit(service.url)
    collector = service.collector_pid()
    os.kill(collector, signal.SIGSTOP)

    service.process.kill()
    service.process.wait(DEADLINE_S)
    listen("127.0.0.1", place.port or 0).close()

    os.kill(collector, signal.SIGCONT)
    until(lambda: not is_running(collector))


@pytest.mark.parametrize("deaf_to", [[], [signal.SIGTERM]])
async def test_a_collector_that_does_not_stop_is_made_to(
    monkeypatch: pytest.MonkeyPatch, deaf_to: list[signal.Signals]
) -> None:
    monkeypatch.setattr(collector_process, "ORDERLY_STOP_S", 0.1)
    monkeypatch.setattr(collector_process, "TERMINATED_STOP_S", 0.1)
    ignoring = "".join(f"signal.signal({int(number)}, signal.SIG_IGN);" for number in deaf_to)
    program = (
        f"import signal, sys, socket;{ignoring}socket.socket(fileno=int(sys.argv[-1])).send(bytes(4));signal.pause()"
    )
    process = await start_child([sys.executable, "-c", program], SNAPSHOTS)
    await process.link.receive_frame()

    await collector_process.end_collector(process)

    process.link.close()
    assert await process.wait() == -(signal.SIGKILL if deaf_to else signal.SIGTERM)


def test_serve_announces_itself_once_the_store_is_known(tmp_path: Path) -> None:
    write_snapshot(tmp_path, RUNNING)

    with started([sys.executable, "-c", ANNOUNCING, *fake_command(tmp_path)], tmp_path, environment()) as process:
        assert process.stdout is not None
        url, store = process.stdout.readline().split()
        health = answering(url, tmp_path, process).get("/health")

    assert store == "redis://127.0.0.1:6379/0"
    assert health.json["status"] == "healthy"


def test_python_api_py_and_uvicorn_serve_the_same(shim: Path) -> None:
    port, folder = free_port(), shim.parent
    answers = []

    for command, settings in [
        ([sys.executable, str(shim)], {"PORT": str(port)}),
        (uvicorn("shim:app", "--port", str(port), "--log-level", "warning"), {}),
    ]:
        with started(command, folder, environment(**settings)) as process:
            service = answering(f"http://127.0.0.1:{port}", folder, process)
            answers.append([service.get(path).json for path in ("/health", "/metrics", "/status", "/openapi.json")])

    assert answers[0] == answers[1]


def test_under_uvicorn_a_dead_collector_ends_the_service(shim: Path) -> None:
    port, folder = free_port(), shim.parent

    with started(uvicorn("shim:app", "--port", str(port)), folder, environment()) as process:
        service = answering(f"http://127.0.0.1:{port}", folder, process)
        os.kill(service.collector_pid(), signal.SIGKILL)

        assert process.wait(DEADLINE_S) != 0
    assert "Traceback" not in errors_of(folder)


@pytest.mark.parametrize(
    "command", [[sys.executable, str(ROOT / "api.py")], uvicorn("api:app", "--app-dir", str(ROOT))]
)
def test_wrong_settings_are_told_together_without_a_traceback(tmp_path: Path, command: list[str]) -> None:
    wrong = environment(INTERVALS="1x", PORT="many", CHANNELS="gossip")

    with started(command, tmp_path, wrong) as process:
        assert process.wait(DEADLINE_S) == 78

    told = errors_of(tmp_path)
    assert all(name in told for name in ("INTERVALS", "PORT", "CHANNELS"))
    assert "Traceback" not in told


def test_a_busy_port_is_told_before_anything_starts(shim: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with started([sys.executable, str(shim)], shim.parent, environment(PORT=str(port))) as process:
            assert process.wait(DEADLINE_S) == 69

    told = errors_of(shim.parent)
    assert f"Port {port} on 127.0.0.1 is in use" in told
    assert "PORT=" in told
    assert len(told.splitlines()) == 1
    assert not (shim.parent / "pid").exists()


def test_addresses_that_cannot_be_had_are_told() -> None:
    with pytest.raises(Misconfigured, match=r"HOST=192\.0\.2\.1 cannot be listened on"):
        listen("192.0.2.1", 0)
    with listen("127.0.0.1", 0) as taken, pytest.raises(Unavailable, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("flags", "settings"), [(["--workers", "2"], {}), ([], {"WEB_CONCURRENCY": "3"})], ids=["flag", "variable"]
)
def test_several_workers_are_refused(shim: Path, flags: list[str], settings: dict[str, str]) -> None:
    command = uvicorn("shim:app", "--port", str(free_port()), *flags)

    with started(command, shim.parent, environment(**settings)) as process:
        process.wait(DEADLINE_S)

    assert errors_of(shim.parent).count("The service runs in one process") == 1
    assert "Traceback" not in errors_of(shim.parent)
    assert not (shim.parent / "pid").exists()


def test_reload_restarts_everything_on_the_same_port(shim: Path) -> None:
    port, folder = free_port(), shim.parent

    with started(uvicorn("shim:app", "--reload", "--port", str(port)), folder, environment()) as process:
        service = answering(f"http://127.0.0.1:{port}", folder, process)
        first = service.collector_pid()
        # The watcher compares times of whole files, and it must have seen the old one.
        until(lambda: "Application startup complete" in errors_of(folder))
        shim.write_text(shim.read_text() + "\n")
        os.utime(shim, (2**31, 2**31))
        until(lambda: service.collector_pid() != first and answers(service))

        assert not is_running(first)
        assert (folder / "stopped").exists()


def test_under_uvicorn_a_viewer_does_not_hold_up_the_end(shim: Path) -> None:
    port, folder = free_port(), shim.parent

    with started(uvicorn("shim:app", "--port", str(port)), folder, environment()) as process:
        service = answering(f"http://127.0.0.1:{port}", folder, process)
        with looking_on(service) as viewer:
            viewer.first("state")

            process.send_signal(signal.SIGTERM)

            assert viewer.ends()
            process.wait(DEADLINE_S)

    assert (folder / "stopped").exists()


def is_refused(service: HttpService) -> bool:
    """True once nobody listens any more."""
    place = urlsplit(service.url)
    try:
        socket.create_connection((str(place.hostname), place.port or 0), timeout=DEADLINE_S).close()
    except ConnectionRefusedError:
        return True
    return False
