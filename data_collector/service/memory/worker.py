"""The memory child: threads that follow series, and one that answers questions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from data_collector.child import Link, LinkLost, open_link
from data_collector.client.errors import NotInstalled
from data_collector.observe.memory import resident_bytes
from data_collector.observe.output import dropped_reasons
from data_collector.service.memory.messages import ASKED, Asked, Orders, Progress, Told, Unable

if TYPE_CHECKING:
    from data_collector.service.memory.following import Following

PROGRESS_S: Final = 1.0


async def serve_memory(connection: socket.socket) -> None:
    """Carry out the orders that come first, and answer questions one after the other until the other hangs up."""
    link = await open_link(connection, ASKED)
    with contextlib.suppress(LinkLost):
        orders = await link.receive()
        assert isinstance(orders, Orders), "they come first"
        try:
            from data_collector.service.memory.following import Following  # noqa: PLC0415 - needs numpy
            from data_collector.service.memory.moments import Moments  # noqa: PLC0415
        except NotInstalled as error:
            await link.send(Unable(str(error)))
            return
        forget_other_sources(Path(orders.folder), orders.source)
        following = Following(orders)
        moments = Moments(orders, following)
        speaking = _Speaking(link)
        async with _telling(following, speaking):
            while True:
                question = await link.receive()
                assert not isinstance(question, Orders), "they come once"
                await speaking.say(await asyncio.to_thread(moments.answer, question))


def forget_other_sources(folder: Path, source: str) -> None:
    """Candles of another market are none of this one's: they are read anew."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = folder / "source"
    if mark.exists() and mark.read_text() == source:
        return
    for path in folder.glob("*.candles"):
        path.unlink()
    mark.write_text(source)


@asynccontextmanager
async def _telling(following: Following, speaking: _Speaking) -> AsyncIterator[None]:
    """The other hears how it goes, every second."""

    async def tell() -> None:
        with contextlib.suppress(LinkLost):
            while True:
                await speaking.say(progress_of(following))
                # Threads have no event that a loop could wait for.
                await asyncio.sleep(PROGRESS_S)

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()


def progress_of(following: Following) -> Progress:
    """How it goes."""
    candles: dict[str, int] = {}
    filling: dict[str, int] = {}
    faults: dict[str, str] = {}
    for follower in following.followers:
        name = " ".join(follower.series)
        (candles if follower.version else filling)[name] = follower.candles
        if follower.fault is not None:
            faults[name] = follower.fault
    return Progress(candles, filling, faults, resident_bytes(), dropped_reasons("the process of Market Memory"))


class _Speaking:
    """A link has one sender at a time."""

    def __init__(self, link: Link[Asked]) -> None:
        self._link = link
        self._turn = asyncio.Lock()

    async def say(self, told: Told) -> None:
        async with self._turn:
            await self._link.send(told)
