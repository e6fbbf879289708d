"""A reader as users write them, in a process of its own: follows entry ids, knows nothing of faults or of the truth.

It reads through the same door as the collectors, so it meets what they meet. After every lost connection it first reads
again some of what it had, which must be what it was. On SIGTERM, or when its parent is gone, it writes what it has met
as JSON, and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections import OrderedDict
from pathlib import Path
from types import FrameType

import redis

from tests.integration.store_reader import Client

KEPT = 200_000
"""Entries per symbol whose content is remembered."""

AGAIN = 500
"""Entries that are read again after a connection was lost."""

COUNT = 1_000
BLOCK_MS = 200
PAUSE_S = 0.05


class Follower:
    """One stream."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.last = "0-0"
        self.entries = 0
        self.again = 0
        self.faults: list[str] = []
        self._known: OrderedDict[str, int] = OrderedDict()

    def take(self, entry_id: str, text: str) -> None:
        """What XREAD gave behind `last`."""
        if _parts(entry_id) <= _parts(self.last):
            self.faults.append(f"{self.key}: {entry_id} came after {self.last}")
        self.compare(entry_id, text)
        self.last = entry_id
        self.entries += 1

    def compare(self, entry_id: str, text: str) -> None:
        """An entry that was seen before must be what it was."""
        mark = hash(text)
        known = self._known.get(entry_id)
        if known is None:
            self._known[entry_id] = mark
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
            return
        self.again += 1
        if known != mark:
            self.faults.append(f"{self.key}: {entry_id} is another one now: {text[:200]}")

    def recent(self) -> str:
        """The entry id from which on to read again."""
        ids = list(self._known)[-AGAIN:]
        return ids[0] if ids else "-"


class Reader:
    """All streams, until it is told to end."""

    def __init__(self, port: int, keys: list[str]) -> None:
        self.followers = {key: Follower(key) for key in keys}
        self.reconnects = 0
        self._ends = False
        self._parent = os.getppid()
        self._client: Client = redis.Redis.from_url(
            f"redis://127.0.0.1:{port}/0", decode_responses=True, socket_timeout=10, retry=None
        )

    def end(self, _number: int, _frame: FrameType | None) -> None:
        """For SIGTERM."""
        self._ends = True

    def run(self) -> None:
        """Read until it is told to end."""
        lost = False
        while not self._ends and os.getppid() == self._parent:
            try:
                if lost:
                    self._read_again()
                    lost = False
                self._read()
            except redis.RedisError:
                lost = True
                self.reconnects += 1
                time.sleep(PAUSE_S)

    def _read(self) -> None:
        lasts = [follower.last for follower in self.followers.values()]
        found = self._client.execute_command(
            "XREAD", "COUNT", COUNT, "BLOCK", BLOCK_MS, "STREAMS", *self.followers, *lasts
        )
        if not isinstance(found, (list, dict)):
            return
        for key, entries in found.items() if isinstance(found, dict) else found:
            for entry_id, fields in entries:
                self.followers[key].take(entry_id, fields["data"])

    def _read_again(self) -> None:
        for follower in self.followers.values():
            found = self._client.execute_command("XRANGE", follower.key, follower.recent(), follower.last)
            assert isinstance(found, list), "XRANGE answers with an array"
            for entry_id, fields in found:
                follower.compare(entry_id, fields["data"])


def _parts(entry_id: str) -> tuple[int, int]:
    ms, number = entry_id.split("-")
    return int(ms), int(number)


def main() -> None:
    """Read until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.reader", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys", required=True)
    parser.add_argument("--report", type=Path, required=True)
    chosen = parser.parse_args()
    reader = Reader(chosen.port, chosen.keys.split(","))
    signal.signal(signal.SIGTERM, reader.end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reader.run()
    followers = reader.followers.values()
    report = {
        "entries": sum(follower.entries for follower in followers),
        "again": sum(follower.again for follower in followers),
        "reconnects": reader.reconnects,
        "faults": [fault for follower in followers for fault in follower.faults],
    }
    chosen.report.write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
