"""Requests to the audit worker, made as the collector makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import Audit, AuditReport, Chunk, encode
from data_collector.validation.gate.compiler import CompiledSuite, compile_suite
from data_collector.validation.rules.columns import Checked, Kind, kind_of
from data_collector.validation.rules.suite import Suite, read_suite, shipped_suite
from tests.market import MINUTE_MS, NOON_MS, kline, quote, ticker, trade

MS = 1_000_000
PATIENCE_S = 60.0
SIZES = {"BTCUSDT": (0.01, 0.001)}


def good_records(kind: Kind, count: int) -> list[Checked]:
    """Records that keep every rule, one after the other."""
    return [_good(kind, number) for number in range(count)]


def _good(kind: Kind, number: int) -> Checked:
    sent_ms = NOON_MS + number
    match kind:
        case "kline":
            ids = {"first_trade_id": 1234 * number, "last_trade_id": 1234 * number + 1233}
            return kline(number, received_ns=(NOON_MS + MINUTE_MS * (number + 1) + 1) * MS, **ids)
        case "trade":
            return trade(number + 1, time_ms=sent_ms, event_ms=sent_ms, received_ns=(sent_ms + 1) * MS)
        case "ticker":
            return ticker(sent_ms, received_ns=(sent_ms + 1) * MS)
        case "quote":
            prices = {"bid": "45180.49", "bid_quantity": "1.1", "ask": "45180.51", "ask_quantity": "2.2"}
            return quote(update_id=number + 1, received_ns=sent_ms * MS, **prices)
        case _:
            assert_never(kind)


def suite_of(kind: Kind, *expectations: Mapping[str, object]) -> Suite:
    """Warnings with the ids r0, r1 … unless they say otherwise."""
    rules = [
        {"severity": "warning", "description": "It holds.", "meta": {"rule_id": f"r{number}"}, **expectation}
        for number, expectation in enumerate(expectations)
    ]
    return read_suite(kind, msgspec.json.encode({"name": kind, "expectations": rules}), source="user")


def chunk_of(compiled: CompiledSuite, records: Sequence[Checked]) -> Chunk:
    """What the collector would seal of records in their order."""
    kind = kind_of(records[0])
    verdicts = {row: verdict for row, record in enumerate(records) if (verdict := compiled.check(record))}
    chunk = Chunk(
        kind,
        compiled.digest,
        broken={row: list(verdict.rules) for row, verdict in verdicts.items()},
        refused=[row for row, verdict in verdicts.items() if verdict.critical],
        sizes=SIZES,
    )
    setattr(chunk, f"{kind}s", list(records))
    return chunk


def audit_of(*chunks: Chunk, suites: Sequence[Suite], source: str = "test") -> Audit:
    """The request."""
    return Audit(source, {suite.digest: suite.encoded() for suite in suites}, [msgspec.Raw(encode(c)) for c in chunks])


def shipped_audit(kind: Kind, count: int, source: str = "test") -> Audit:
    """Good records under the shipped suite."""
    suite = shipped_suite(kind)
    return audit_of(chunk_of(compile_suite(suite), good_records(kind, count)), suites=[suite], source=source)


async def audited(worker: AuditWorker, request: Audit) -> AuditReport:
    """What the worker found."""
    answer = await worker.ask(request, PATIENCE_S)
    assert isinstance(answer, AuditReport), answer
    return answer
