"""The collector's side of the audit: chunks are delivered until they are answered, and counted once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from data_collector.model.errors import Transient
from data_collector.model.venue import SymbolRules
from data_collector.validation.auditing import auditor as subject
from data_collector.validation.auditing.auditor import TRIES_MAX, Auditor
from data_collector.validation.auditing.chunks import CHUNK_ROWS_MAX, AuditBroken, Mark, Sealed, seal
from data_collector.validation.auditing.messages import AuditReport, Chunk, Disagreement, chunk_decoder
from data_collector.validation.rules.columns import Kind
from tests.judging import gate_with, shipped_gate
from tests.market import SYMBOL, aggregate_trade, kline, ticker, trade

Answer = Callable[[Sequence[Sealed]], Awaitable[AuditReport]]


def report(chunks: Sequence[Sealed], **changes: object) -> AuditReport:
    """All of them checked, nothing found."""
    rows: dict[Kind, int] = {}
    for chunk in chunks:
        rows[chunk.kind] = rows.get(chunk.kind, 0) + chunk.rows
    made = AuditReport(rows, rows, {}, [], [], seconds=0.0, memory_bytes=1)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


class Port:
    """An audit that does as it is told."""

    batch_bytes_max = 10_000_000

    def __init__(self, *outcomes: Exception | None) -> None:
        """In turn what is raised, or None for a report; afterwards reports."""
        self.outcomes = list(outcomes)
        self.asked: list[list[Sealed]] = []
        self.findings: dict[str, object] = {}

    async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
        self.asked.append(list(chunks))
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return report(chunks, **self.findings)

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def chunks(self) -> list[Chunk]:
        return [chunk_decoder.decode(sealed.body) for batch in self.asked for sealed in batch]


@asynccontextmanager
async def delivering(auditor: Auditor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Both tasks, in a hurry."""
    for name in ("LOOK_S", "RETRY_FIRST_S"):
        monkeypatch.setattr(subject, name, 0.001)
    tasks = [asyncio.create_task(auditor.seal_forever()), asyncio.create_task(auditor.deliver_forever())]
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def settled(auditor: Auditor) -> None:
    while auditor.waiting_rows:  # noqa: ASYNC110 - the auditor has no event for it
        await asyncio.sleep(0.002)


async def test_chunk_says_what_the_gate_said_of_each_row() -> None:
    port = Port()
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    bad = trade(12, price="0")
    auditor.note_trade(trade(10))
    auditor.note(trade(9), None, late=True)
    auditor.note(bad, shipped_gate().check(bad), accepted=False)
    auditor.learn({SYMBOL: SymbolRules(SYMBOL, "TRADING", "BTC", "USDT", 0.01, 0.001)})

    await auditor.drain(5)

    (chunk,) = port.chunks
    assert [one.trade_id for one in chunk.trades] == [10, 9, 12]
    assert (chunk.broken, chunk.refused, chunk.late) == ({2: ["price_positive"]}, [2], [1])
    assert chunk.sizes == {SYMBOL: (0.01, 0.001)}
    assert chunk.digest == shipped_gate().suites["trade"].digest
    assert (auditor.checked["trade"], auditor.checked_accepted["trade"], auditor.coverage) == (3, 2, 1.0)


async def test_rules_of_the_pipeline_are_none_of_the_suite() -> None:
    port = Port()
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    unreadable = trade(price="x")

    auditor.note(unreadable, shipped_gate().check(unreadable), accepted=False)
    await auditor.drain(5)

    assert port.chunks[0].broken == {0: ["price_present"]}


async def test_large_numbers_of_rows_are_cut_into_chunks() -> None:
    port = Port()
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    for number in range(CHUNK_ROWS_MAX + 1):
        auditor.note_trade(trade(number))
    odd = trade(CHUNK_ROWS_MAX + 1, price="0")
    auditor.note(odd, shipped_gate().check(odd), accepted=False)
    auditor.note(kline(), None)
    auditor.note(ticker(), None)
    auditor.note(aggregate_trade(), None)

    await auditor.drain(5)

    assert [(chunk.kind, sealed.rows) for chunk, sealed in zip(port.chunks, port.asked[0], strict=True)] == [
        ("kline", 1), ("trade", CHUNK_ROWS_MAX), ("trade", 2), ("ticker", 1),
    ]  # fmt: skip
    assert port.chunks[2].broken == {1: ["price_positive"]}


