"""Processes of ours that we start and speak with: the collector, its audit worker, its history writer.

The two speak on a socket pair: frames of a 4-byte big-endian length and msgpack. The child is told the number of its
end on its command line. End of file on either side means that the other has hung up or died; a child then ends in its
own order, so hanging up is how one is asked to stop, and none outlives whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

import data_collector
from data_collector.time_limit import time_limit

LENGTH_BYTES: Final = 4

FRAME_BYTES_MAX: Final = 32 * 1024 * 1024
"""An audit holds at most 16 MiB of chunks and the suites that they were judged by; a snapshot of 2,000 symbols is below
1 MiB."""

Received = TypeVar("Received")


class LinkLost(ConnectionError):
    """The other process has hung up, has died, or sends what is no message of ours."""


class FrameTooLong(ValueError):
    """A message that the other side would refuse; nothing of it was sent."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes and may have {FRAME_BYTES_MAX}")


class Link(Generic[Received]):
    """One end of the socket pair. At most one task sends and one receives at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: msgspec.msgpack.Decoder[Received]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = received

    async def send(self, message: Struct) -> None:
        """Return when the message is on its way. Raises `FrameTooLong`, and `LinkLost`.

        A cancelled call may have sent a part, and the link is good for nothing then.
        """
        content = msgspec.msgpack.encode(message)
        if len(content) > FRAME_BYTES_MAX:
            raise FrameTooLong(len(content))
        await self.send_frame(content)

    async def receive(self) -> Received:
        """The next message. Raises `LinkLost`. Cancelled in the middle of one, the link is good for nothing."""
        content = await self.receive_frame()
        try:
            return self._decoder.decode(content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _lost(error) from error

    async def send_frame(self, content: bytes) -> None:
        """Bytes instead of a message. Raises `LinkLost`."""
        try:
            # Not joined first: an audit's content has megabytes, and the event loop would wait for the copy.
            self._writer.write(len(content).to_bytes(LENGTH_BYTES))
            self._writer.write(content)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            # RuntimeError: uvloop's, for writing to a link that has just been closed.
            raise _lost(error) from error

    async def receive_frame(self) -> bytes:
        """The next frame, whatever it holds. Raises `LinkLost`."""
        try:
            length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES))
            if length <= FRAME_BYTES_MAX:
                return await self._reader.readexactly(length)
        except (OSError, EOFError) as error:
            raise _lost(error) from error
        raise LinkLost(f"it announced {length} bytes and may send {FRAME_BYTES_MAX}")

    def close(self) -> None:
        """Hang up. May be called at any time, and again."""
        self._writer.close()


async def open_link(end: socket.socket, received: msgspec.msgpack.Decoder[Received]) -> Link[Received]:
    """The link that ends in this socket, which is the link's from now on."""
    end.setblocking(False)
    return Link(*await asyncio.open_connection(sock=end), received)


class Child(Generic[Received]):
    """A process that was started, and our end of the link to it."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link[Received]) -> None:
        self._process = process
        self.link = link
        self.pid = process.pid

    @property
    def is_running(self) -> bool:
        """Whether it runs; one that died is found out about by speaking with it, or a moment later."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Its exit code, when it has ended; a negative one is the signal that ended it."""
        return await self._process.wait()

    async def is_over(self, within_s: float) -> bool:
        """Whether it ends within this time."""
        with contextlib.suppress(TimeoutError):
            async with time_limit(within_s):
                await self._process.wait()
                return True
        return False

    def send_signal(self, number: signal.Signals) -> None:
        """Also to one that has ended meanwhile."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def end(self, within_s: float) -> None:
        """Hang up, and kill it if it has not ended within this time. May be called at any time, and again."""
        self.link.close()
        if not within_s or not await self.is_over(within_s):
            self.send_signal(signal.SIGKILL)
            await self._process.wait()


async def start_child(
    command: Sequence[str], received: msgspec.msgpack.Decoder[Received], *, flag: str = "--fd",
    environment: Mapping[str, str] | None = None, stdout: int | None = asyncio.subprocess.DEVNULL,
    stderr: int | None = None, others: Mapping[str, socket.socket] | None = None,
) -> Child[Received]:  # fmt: skip
    """A running process, told by `flag` where its end of the link is. Raises `OSError` when it cannot be started.

    `others` are sockets that it inherits too, by the flags that tell it where.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        link = await open_link(ours, received)
        numbers = {name: each.fileno() for name, each in {flag: theirs, **(others or {})}.items()}
        flags = [word for name, number in numbers.items() for word in (name, str(number))]
        try:
            process = await asyncio.create_subprocess_exec(
                *command, *flags, pass_fds=tuple(numbers.values()),
                stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                # Ctrl-C in a terminal goes to the whole foreground group. The child must not hear it, not even before
                # it can ignore it: it stops when we hang up.
                start_new_session=True, env=_with_package(os.environ if environment is None else environment),
            )  # fmt: skip
        except BaseException:
            link.close()
            raise
    return Child(process, link)


def _with_package(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which this very package is found, also when we were started from another folder."""
    root = str(Path(data_collector.__file__).parent.parent)
    others = environment.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": os.pathsep.join([root, others] if others else [root])}


def _lost(error: Exception) -> LinkLost:
    return LinkLost(f"{type(error).__name__}: {error}")
