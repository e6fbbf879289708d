"""The audit worker looks at every pair of a rule and a row that it is about, and says at how many."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec import structs

from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import AuditPart, Taken, WorkerFault
from data_collector.validation.gate.compiler import compile_suite
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import shipped_suite
from tests.integration.audit_requests import (
    PATIENCE_S,
    audit_of,
    audited,
    chunk_of,
    good_records,
    shipped_audit,
    suite_of,
)
from tests.market import trade

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_pair_of_rule_and_row_is_evaluated_and_counted(worker: AuditWorker) -> None:
    """Rules of user and of ours, with conditions of every form, on rows that some of them select and others do not."""
    suite = suite_of("trade", *[rule for rule, _ in CONDITIONED])
    records = [trade(number, symbol=SYMBOLS[number % 2], quantity=str(number)) for number in range(1, 11)]
    records[0] = trade(1, symbol=SYMBOLS[1], quantity="x", buyer_order_id=7)

    report = await audited(worker, audit_of(chunk_of(compile_suite(suite), records), suites=[suite], source="pairs"))

    assert report.pairs == report.evaluated == {"trade": sum(rows for _, rows in CONDITIONED)}
    assert (report.failures, report.disagreements) == ([], [])


SYMBOLS = ("BTCUSDT", "ETHUSDT")
"""Ten trades with the quantities 1 to 10, in turn of the second and the first; the first trade's cannot be read."""


def _comparison(column: str, operator: str, parameter: object) -> dict[str, object]:
    return {"type": "comparison", "column": {"name": column}, "operator": operator, "parameter": parameter}


def _of(condition: Mapping[str, object] | None, **changes: object) -> dict[str, object]:
    kwargs = {"column": "price", "min_value": 0.0}
    return {
        "type": "expect_column_values_to_be_between",
        "kwargs": kwargs if condition is None else kwargs | {"row_condition": condition},
        **changes,
    }


CONDITIONED: list[tuple[dict[str, object], int]] = [
    (_of(None), 10),
    (_of(_comparison("symbol", "==", "BTCUSDT")), 5),
    (_of(_comparison("symbol", "!=", "BTCUSDT")), 5),
    (_of(_comparison("symbol", "==", "XRPUSDT")), 0),
    (_of(_comparison("symbol", "IN", ["ETHUSDT", "XRPUSDT"])), 5),
    (_of(_comparison("quantity", "NOT_IN", [2, 3])), 8),
    (_of(_comparison("quantity", "!=", 2)), 9),
    (_of(_comparison("quantity", ">", 2)), 8),
    (_of(_comparison("quantity", ">=", 2)), 9),
    (_of(_comparison("quantity", "<", 2)), 0),
    (_of(_comparison("quantity", "<=", 2)), 1),
    (_of({"type": "nullity", "column": {"name": "quantity"}, "is_null": True}), 1),
    (_of({"type": "nullity", "column": {"name": "buyer_order_id"}, "is_null": True}), 9),
    (_of({"type": "and", "conditions": [_comparison("symbol", "==", "BTCUSDT"), _comparison("quantity", ">", 5)]}), 3),
    (_of({"type": "or", "conditions": [_comparison("symbol", "==", "BTCUSDT"), _comparison("quantity", ">", 5)]}), 7),
    (_of(_comparison("is_buyer_maker", "==", False)), 0),
    (_of(_comparison("accepted", "==", True)), 9),
    (_of(_comparison("previous_trade_id", ">", 5)), 3),
    ({"type": "expect_column_mean_to_be_between", "kwargs": {"column": "price", "min_value": 0}}, 0),
    ({"type": "expect_column_values_to_be_of_type", "kwargs": {"column": "price", "type_": "float64"}}, 0),
    ({"type": "expect_column_values_to_be_unique", "kwargs": {"column": "trade_id"}}, 10),
    (_of(None, meta={"rule_id": "off", "disabled": True}), 0),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_every_pair_of_the_shipped_rules_is_evaluated(worker: AuditWorker, kind: Kind) -> None:
    report = await audited(worker, shipped_audit(kind, 30, source="pairs of the shipped rules"))

    assert report.pairs == report.evaluated
    assert report.pairs[kind] > 30 * len(compile_suite(shipped_suite(kind)).gated) / 2


async def test_batch_that_comes_in_parts_is_one_batch(worker: AuditWorker) -> None:
    suite = suite_of("trade", {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1000}})
    whole = audit_of(
        *[chunk_of(compile_suite(suite), good_records("trade", 2)) for _ in range(3)], suites=[suite], source="parts"
    )
    first, second, last = whole.chunks
    end = structs.replace(whole, chunks=[last], chunks_before=2)

    for chunk, is_first in ((last, True), (first, True), (second, False)):
        assert await worker.ask(AuditPart([chunk], is_first=is_first), PATIENCE_S) == Taken()
    report = await audited(worker, end)

    assert (report.rows, report.broken) == ({"trade": 6}, {"trade": {"r0": 1}})
    assert isinstance(await worker.ask(end, PATIENCE_S), WorkerFault), "its parts have been used up"
    assert (await audited(worker, whole)).rows == {"trade": 6}