async def test_what_is_not_answered_is_delivered_again_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    port = Port(Transient("away"), AuditBroken("died"), Transient("away"))
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    auditor.note_trade(trade(10))

    async with delivering(auditor, monkeypatch):
        await settled(auditor)

    assert len(port.asked) == 4
    assert auditor.checked == {"trade": 1}
    assert auditor.coverage == 1.0
    assert auditor.down_reason is None


async def test_delivery_that_breaks_the_audit_again_and_again_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    port = Port(*[AuditBroken("died")] * TRIES_MAX)
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    auditor.note_trade(trade(10))

    async with delivering(auditor, monkeypatch):
        await settled(auditor)
        auditor.note_trade(trade(11))
        await settled(auditor)

    assert auditor.skipped == {"trade": 1}
    assert auditor.checked == {"trade": 1}
    assert auditor.coverage == 0.5


async def test_only_the_chunk_to_blame_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Choosy(Port):
        """Breaks at one kind."""

        async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
            if any(chunk.kind == "kline" for chunk in chunks):
                raise AuditBroken("died of a kline")
            return await super().audit(chunks)

    auditor = Auditor(shipped_gate(), Choosy(), every_s=0.0)
    auditor.note_trade(trade(10))
    auditor.note(kline(), None)
    auditor.note(ticker(), None)

    async with delivering(auditor, monkeypatch):
        await settled(auditor)

    assert auditor.checked == {"trade": 1, "ticker": 1}
    assert auditor.skipped == {"kline": 1}
    assert auditor.waiting_bytes == 0


async def test_integers_that_no_message_can_carry_are_clamped() -> None:
    port = Port()
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    poisoned = trade(2**70)

    auditor.note(poisoned, shipped_gate().check(poisoned), accepted=False)
    await auditor.drain(5)

    assert port.chunks[0].trades[0].trade_id == 2**53
    assert port.chunks[0].broken == {0: ["trade_id_range"]}


async def test_audit_that_is_away_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    port = Port(*[Transient("away")] * (TRIES_MAX * 3))
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    auditor.note_trade(trade(10))

    async with delivering(auditor, monkeypatch):
        monkeypatch.setattr(subject, "RETRY_CAP_S", 0.002)
        await settled(auditor)

    assert auditor.skipped.total() == 0
    assert auditor.checked == {"trade": 1}


def test_buffer_is_bounded_and_the_oldest_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "WAITING_BYTES_MAX", 5_000)
    auditor = Auditor(shipped_gate(), Port(), every_s=0.0)

    for number in range(100):
        auditor.note_trade(trade(number))
        auditor.use(shipped_gate())

    assert auditor.waiting_bytes <= 5_000
    assert auditor.skipped["trade"] == 100 - auditor.waiting_rows
    assert 0 < auditor.waiting_rows < 20
    assert auditor.coverage == 0.0


async def test_other_rules_begin_another_chunk() -> None:
    port = Port()
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    other = gate_with("trade", {"max_value": 1e9})
    auditor.note_trade(trade(10))

    auditor.use(other)
    auditor.note_trade(trade(11))
    await auditor.drain(5)

    assert [chunk.digest for chunk in port.chunks] == [
        shipped_gate().suites["trade"].digest, other.suites["trade"].digest,
    ]  # fmt: skip
    assert all(b"price_cap" in sealed.document for sealed in port.asked[0][1:])


async def test_disagreement_is_kept_until_the_rules_change() -> None:
    port = Port()
    port.findings = {"disagreements": [Disagreement("trade", "price_positive", 1, 2, "{}")]}
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    auditor.note_trade(trade(10))

    await auditor.drain(5)
    assert auditor.disagreements == {("trade", "price_positive"): 3}

    auditor.use(shipped_gate())
    assert not auditor.disagreements
    assert auditor.disagreed == {("trade", "price_positive"): 3}


class Clock:
    """Stands still until it is set, and knows how often it was looked at."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now_s

    async def looked_at(self) -> None:
        """Both tasks have had their turns."""
        enough = self.looks + 50
        while self.looks < enough:  # noqa: ASYNC110 - the clock has no event for it
            await asyncio.sleep(0.001)


async def test_nothing_is_audited_before_the_oldest_message_has_waited_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message a second and one rule file cost the same as ten thousand messages, so the audit has a rhythm."""
    port, clock = Port(), Clock()
    auditor = Auditor(shipped_gate(), port, every_s=300.0, clock=clock)

    async with delivering(auditor, monkeypatch):
        auditor.note(kline(), None)
        await clock.looked_at()
        clock.now_s += 200
        auditor.note_trade(trade(10))
        await clock.looked_at()
        assert (auditor.oldest_s, auditor.next_s, auditor.waiting_rows) == (200.0, 100.0, 2)
        clock.now_s += 99.9
        await clock.looked_at()
        assert port.asked == []
        clock.now_s += 0.1
        await settled(auditor)
        auditor.note_trade(trade(11))
        await clock.looked_at()

    assert [[chunk.kind for chunk in batch] for batch in port.asked] == [["kline", "trade"]]
    assert auditor.waiting_rows == 1
    assert auditor.next_s == 300.0


