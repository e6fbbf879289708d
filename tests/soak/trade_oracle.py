"""Holds `trades:` against the truth: all of it after each round, and while faults strike as a reader follows it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from data_collector.model.errors import SinkUnavailable
from data_collector.sinks.redis.connection import ReplyError
from tests.soak.findings import Findings
from tests.soak.servers import Server
from tests.soak.truth import ABSENT, Truth

PAGE = 2_000


async def pages(server: Server, key: str, after: str) -> AsyncIterator[list[tuple[str, dict[str, str]]]]:
    """The entries of a stream behind an entry id, in pages, up to what is the last one now.

    Raises `SinkUnavailable` or `ReplyError`.
    """
    newest = await server.ask("XREVRANGE", key, "+", "-", "COUNT", 1)
    assert isinstance(newest, list), "XREVRANGE answers with an array"
    end = newest[0][0] if newest else "+"
    while True:
        found = await server.ask("XRANGE", key, f"({after}" if after else "-", end, "COUNT", PAGE)
        assert isinstance(found, list), "XRANGE answers with an array"
        if not found:
            return
        yield [(entry_id, dict(zip(words[::2], words[1::2], strict=True))) for entry_id, words in found]
        after = found[-1][0]
        if len(found) < PAGE:
            return


class TradeOracle:
    """Of one symbol. `follow` as often as wanted, `verify` when the store has settled."""

    def __init__(self, truth: Truth, findings: Findings) -> None:
        self.truth = truth
        self.begin = -1
        """The first trade id ever seen; what the stream begins with until it is trimmed."""
        self.newest = -1
        """Up to here a reader has seen every trade."""
        self.followed = 0
        """How many trades a reader has seen, each once."""
        self.was_wiped = False
        """Set by whoever throws the stream away."""
        self.verified = 0
        """How many trades were held against the truth in full scans, the newest scan's."""
        self.key = truth.key("trades")
        self._findings = findings
        self._after = ""
        self._jumps: list[tuple[int, int, str]] = []
        """What a reader has missed, until the truth knows whether there was anything."""

    async def follow(self, server: Server) -> None:
        """Read on behind the last entry id, on whichever server is the primary now, as a user's reader does."""
        try:
            async for page in pages(server, self.key, self._after):
                for entry_id, fields in page:
                    self._take(entry_id, fields["data"])
                self._after = page[-1][0]
        except (SinkUnavailable, ReplyError):
            return

    def resolve(self) -> None:
        """Judge the jumps that `follow` has met; the truth must be newer than that."""
        for first_id, last_id, where in self._jumps:
            self._miss(first_id, last_id, where)
        self._jumps.clear()

    async def verify(self, server: Server, *, maxlen: int) -> None:
        """Hold the whole stream against the truth. The truth must be as new as the stream."""
        before, before_ms, count = -1, -1, 0
        async for page in pages(server, self.key, ""):
            trade_id = int(page[0][0].partition("-")[2])
            if before < 0:
                self._check_beginning(trade_id, await self._length(server), maxlen)
            elif trade_id > before + 1:
                # What is older than the beginning of now was trimmed since the page before was read.
                before = max(before, min(await self._first_id(server), trade_id) - 1)
            for entry_id, fields in page:
                before, before_ms = self._check(entry_id, fields["data"], before, before_ms)
                count += 1
        self.verified = count

    def is_held(self, trade_id: int) -> bool:
        """Whether the stream holds, or held before it was trimmed, this trade."""
        return self.begin <= trade_id <= self.newest and (self.truth.name, trade_id) not in self._findings.lost

    async def _first_id(self, server: Server) -> int:
        oldest = await server.ask("XRANGE", self.key, "-", "+", "COUNT", 1)
        assert isinstance(oldest, list), "XRANGE answers with an array"
        return int(oldest[0][0].partition("-")[2]) if oldest else -1

    async def _length(self, server: Server) -> int:
        length = await server.ask("XLEN", self.key)
        assert isinstance(length, int), "XLEN answers with a number"
        return length

    def _take(self, entry_id: str, text: str) -> None:
        trade_id = int(entry_id.partition("-")[2])
        if self.begin < 0:
            self.begin = trade_id
        elif trade_id <= self.newest:
            self._note("doubled", trade_id, f"a reader behind {self.newest} got entry {entry_id}")
            return
        elif trade_id > self.newest + 1:
            where = f"a reader got entry {entry_id} after trade {self.newest}"
            self._jumps.append((self.newest + 1, trade_id - 1, where))
        self.newest = trade_id
        self.followed += 1
        if not text:
            self._note("changed", trade_id, f"entry {entry_id} is empty")

    def _check_beginning(self, first_id: int, length: int, maxlen: int) -> None:
        # One that was wiped may begin anywhere up to where its readers are; a trimmed one is long enough.
        due = self.newest + 1 if self.was_wiped else self.begin
        if length < maxlen and first_id > due >= 0:
            self._miss(due, first_id - 1, f"the stream begins at {first_id} and is {length} entries long")
        if self.was_wiped:
            self.begin, self.was_wiped = first_id, False

    def _check(self, entry_id: str, text: str, before: int, before_ms: int) -> tuple[int, int]:
        ms, trade_id = map(int, entry_id.split("-"))
        try:
            record_id, marks = self.truth.read(text)
        except ValueError as error:
            self._note("changed", trade_id, f"entry {entry_id} is no trade ({error}): {text[:200]}")
            return trade_id, ms
        if record_id != trade_id or ms < before_ms:
            self._note("changed", trade_id, f"entry {entry_id} holds trade {record_id}")
        if record_id <= before:
            self._note("doubled", record_id, f"entry {entry_id} holds trade {record_id} after trade {before}")
            return before, ms
        if before >= 0 and record_id > before + 1:
            self._miss(before + 1, record_id - 1, f"entry {entry_id} follows trade {before}")
        true = self.truth.mark(record_id)
        if true == ABSENT or (true is not None and true not in marks):
            self._note("changed", record_id, f"entry {entry_id} is not what was traded: {text[:300]}")
        return record_id, ms

    def _miss(self, first_id: int, last_id: int, where: str) -> None:
        missing = {(self.truth.name, number) for number in self.truth.traded(first_id, last_id)}
        if not missing <= self._findings.lost:
            self._findings.tell(f"{self.key}: {len(missing)} trades {first_id}..{last_id} are lost: {where}")
            self._findings.lost |= missing

    def _note(self, what: str, trade_id: int, sentence: str) -> None:
        found = self._findings.doubled if what == "doubled" else self._findings.changed
        if (self.truth.name, trade_id) not in found:
            found.add((self.truth.name, trade_id))
            self._findings.tell(f"{self.key}: {what}: {sentence}")
