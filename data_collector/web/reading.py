"""Whether a client reads what it is sent, as far as the kernel knows."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys

TOLD_BYTES_MIN = 2048
"""Of less nothing is concluded: windows are told in coarse steps."""

_TCP_INFO = getattr(socket, "TCP_INFO", 11)
_INFO_BYTES = 232
_ACKED = struct.Struct("=Q")
_ACKED_AT = 120
_WINDOW = struct.Struct("=I")
_WINDOW_AT = 228
"""Fields of Linux's `struct tcp_info`, the second since 5.4."""


class Reading:
    """Watches one connection; asked now and then for how long its client has read nothing.

    The client's kernel takes what is sent until its own buffer is full, and our buffers see nothing of that for a
    minute. But it tells how much more it takes, and this place moves on only while its program reads.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._acked, self._edge = _told(transport)
        self._waiting = 0
        self._since_s: float | None = None

    def idle_s(self, now_s: float) -> float:
        """Seconds since there was something to read and none of it was; 0 for a client that reads."""
        acked, edge = _told(self._transport)
        taken, waiting, before = acked - self._acked, self._transport.get_write_buffer_size(), self._waiting
        self._waiting = waiting
        if not edge and waiting != before:
            # Nothing is told on this system: what waits here becomes less while it is read.
            self._since_s = None
        elif edge - self._edge >= max(1, taken // 2):
            self._acked, self._edge, self._since_s = acked, edge, None
        elif taken >= TOLD_BYTES_MIN or waiting:
            self._since_s = now_s if self._since_s is None else self._since_s
        return 0.0 if self._since_s is None else now_s - self._since_s


def _told(transport: asyncio.Transport) -> tuple[int, int]:
    """How many bytes the client's kernel has acknowledged, and up to which it would take more; zeros elsewhere."""
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is None or not sys.platform.startswith("linux"):
        return 0, 0
    try:
        told = found.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO_BYTES)
    except OSError:
        return 0, 0
    if len(told) < _INFO_BYTES:
        return 0, 0
    (acked,), (window,) = _ACKED.unpack_from(told, _ACKED_AT), _WINDOW.unpack_from(told, _WINDOW_AT)
    return acked, acked + window
