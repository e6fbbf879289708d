"""Asking a running server who it is, and whether a port or a process is what we take it for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from pathlib import Path

from msgspec import Struct

from data_collector.time_limit import time_limit

ANSWER_TIMEOUT_S = 2.0
"""Even a server that loads its data answers INFO in milliseconds."""

ANSWER_BYTES_MAX = 64 * 1024

PORTS_TRIED = 100
PORT_MAX = 65_535

_QUESTION = b"INFO server\r\nINFO persistence\r\nCONFIG GET dir\r\nQUIT\r\n"


class Identity(Struct, frozen=True):
    """What a server says of itself."""

    pid: int
    port: int
    directory: Path
    version: str
    loading: bool


async def identify(*, port: int | None = None, unix_path: str | None = None) -> Identity | None:
    """Ask the server at a loopback port or a socket path who it is; None when nobody answers as a server would."""
    try:
        async with time_limit(ANSWER_TIMEOUT_S):
            if unix_path is not None:
                reader, writer = await asyncio.open_unix_connection(unix_path, limit=ANSWER_BYTES_MAX)
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=ANSWER_BYTES_MAX)
            try:
                writer.write(_QUESTION)
                return _read_identity(await _read_answer(reader))
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError, KeyError):
        # Whatever listens there is no server of ours: that is an answer too, and all that the caller asks.
        return None


async def until_disconnected(port: int) -> None:
    """Return when the server at a loopback port hangs up, or at once when nobody answers there."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return
    try:
        await reader.read(1)
    except OSError:
        return
    finally:
        writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> str:
    answer = b""
    while piece := await reader.read(ANSWER_BYTES_MAX):
        answer += piece
        if len(answer) > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
    return answer.decode()


def _read_identity(answer: str) -> Identity:
    lines = answer.splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return Identity(
        pid=int(fields["process_id"]),
        port=int(fields["tcp_port"]),
        directory=Path(lines[lines.index("dir") + 2]) if "dir" in lines else Path(),
        version=fields.get("valkey_version") or fields["redis_version"],
        loading=fields["loading"] == "1",
    )


def is_port_free(port: int) -> bool:
    """True when nobody accepts at this loopback port and we could listen there. Blocks for a moment."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        # On BSD systems a bind succeeds beside a server that listens on all addresses, so ask first.
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that was free a moment ago. Blocks for a moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ports_to_try(last: Path, first: int) -> list[int]:
    """The port in the file `last`, then `PORTS_TRIED` from `first` on, any free ones where that is 0. Blocks."""
    try:
        # A server that comes back belongs where its users look for it.
        known = int(last.read_text())
    except (OSError, ValueError):
        known = 0
    others = [first + offset if first else free_port() for offset in range(PORTS_TRIED)]
    return [known, *others] if 0 < known <= PORT_MAX else others


def is_alive(pid: int) -> bool:
    """True when the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def command_of(pid: int) -> str:
    """The command line of a process; empty when the system does not tell. Blocks for a moment."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        pass
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # macOS has no /proc.
        asked = subprocess.run(  # noqa: S603 (a fixed command with a number)
            ["/bin/ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, timeout=5, check=False
        )
        return asked.stdout.strip()
    return ""
