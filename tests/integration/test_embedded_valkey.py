"""The embedded store with its real server: start, stop, kill, orphans, ports, locks."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from data_collector.embedded.binary import server_binary
from data_collector.embedded.lock import FileLock, lock_directory
from data_collector.embedded.peer import command_of, identify, is_alive
from data_collector.embedded.record import read_record, running_servers, write_record
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.model.store_url import StoreAddress
from data_collector.observe.logs import get_log
from data_collector.sinks.redis.connection import StoreConnection
from tests.integration.processes import is_running
from tests.integration.waiting import until_async

DEADLINE_S = 60.0

STARTER = """
import asyncio, sys
from pathlib import Path
from data_collector.embedded.lock import lock_directory
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.observe.logs import get_log

async def main() -> None:
    lock = lock_directory(Path(sys.argv[1]))
    store = EmbeddedValkey(Path(sys.argv[1]), port=0, log=get_log())
    await store.start()
    print("ready", store.pid, flush=True)
    # Until the test ends, however it ends.
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, so that the path of a socket fits; not below pytest's own folder, whose names are long."""
    with tempfile.TemporaryDirectory(prefix="dc-") as made:
        folder = Path(made).resolve() / "live"
        yield folder
        left = read_record(folder)
        # A test that failed half-way may leave a server behind that no fixture knows.
        if left is not None and "valkey-server" in command_of(left.pid):
            os.kill(left.pid, signal.SIGKILL)


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[EmbeddedValkey]:
    store = EmbeddedValkey(folder, port=0, log=get_log())
    yield store
    await store.stop()


async def ask(address: StoreAddress, *words: str) -> object:
    connection = await StoreConnection.connect(address)
    try:
        (reply,) = await connection.execute([tuple[str, ...](words)])
        return reply
    finally:
        connection.close()


