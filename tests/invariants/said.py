"""What a collector says of itself: by its own snapshot, or by the service's answers."""

from __future__ import annotations

import http.client
import json
import time

import msgspec
from msgspec import Struct, field

from data_collector.api.answers import Health
from data_collector.api.completeness.completeness import kline_counts, trade_counts_apart
from data_collector.api.completeness.former_entries import FormerEntries
from data_collector.api.live.events import CompletenessRow, CompletenessRows
from data_collector.api.live.state import RecentState
from data_collector.api.store_reading import StoreReading
from data_collector.model.calendar import UtcCalendar
from data_collector.model.status import Snapshot
from tests.invariants.page import Verdicts, verdicts

ANSWER_S = 60.0
AGAIN_S = 0.5


class Said(Struct):
    """All of one moment."""

    condition: str
    reasons: list[str]
    running: bool
    open_gaps: int
    refused: int
    """Messages, since the process started."""
    rows: dict[str, CompletenessRow]
    """By symbol; what the page's answer is made of too."""
    page: Verdicts
    klines_proven: dict[str, bool] = field(default_factory=dict)
    """By `SYMBOL interval`, where it was asked."""

    @property
    def is_healthy(self) -> bool:
        """Without a word of doubt."""
        return self.condition == "healthy"


class _Gaps(Struct):
    open: int


class _State(Struct):
    health: Health
    gaps: _Gaps


async def said_by(snapshot: Snapshot, store_url: str) -> Said:
    """What the HTTP side would say of this snapshot, and of the store at this address."""
    keys, store = snapshot.store_keys, StoreReading()
    klines: dict[str, bool] = {}
    state = RecentState(None).state_of(snapshot, "test", [], time.monotonic())
    try:
        async with store.turn(store_url) as connection:
            asked = keys, snapshot.symbols, FormerEntries(), snapshot.foreign
            counts = await trade_counts_apart(connection, *asked)
            for symbol in snapshot.symbols:
                found = await kline_counts(connection, keys, symbol, UtcCalendar(), snapshot.foreign)
                klines |= {f"{symbol} {interval}": count.is_proven for interval, count in found.items()}
    finally:
        store.close()
    rows = [
        CompletenessRow(
            symbol, count.percentage, count.is_proven, count.held, count.expected, count.declared.get("lost", 0), 0,
            sum(life.key.symbol == symbol for life in snapshot.gaps.open),
        )
        for symbol, count in counts.items()
    ]  # fmt: skip
    return _said(msgspec.json.encode(state), msgspec.json.encode(CompletenessRows(rows)), klines)


def said_by_service(port: int, symbols: tuple[str, ...] = ()) -> Said:
    """What viewers of `GET /live` are told, and of the klines of these symbols what `/completeness` says."""
    told: dict[str, bytes] = {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        answer, name = _granted(connection, "/live"), ""
        while not {"state", "completeness"} <= told.keys():
            line = answer.readline()
            assert line, "the events have ended"
            if line.startswith(b"event: "):
                name = line.split()[1].decode()
            elif line.startswith(b"data: "):
                told[name] = line.removeprefix(b"data: ")
    finally:
        connection.close()
    klines: dict[str, bool] = {}
    for symbol in symbols:
        (found,) = json.loads(_asked(port, f"/completeness?symbol={symbol}&klines=1"))["symbols"]
        klines |= {f"{symbol} {interval}": each["proven"] for interval, each in found["klines"].items()}
    return _said(told["state"], told["completeness"], klines)


def _asked(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        return _granted(connection, path).read()
    finally:
        connection.close()


def _granted(connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
    """An answer that is none to somebody else: who has asked too much before waits."""
    end = time.monotonic() + ANSWER_S
    while True:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status == 200:
            return answer
        body = answer.read()
        assert answer.status == 429 or (answer.status == 503 and b"come back" in body), body
        assert time.monotonic() < end, body
        time.sleep(AGAIN_S)


def _said(state: bytes, completeness: bytes, klines_proven: dict[str, bool]) -> Said:
    known = msgspec.json.decode(state, type=_State)
    rows = msgspec.json.decode(completeness, type=CompletenessRows).rows
    page = verdicts(json.loads(state), json.loads(completeness)["rows"])
    health = known.health
    return Said(
        health.status, health.reasons, health.collector_running, known.gaps.open, health.validation_errors,
        {row.symbol: row for row in rows}, page, klines_proven,
    )  # fmt: skip
