"""Feeds garbage to the store's reply parser: `PYTHONPATH=. python tests/fuzz/fuzz_reply.py -max_total_time=60`.

Whatever a server answers, `data_received` raises nothing: the connection is either open or says why it is not.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["data_collector"]):
    from data_collector.sinks.redis.connection import StoreConnection

SEEDS = (
    b"+OK\r\n", b":7\r\n", b"$3\r\nGAP\r\n", b"$-1\r\n", b"*3\r\n$3\r\nGAP\r\n:5\r\n:0\r\n", b"*-1\r\n", b"*0\r\n",
    b"-WRONGTYPE Operation against a key\r\n", b"*2\r\n:1\r\n*1\r\n-ERR inner\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"_\r\n", b"#t\r\n", b",1.5\r\n", b"(12345678901234567890\r\n", b"%1\r\n+a\r\n:1\r\n", b">1\r\n+push\r\n",
)  # fmt: skip
REPLY_BYTES_MAX = 4_096


class Wire(asyncio.Transport):
    """Takes everything and gives nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        """Nothing is open."""


def receive(replies: bytes) -> None:
    """One input, whole and in two pieces: any exception that leaves here is a finding."""
    for pieces in ([replies], [replies[: len(replies) // 2], replies[len(replies) // 2 :]]):
        connection = StoreConnection()
        connection.connection_made(Wire())
        for piece in pieces:
            connection.data_received(piece)
        connection.connection_lost(None)
        assert not connection.is_open, "a lost connection is open"


def main() -> None:
    """Fuzz until the time given on the command line is over."""
    with tempfile.TemporaryDirectory(prefix="dc-fuzz-") as folder:
        for index, seed in enumerate(SEEDS):
            (Path(folder) / str(index)).write_bytes(seed)
        atheris.Setup([*sys.argv, f"-max_len={REPLY_BYTES_MAX}", "-rss_limit_mb=2048", folder], receive)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
