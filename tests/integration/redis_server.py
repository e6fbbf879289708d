"""Redis as Debian packages it: processes of our own with any flags, and certificates for its TLS."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data_collector.embedded.peer import free_port
from tests.integration.packages import install
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until

PROGRAM = Path("/usr/bin/redis-server")
EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class RedisServer:
    """A server on a port and, for its administrator, on a socket; data is kept in `folder`."""

    def __init__(self, folder: Path, flags: tuple[str, ...], login: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.socket = folder / "s"
        self._flags = flags
        self._login = login
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        """For URLs."""
        return f"127.0.0.1:{self.port}"

    @cached_property
    def administrator(self) -> Store:
        """May do everything; reads database 0."""
        return Store(f"unix://{self._login}{self.socket}")

    def start(self) -> None:
        """Return when it answers."""
        port = ("--port", "0", "--tls-port") if "--tls-cert-file" in self._flags else ("--port",)
        self._process = subprocess.Popen(
            [
                PROGRAM, *port, str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket),
                "--dir", str(self.folder), "--save", "", *self._flags,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(self.administrator.answers, "an answer of redis-server", output=self._state)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Return when the process is gone."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(DEADLINE_S)

    def _state(self) -> str:
        return f"exit code {self._process.poll()}" if self._process else "not started"


@contextmanager
def redis_server(*flags: str, login: str = "") -> Iterator[RedisServer]:
    """A running server, gone with the block. `login` is what stands before the path in the administrator's URL."""
    # Paths of sockets are short, and those of pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="dc-") as folder:
        server = RedisServer(Path(folder), flags, login)
        try:
            server.start()
            yield server
        finally:
            server.administrator.close()
            server.end()


def install_redis() -> str | None:
    """Make `PROGRAM` exist and return why it could not be."""
    reason = install(PROGRAM, "redis-server")
    if reason is not None:
        return reason
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(version.partition("v=")[2].partition(".")[0])
    return None if major >= 7 else f"server-side functions came with Redis 7, and this machine has {version.strip()}"


@dataclass(frozen=True)
class Authority:
    """Signs certificates for tests, made when they run."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """What clients are to trust."""
        return self.folder / "authority.crt"

    def flags(self, names: str) -> tuple[str, ...]:
        """For a server whose certificate is good for `names`: `DNS:localhost,IP:127.0.0.1`."""
        files = {name: self.folder / f"server.{name}" for name in ("key", "csr", "crt", "ext")}
        files["ext"].write_text(f"subjectAltName={names}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", *EC_KEY, "-subj", "/CN=store", "-keyout", files["key"], "-out", files["csr"])
        _openssl(
            "x509", "-req", "-days", "2", "-in", files["csr"], "-CA", self.certificate, "-CAkey", self._key,
            "-CAcreateserial", "-extfile", files["ext"], "-out", files["crt"],
        )  # fmt: skip
        return (
            "--tls-cert-file", str(files["crt"]), "--tls-key-file", str(files["key"]),
            "--tls-ca-cert-file", str(self.certificate), "--tls-auth-clients", "no",
        )  # fmt: skip

    @property
    def _key(self) -> Path:
        return self.folder / "authority.key"

    @classmethod
    def made(cls, folder: Path) -> Authority:
        """A new one, unknown to the world."""
        folder.mkdir()
        authority = cls(folder)
        _openssl(
            "req", "-x509", *EC_KEY, "-days", "2", "-subj", "/CN=authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", authority._key, "-out", authority.certificate,
        )  # fmt: skip
        return authority


def _openssl(*words: str | Path) -> None:
    ended = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
