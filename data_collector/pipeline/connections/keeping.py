"""Shows a recorder what is said on a connection, where there is one: without, a connection costs what it did."""

from __future__ import annotations

from urllib.parse import urlsplit

from data_collector.pipeline.connections.transport import Address, Connect, open_websocket
from data_collector.pipeline.connections.websocket import Decode, OnControl, Receive, WebSocket
from data_collector.recording.recorder import KeptConnection, Recorder


async def open_kept(
    recorder: Recorder | None, line: str, address: Address, decode: Decode, receive: Receive, on_control: OnControl,
    *, messages_per_s: int, connect: Connect,
) -> WebSocket:  # fmt: skip
    """As `open_websocket`, for a line of that name."""
    kept = None if recorder is None else recorder.connection(line, urlsplit(address.url).path)
    socket = await open_websocket(
        address, decode if kept is None else kept.keeping(decode), receive, on_control,
        messages_per_s=messages_per_s, connect=connect,
    )  # fmt: skip
    if kept is not None:
        _follow(kept, socket)
    return socket


def _follow(kept: KeptConnection, socket: WebSocket) -> None:
    kept.opened()
    socket.on_sent = kept.sent
    socket.ended.add_done_callback(lambda _: kept.ended(socket.last_words))