async def test_full_batch_is_audited_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    port, clock = Port(), Clock()
    port.batch_bytes_max = 100_000
    auditor = Auditor(shipped_gate(), port, every_s=300.0, clock=clock)

    async with delivering(auditor, monkeypatch):
        for number in range(3 * CHUNK_ROWS_MAX):
            auditor.note_trade(trade(number))
        while auditor.waiting_bytes >= port.batch_bytes_max or not port.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    assert [[chunk.rows for chunk in batch] for batch in port.asked] == [[CHUNK_ROWS_MAX]] * 3


async def test_chunk_to_blame_is_found_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    class Poisoned(Port):
        """Breaks at one chunk."""

        async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
            self.asked.append(list(chunks))
            if any(first_id(chunk) == 40 * CHUNK_ROWS_MAX for chunk in chunks):
                raise AuditBroken("died of it")
            return report(chunks)

    port, clock = Poisoned(), Clock()
    auditor = Auditor(shipped_gate(), port, every_s=300.0, clock=clock)
    for number in range(100 * CHUNK_ROWS_MAX):
        auditor.note_trade(trade(number))
    clock.now_s += 300

    async with delivering(auditor, monkeypatch):
        monkeypatch.setattr(subject, "RETRY_CAP_S", 0.001)
        await settled(auditor)

    assert auditor.skipped == {"trade": CHUNK_ROWS_MAX}
    assert auditor.checked == {"trade": 99 * CHUNK_ROWS_MAX}
    assert len(port.asked) < 25


def first_id(chunk: Sealed) -> int:
    return chunk_decoder.decode(chunk.body).trades[0].trade_id


async def test_what_a_stop_leaves_is_told() -> None:
    auditor = Auditor(shipped_gate(), Port(Transient("The service is away.")), every_s=300.0)
    auditor.note_trade(trade(10))

    with capture_logs() as told:
        await auditor.drain(5)

    assert [(line["event"], line["rows"], line["reason"]) for line in told] == [
        ("stopped_without_audit", 1, "The service is away.")
    ]
    assert auditor.waiting_rows == 1


async def test_pairs_of_rule_and_row_are_held_against_what_great_expectations_evaluated() -> None:
    port = Port()
    port.findings = {"pairs": {"trade": 26}, "evaluated": {"trade": 25}}
    auditor = Auditor(shipped_gate(), port, every_s=0.0)
    auditor.note_trade(trade(10))

    await auditor.drain(5)

    assert (auditor.pairs, auditor.evaluated, auditor.newest_unevaluated) == ({"trade": 26}, {"trade": 25}, 1)


async def test_records_of_a_load_are_sealed_with_what_the_gate_said_of_them() -> None:
    """Loads of the past need no rhythm."""
    port, suite = Port(), shipped_gate().suites["trade"]
    records = [trade(number) for number in range(CHUNK_ROWS_MAX + 2)]
    marks = {0: Mark(late=True), CHUNK_ROWS_MAX + 1: Mark(["price_positive"], accepted=False)}
    listed = {SYMBOL: SymbolRules(SYMBOL, "TRADING", "BTC", "USDT", 0.01, 0.001)}

    found = await port.audit(list(seal(suite, suite.suite.encoded(), records, marks, listed, 0.0)))

    one, two = port.chunks
    assert found.rows == {"trade": CHUNK_ROWS_MAX + 2}
    assert (len(one.trades), one.late, one.refused, one.broken) == (CHUNK_ROWS_MAX, [0], [], {})
    assert (len(two.trades), two.late, two.refused, two.broken) == (2, [], [1], {1: ["price_positive"]})
    assert one.sizes == two.sizes == {SYMBOL: (0.01, 0.001)}


def test_without_a_port_nothing_is_kept() -> None:
    auditor = Auditor(shipped_gate(), None, every_s=0.0)

    auditor.note_trade(trade(10))
    auditor.note(kline(), None)

    assert auditor.waiting_rows == 0
    assert auditor.next_s is None
    assert auditor.coverage == 0.0
