"""Store servers of our own, with any flags: killed, held, made replicas, promoted."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_collector.embedded.binary import server_binary
from data_collector.embedded.peer import free_port
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until


class StoreServer:
    """A process on a port; what it keeps on disk is in `folder`."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.store = Store(self.url)
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        self.launch()
        until(self.store.answers, "an answer of the store")

    def launch(self) -> None:
        """Return at once: it may still be loading."""
        self.folder.mkdir(exist_ok=True)
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self._process = subprocess.Popen([server_binary(), *arguments, *self._flags], stdout=subprocess.DEVNULL)

    def store_behind(self, port: int) -> Store:
        """Reads here; the collector that is given it goes to another port, behind which this server is."""
        store = Store(self.url)
        store.url = f"redis://127.0.0.1:{port}/0"
        return store

    def send(self, how: signal.Signals) -> None:
        """SIGSTOP, SIGCONT."""
        assert self._process is not None, "it was started"
        self._process.send_signal(how)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Return when the process is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(DEADLINE_S)

    def is_replica(self) -> bool:
        """Whether it is one in full."""
        facts = self.store.ask("INFO", "replication")
        assert isinstance(facts, dict)
        return bool(facts["role"] == "slave" and facts["master_link_status"] == "up")


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[StoreServer]:
    """A running server, gone with the block."""
    server = StoreServer(folder, *flags)
    try:
        server.start()
        yield server
    finally:
        server.store.close()
        server.end()
