"""Looks at store, market and service all the time: what has been wrong for a while must not be called well."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from http.client import HTTPException
from itertools import pairwise

import msgspec

from data_collector.model.errors import SinkUnavailable
from data_collector.sinks.redis.connection import ReplyError
from tests.integration.exactness import ms_of
from tests.invariants.lies import Fault, lies
from tests.invariants.said import said_by_service
from tests.soak.feeds import Oracles
from tests.soak.gap_oracle import DeclaredGap
from tests.soak.kline_oracle import STEPS_MS, StoredKline
from tests.soak.scene import Scene

LOOK_S = 1.0
SEEN_S = 8.0
"""So long may something be wrong before it must be told: parts look at each other every few seconds."""

STALL_S = 8.0
"""So long may a trade be under way before the feed stands still."""

NEWEST = 300
"""Entries of a stream that are looked at each time."""

CLOSING_S = 6.0
"""And a closed candle beyond the last closing frame's delay."""

_gap = msgspec.json.Decoder(DeclaredGap).decode
_kline = msgspec.json.Decoder(StoredKline).decode
Entries = list[tuple[str, dict[str, str]]]


class Witness:
    """One per scene."""

    def __init__(self, scene: Scene) -> None:
        self.looks = 0
        """How often what is said was held against what is so."""
        self.doubts = 0
        """How often something was wrong for long enough, and told."""
        self._scene = scene
        self._since: dict[tuple[str, str, str], float] = {}
        self._heads: deque[tuple[float, int, dict[str, int]]] = deque()

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(OSError, HTTPException, SinkUnavailable, ReplyError):
                await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Hold what is said now against what was wrong before, and still is. Raises `OSError` and those of stores."""
        service = self._scene.service
        assert service is not None, "it is a service that says something"
        before = await self._old_faults()
        said = await asyncio.to_thread(said_by_service, service.port)
        still = {(fault.symbol, fault.interval, _kind(fault)): fault for fault in await self._old_faults()}
        faults = [still[key] for fault in before if (key := (fault.symbol, fault.interval, _kind(fault))) in still]
        self.looks += 1
        self.doubts += bool(faults) and not said.is_healthy
        for lie in lies(said, [fault for fault in faults if fault.symbol in said.rows]):
            self._scene.findings.lie(lie)

    async def _old_faults(self) -> list[Fault]:
        now, found = time.monotonic(), [fault async for fault in self._faults()]
        keys = {(fault.symbol, fault.interval, _kind(fault)) for fault in found}
        self._since = {key: self._since.get(key, now) for key in keys}
        return [
            fault for fault in found
            if now - self._since[fault.symbol, fault.interval, _kind(fault)] > SEEN_S
        ]  # fmt: skip

    async def _faults(self) -> AsyncIterator[Fault]:
        state = await self._scene.market.state()
        heads = {name: told.last_id for name, told in state.symbols.items() if told.last_id is not None}
        self._heads.append((time.monotonic(), state.now_ms, heads))
        while len(self._heads) > 1 and self._heads[1][0] < time.monotonic() - STALL_S:
            self._heads.popleft()
        since, due_ms, due = self._heads[0]
        if time.monotonic() - since < STALL_S:
            due_ms, due = 0, {}
        for each in self._scene.oracles:
            truth, symbol = each.trades.truth, each.trades.truth.symbol
            try:
                for what in await self._of_trades(each, due.get(truth.market, -1)):
                    yield Fault(symbol, what, is_counted=not what.startswith("the newest"))
                async for fault in self._of_klines(each, due_ms):
                    yield fault
            except ReplyError as error:
                yield Fault(symbol, f"cannot be read: {error}", is_counted=False)

    async def _of_trades(self, each: Oracles, due: int) -> list[str]:
        trades = each.trades
        entries = await self._newest(trades.key)
        if not entries:
            return [f"the newest due is {due}, and nothing is stored"] if due >= 0 else []
        ids = [int(entry.partition("-")[2]) for entry, _ in entries]
        found = [
            f"entry {entry} is not what was traded: {words}"[:300]
            for entry, words in entries
            if not self._is_true(each, entry, words)
        ][:1]
        holes = [(one + 1, other - 1) for one, other in pairwise(ids) if other != one + 1]
        if any(first > last for first, last in holes):
            found.append(f"entries do not rise by one: {holes[:3]}")
        missing = {number for first, last in holes for number in trades.truth.traded(first, min(last, first + 10_000))}
        if missing and (lacking := missing - await self._declared(each)):
            found.append(f"misses {len(lacking)} trades from {min(lacking)} on, and no gap tells")
        # A stranger's entry is no tail.
        true = (
            number for number, (entry, words) in zip(ids, entries, strict=True) if self._is_true(each, entry, words)
        )
        tail = max(true, default=-1)
        if tail < due:
            found.append(f"the newest is {tail}, and {due} was traded {STALL_S:g} s ago")
        return found

    def _is_true(self, each: Oracles, entry: str, words: dict[str, str]) -> bool:
        truth = each.trades.truth
        try:
            number, marks = truth.read(words["data"])
        except (ValueError, KeyError, RecursionError):
            return False
        true = truth.mark(number)
        if true is None:
            # Newer than the truth that we have, unless nobody has traded it yet.
            return number < self._heads[-1][2].get(truth.market, -1) + 1 and entry.endswith(f"-{number}")
        return true in marks and entry.endswith(f"-{number}")

    async def _of_klines(self, each: Oracles, due_ms: int) -> AsyncIterator[Fault]:
        truth, speed = each.trades.truth, self._scene.plan.speed
        entries = await self._newest(truth.key("stream"))
        closed = list(_closed(entries))
        for oracle in each.klines:
            step = STEPS_MS[oracle.interval]
            mine = {ms_of(kline.timestamp): kline for kline in closed if kline.interval == oracle.interval}
            true = await self._scene.market.closed_klines(truth.symbol, oracle.interval)
            amounts = {kline.open_ms: kline for kline in true}
            early = [ms for ms in mine if ms + step > self._heads[-1][1]]
            if early:
                yield Fault(truth.symbol, f"a closed candle of the future: {early}", oracle.interval)
            wrong = [ms for ms, kline in mine.items() if (ms in amounts) != bool(kline.trades)]
            if wrong and not early:
                yield Fault(truth.symbol, f"candles {wrong} are not the market's", oracle.interval, is_counted=False)
            last = [ms for ms in amounts if ms + step < due_ms - CLOSING_S * speed * 1000][-1:]
            if last and mine and max(mine) < last[0] and len(entries) == NEWEST:
                what = f"the newest candle is {max(mine)}, and {last[0]} is over"
                yield Fault(truth.symbol, what, oracle.interval, is_counted=False)

    async def _declared(self, each: Oracles) -> set[int]:
        found: set[int] = set()
        for _, words in await self._newest(each.trades.truth.key("gaps")):
            with suppress(ValueError, KeyError, RecursionError):
                gap = _gap(words["data"])
                if gap.channel == "trade" and gap.count < 10**6:
                    found |= set(range(int(gap.first), int(gap.last) + 1))
        return found

    async def _newest(self, key: str) -> Entries:
        """Oldest first. Raises `SinkUnavailable` or `ReplyError`."""
        found = await self._scene.pair.primary.ask("XREVRANGE", key, "+", "-", "COUNT", NEWEST)
        assert isinstance(found, list), "XREVRANGE answers with an array"
        return [(entry, dict(zip(words[::2], words[1::2], strict=True))) for entry, words in reversed(found)]


def _closed(entries: Entries) -> Iterable[StoredKline]:
    for _, words in entries:
        with suppress(ValueError, KeyError, RecursionError):
            if '"is_closed":true' in words["data"]:
                yield _kline(words["data"])


def _kind(fault: Fault) -> str:
    """What it is, without the numbers that grow."""
    return " ".join(fault.what.split()[:2])
