"""Replies as they come in: none may announce, or bring, more than anybody asks for.

The parser makes room for the items of an array before one of them has come: a billion of them hold the loop for
seconds, or end the process.
"""

from __future__ import annotations

import re

ITEMS_MAX = 9_999_999
"""Of one reply; the longest that is asked for has some hundred thousand."""

BYTES_MAX = 256 * 1024 * 1024
"""Of the replies to one batch."""

HEADER_BYTES = 32

_MANY = re.compile(rb"[*%~>|][0-9]{8,}")
"""Where an array may begin that is too long; texts may hold the same."""


class ReplyFlow:
    """The replies to one batch after the other."""

    __slots__ = ("_next", "_received")

    def __init__(self) -> None:
        self._received = bytearray()
        self._next = 0
        """Where the next header begins that was not looked at."""

    def begin(self) -> None:
        """What comes now answers the next batch."""
        if self._received:
            self._received = bytearray()
        self._next = 0

    def is_endless(self, data: bytes) -> bool:
        """Whether more is announced, or has come, than can be."""
        received = self._received
        since = max(0, len(received) - HEADER_BYTES)
        received += data
        if len(received) > BYTES_MAX:
            return True
        return _MANY.search(received, since) is not None and self._announces_too_many()

    def _announces_too_many(self) -> bool:
        """Goes from header to header, so that texts are passed over."""
        received = self._received
        while (end := received.find(b"\r\n", self._next)) >= 0:
            kind, length = received[self._next : self._next + 1], bytes(received[self._next + 1 : end])
            self._next = end + 2
            if not length.isdigit():
                continue
            if kind in b"*%~>|" and (len(length) > HEADER_BYTES or int(length) > ITEMS_MAX):
                return True
            if kind in b"$=!":
                self._next += (BYTES_MAX if len(length) > HEADER_BYTES else int(length)) + 2
        return False