def start_elsewhere(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A process of its own that starts the store; returns it with the server's process id."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    for line in starter.stdout:
        if line.startswith("ready"):
            return starter, int(line.split()[1])
    raise AssertionError("the starter ended before its server was ready")


def kill_hard(starter: subprocess.Popen[str]) -> None:
    starter.kill()
    starter.communicate()


def make_folder(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_started_store_takes_commands_by_port_and_by_socket(store: EmbeddedValkey) -> None:
    await store.start()

    assert await ask(store.address, "SET", "a", "1") == "OK"
    assert await ask(store.local_address, "GET", "a") == "1"
    assert store.local_address.unix_path is not None
    assert store.address.host == "127.0.0.1"


async def test_store_is_durable_local_and_never_evicts(store: EmbeddedValkey) -> None:
    await store.start()

    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "bind": "127.0.0.1",
    }
    for name, value in wanted.items():
        assert await ask(store.address, "CONFIG", "GET", name) == [name, value]


async def test_folder_is_closed_to_other_users(store: EmbeddedValkey, folder: Path) -> None:
    make_folder(folder, 0o755)

    await store.start()

    assert mode_of(folder) == 0o700
    assert mode_of(folder / "valkey.json") == 0o600


async def test_records_survive_an_orderly_stop(store: EmbeddedValkey, folder: Path) -> None:
    await store.start()
    pid = store.pid
    await ask(store.address, "XADD", "trades:BTCUSDT", "1-1", "data", "{}")

    await store.stop()

    assert not is_alive(pid)
    assert read_record(folder) is None
    await store.start()
    assert await ask(store.address, "XLEN", "trades:BTCUSDT") == 1


async def test_records_survive_kill_of_everything(store: EmbeddedValkey, folder: Path) -> None:
    starter, pid = await asyncio.to_thread(start_elsewhere, folder)
    record = read_record(folder)
    assert record is not None
    for number in range(1, 1001):
        await ask(record.address, "XADD", "trades:BTCUSDT", f"1-{number}", "data", "{}")
    # The file is synced every second, but what the server wrote survives the death of the process at once.
    os.kill(pid, signal.SIGKILL)
    kill_hard(starter)
    await until_async(lambda: not is_running(pid), "the end of the store")

    await store.start()

    assert not store.adopted
    assert await ask(store.address, "XLEN", "trades:BTCUSDT") == 1000


async def test_orphan_is_gone_on_with_and_not_doubled(store: EmbeddedValkey, folder: Path) -> None:
    starter, pid = await asyncio.to_thread(start_elsewhere, folder)
    kill_hard(starter)
    assert is_alive(pid)

    await store.start()

    assert store.adopted
    assert store.pid == pid
    assert await ask(store.address, "PING") == "PONG"


async def test_adopted_store_is_watched_and_comes_back_with_its_records(store: EmbeddedValkey, folder: Path) -> None:
    starter, pid = await asyncio.to_thread(start_elsewhere, folder)
    kill_hard(starter)
    await store.start()
    await ask(store.address, "SET", "a", "1")
    watched = asyncio.create_task(store.wait())
    port = store.address.port

    os.kill(pid, signal.SIGKILL)

    async with asyncio.timeout(DEADLINE_S):
        assert await watched is None
    await store.start()
    assert not store.adopted
    assert store.address.port == port
    assert await ask(store.address, "GET", "a") == "1"


async def test_adopted_store_stops_in_order(store: EmbeddedValkey, folder: Path) -> None:
    starter, pid = await asyncio.to_thread(start_elsewhere, folder)
    kill_hard(starter)
    await store.start()

    await store.stop()

    await until_async(lambda: not is_running(pid), "the end of the store")
    assert "ready to exit" in (folder / "valkey.log").read_text()


async def test_orphan_with_other_flags_is_stopped_first(store: EmbeddedValkey, folder: Path) -> None:
    starter, pid = await asyncio.to_thread(start_elsewhere, folder)
    record = read_record(folder)
    assert record is not None
    await ask(record.address, "SET", "a", "1")
    kill_hard(starter)
    changed = type(record)(pid, record.port, record.unix_path, [*record.arguments, "--hz", "20"], record.started_at)
    write_record(folder, changed)

    await store.start()

    await until_async(lambda: not is_running(pid), "the end of the store")
    assert not store.adopted
    assert await ask(store.address, "GET", "a") == "1"


async def test_orphan_without_a_record_is_found_by_its_socket(store: EmbeddedValkey, folder: Path) -> None:
    starter, pid = await asyncio.to_thread(start_elsewhere, folder)
    kill_hard(starter)
    (folder / "valkey.json").unlink()

    await store.start()

    await until_async(lambda: not is_running(pid), "the end of the store")
    assert store.pid != pid


async def test_unknown_holder_of_the_server_lock_is_told_and_left_alone(store: EmbeddedValkey, folder: Path) -> None:
    make_folder(folder, 0o700)
    stranger = FileLock(folder / "valkey.lock")
    assert stranger.take()

    with pytest.raises(Misconfigured, match=r"holds .*valkey\.lock"):
        await store.start()

    stranger.release()


async def test_child_that_is_killed_is_noticed_and_comes_back_at_its_port(store: EmbeddedValkey) -> None:
    await store.start()
    await ask(store.address, "SET", "a", "1")
    port = store.address.port

    os.kill(store.pid, signal.SIGKILL)

    async with asyncio.timeout(DEADLINE_S):
        assert await store.wait() == -signal.SIGKILL
    await store.start()
    assert store.address.port == port
    assert await ask(store.address, "GET", "a") == "1"


async def test_taken_port_is_passed_over(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        store = EmbeddedValkey(folder, port=port, log=get_log())
        try:
            await store.start()

            assert store.address.port > port
            assert await ask(store.address, "PING") == "PONG"
        finally:
            await store.stop()


async def test_server_that_loses_the_race_for_a_port_is_started_at_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("data_collector.embedded.valkey.is_port_free", lambda _port: True)
        store = EmbeddedValkey(folder, port=port, log=get_log())
        try:
            await store.start()

            assert store.address.port > port
        finally:
            await store.stop()


async def test_damaged_file_ends_the_start_with_the_servers_words(store: EmbeddedValkey, folder: Path) -> None:
    await store.start()
    await ask(store.address, "SET", "a", "1")
    await store.stop()
    damaged = next((folder / "appendonlydir").glob("*.incr.aof"))
    damaged.write_bytes(b"nonsense\r\n" * 10)

    with pytest.raises(Unavailable, match="Bad file format"):
        await store.start()


async def test_long_folder_works_without_a_socket(folder: Path) -> None:
    deep = folder / ("d" * 100)
    store = EmbeddedValkey(deep, port=0, log=get_log())
    try:
        await store.start()

        assert store.local_address == store.address
        assert await ask(store.address, "PING") == "PONG"
    finally:
        await store.stop()


async def test_second_start_names_who_has_the_folder(folder: Path) -> None:
    starter, pid = await asyncio.to_thread(start_elsewhere, folder)
    try:
        with pytest.raises(Misconfigured, match=rf"in use by process {starter.pid} \(.+\), since 20\d\d-"):
            lock_directory(folder)
    finally:
        os.kill(pid, signal.SIGTERM)
        kill_hard(starter)
        await until_async(lambda: not is_running(pid), "the end of the store")


async def test_folder_is_free_again_after_a_kill(folder: Path) -> None:
    starter, pid = await asyncio.to_thread(start_elsewhere, folder)
    kill_hard(starter)

    lock = lock_directory(folder)

    lock.release()
    os.kill(pid, signal.SIGTERM)
    await until_async(lambda: not is_running(pid), "the end of the store")


async def test_running_servers_are_found_and_dead_ones_are_not(store: EmbeddedValkey, folder: Path) -> None:
    await store.start()
    other = folder.parent / "demo"
    other.mkdir()
    record = read_record(folder)
    assert record is not None
    write_record(other, type(record)(1, record.port, None, [], record.started_at))

    found = await running_servers(folder.parent)

    assert [path for path, _ in found] == [folder]
    assert found[0][1].address == store.address


async def test_one_that_was_never_started_takes_no_record_away(store: EmbeddedValkey, folder: Path) -> None:
    """A second service in the folder is refused before it starts one; commands went on to find none."""
    await store.start()

    await EmbeddedValkey(folder, port=0, log=get_log()).stop()

    record = read_record(folder)
    assert record is not None
    assert record.pid == store.pid


async def test_server_does_not_inherit_our_variables(store: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:canary@h/d")

    await store.start()

    assert "canary" not in str(psutil.Process(store.pid).environ())


async def test_something_else_at_a_port_has_no_identity() -> None:
    async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk_nonsense, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]

        assert await identify(port=port) is None


def test_binary_is_found_and_runs() -> None:
    shown = subprocess.run([server_binary(), "--version"], capture_output=True, text=True, check=True)

    assert shown.stdout.startswith("Valkey server")
    assert shutil.which(str(server_binary())) is not None
