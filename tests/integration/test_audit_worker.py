"""The audit worker as a real process with real Great Expectations, asked as the collector asks it."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from data_collector.child import FRAME_BYTES_MAX
from data_collector.model.errors import Transient
from data_collector.validation.auditing import audit_worker
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import (
    Answer,
    Audit,
    AuditReport,
    CheckReport,
    CheckSuite,
    Validate,
    ValidateReport,
    WorkerFault,
)
from data_collector.validation.gate.compiler import compile_suite
from data_collector.validation.rules.columns import COLUMNS, GATE_COLUMNS, KINDS, ColumnType, Kind, Value
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
from tests.market import NOON_MS, trade

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEAK_BYTES_MAX = 5 * 1024 * 1024


@pytest.mark.parametrize("kind", KINDS)
async def test_good_records_break_nothing(worker: AuditWorker, kind: Kind) -> None:
    report = await audited(worker, shipped_audit(kind, 30, source="good"))

    assert (report.rows, report.accepted, report.broken) == ({kind: 30}, {kind: 30}, {kind: {}})
    assert (report.disagreements, report.failures) == ([], [])
    assert report.memory_bytes > 50 * 1024 * 1024
    assert report.seconds > 0


async def test_broken_records_are_found_by_both(worker: AuditWorker) -> None:
    suite = shipped_suite("trade")
    records = [trade(1), trade(2, price="0"), trade(3, price="1e400"), trade(4, quantity="-1"), trade(2**60)]
    chunk = chunk_of(compile_suite(suite), records)

    report = await audited(worker, audit_of(chunk, suites=[suite], source="broken"))

    assert report.disagreements == []
    assert (report.rows, report.accepted) == ({"trade": 5}, {"trade": 1})
    found = report.broken["trade"]
    assert found["price_positive"] == found["quantity_positive"] == found["trade_id_range"] == 1
    assert found["price_present"] == 1, "an unreadable price is null"


async def test_row_that_only_the_gate_finds_broken_is_a_disagreement(worker: AuditWorker) -> None:
    suite = shipped_suite("trade")
    chunk = chunk_of(compile_suite(suite), good_records("trade", 5))
    chunk.broken = {3: ["price_positive"]}

    report = await audited(worker, audit_of(chunk, suites=[suite], source="gate only"))

    (found,) = report.disagreements
    assert (found.kind, found.rule, found.gate_only, found.gx_only) == ("trade", "price_positive", 1, 0)
    assert msgspec.json.decode(found.sample)["trade_id"] == 4


async def test_row_that_only_great_expectations_finds_broken_is_a_disagreement(worker: AuditWorker) -> None:
    suite = shipped_suite("trade")
    chunk = chunk_of(compile_suite(suite), [trade(1), trade(2, price="0"), trade(3, price="-1")])
    chunk.broken = {}

    report = await audited(worker, audit_of(chunk, suites=[suite], source="audit only"))

    assert [(found.rule, found.gate_only, found.gx_only) for found in report.disagreements] == [
        ("price_positive", 0, 2)
    ]


async def test_chunks_of_several_kinds_and_suites_are_told_apart(worker: AuditWorker) -> None:
    strict = suite_of(
        "trade", {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "trade_id", "value_set": [1, 2]}}
    )
    plain = shipped_suite("trade")
    chunks = [
        chunk_of(compile_suite(plain), good_records("trade", 2)),
        chunk_of(compile_suite(strict), good_records("trade", 4)),
        chunk_of(compile_suite(plain), good_records("trade", 4)[2:]),
        chunk_of(compile_suite(shipped_suite("ticker")), good_records("ticker", 3)),
    ]

    report = await audited(worker, audit_of(*chunks, suites=[plain, strict, shipped_suite("ticker")], source="several"))

    assert report.rows == {"trade": 8, "ticker": 3}
    assert report.broken["trade"]["r0"] == 2
    assert report.disagreements == []


async def test_records_are_held_against_those_of_the_batch_before(worker: AuditWorker) -> None:
    suite = shipped_suite("trade")
    compiled = compile_suite(suite)
    usual, again, dear = trade(100), trade(100), trade(101, price="999999.00")

    first = await audited(
        worker, audit_of(chunk_of(compiled, good_records("trade", 30)), suites=[suite], source="past")
    )
    second = await audited(worker, audit_of(chunk_of(compiled, [usual, again, dear]), suites=[suite], source="past"))
    other = await audited(worker, audit_of(chunk_of(compiled, [dear]), suites=[suite], source="another"))

    assert first.broken == {"trade": {}}
    assert second.broken["trade"]["trade_order"] == 1
    assert second.broken["trade"]["price_outlier"] == 1
    assert "price_outlier" not in other.broken["trade"]


async def test_rule_about_the_whole_batch_counts_once(worker: AuditWorker) -> None:
    suite = suite_of("trade", {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1000}})

    report = await audited(worker, audit_of(chunk_of(compile_suite(suite), good_records("trade", 5)), suites=[suite]))

    assert report.broken == {"trade": {"r0": 1}}


async def test_rows_below_mostly_do_not_count(worker: AuditWorker) -> None:
    half = {"column": "trade_id", "min_value": 3, "mostly": 0.5}
    most = {"column": "trade_id", "min_value": 3, "mostly": 0.9}
    between = "expect_column_values_to_be_between"
    suite = suite_of("trade", {"type": between, "kwargs": half}, {"type": between, "kwargs": most})

    report = await audited(worker, audit_of(chunk_of(compile_suite(suite), good_records("trade", 8)), suites=[suite]))

    assert report.broken == {"trade": {"r1": 2}}


async def test_rule_that_is_switched_off_is_not_looked_at(worker: AuditWorker) -> None:
    rule = {"type": "expect_column_values_to_be_null", "kwargs": {"column": "price"}}
    suite = suite_of("trade", {**rule, "meta": {"rule_id": "off", "disabled": True}})

    report = await audited(worker, audit_of(chunk_of(compile_suite(suite), good_records("trade", 3)), suites=[suite]))

    assert (report.rows, report.broken, report.failures) == ({"trade": 3}, {"trade": {}}, [])


async def test_rule_that_great_expectations_cannot_evaluate_is_a_failure(worker: AuditWorker) -> None:
    suite = suite_of(
        "trade",
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "symbol", "min_value": 1}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 1}},
    )

    report = await audited(worker, audit_of(chunk_of(compile_suite(suite), good_records("trade", 3)), suites=[suite]))

    assert [(failure.kind, failure.rule) for failure in report.failures] == [("trade", "r0")]
    assert report.failures[0].message
    assert (report.rows, report.broken, report.disagreements) == ({"trade": 3}, {"trade": {"r1": 3}}, [])


async def test_rows_that_are_sent_get_the_ids_of_the_rules_they_break(worker: AuditWorker) -> None:
    good, bad, empty = row_of("trade", price=1.0), row_of("trade", price=-1.0), row_of("trade")

    answer = await worker.ask(Validate("trade", shipped_suite("trade").encoded(), [good, bad, empty]), PATIENCE_S)

    assert isinstance(answer, ValidateReport)
    assert "price_positive" not in answer.broken[0]
    assert "price_positive" in answer.broken[1]
    assert {"price_present", "symbol_present", "quantity_present"} <= set(answer.broken[2])
    assert (answer.failures, answer.broken_as_a_whole) == ([], [])


async def test_rule_about_all_rows_is_told_apart(worker: AuditWorker) -> None:
    suite = suite_of("trade", {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1000}})

    answer = await worker.ask(Validate("trade", suite.encoded(), [row_of("trade")]), PATIENCE_S)

    assert answer == ValidateReport([[]], [], ["r0"])


async def test_value_of_another_type_is_refused(worker: AuditWorker) -> None:
    request = Validate("trade", shipped_suite("trade").encoded(), [row_of("trade", trade_id="7")])

    assert await worker.ask(request, PATIENCE_S) == WorkerFault("ValueError: row 0: trade_id must be integer or null")


@pytest.mark.parametrize("kind", KINDS)
async def test_shipped_suite_can_be_used(worker: AuditWorker, kind: Kind) -> None:
    assert await worker.ask(CheckSuite(kind, shipped_suite(kind).encoded()), PATIENCE_S) == CheckReport([])


@pytest.mark.parametrize(
    ("expectation", "kwargs", "said"),
    [
        ("expect_column_values_to_match_regex", {"column": "symbol", "regex": "("}, "regex"),
        ("expect_column_values_to_match_regex_list", {"column": "symbol", "regex_list": ["("]}, ""),
        ("expect_column_values_to_match_regex_lost", {"column": "symbol"}, "did you mean"),
        ("expect_column_mean_to_be_between", {"column": "symbol", "min_value": 1}, ""),
        ("expect_column_mean_to_be_between", {"column": "price", "min_value": "x"}, ""),
    ],
)  # fmt: skip
async def test_suite_that_cannot_be_used_is_told_by_rule(
    worker: AuditWorker, expectation: str, kwargs: dict[str, object], said: str
) -> None:
    rule = {
        "type": expectation,
        "kwargs": kwargs,
        "severity": "warning",
        "description": "It holds.",
        "meta": {"rule_id": "mine"},
    }
    content = msgspec.json.encode({"name": "trade", "expectations": [rule]})

    answer = await worker.ask(CheckSuite("trade", content), PATIENCE_S)

    assert isinstance(answer, CheckReport)
    assert len(answer.faults) == 1
    assert answer.faults[0].startswith("rule mine: ")
    assert said in answer.faults[0]


async def test_worker_lives_on_after_a_bad_request(worker: AuditWorker) -> None:
    unknown = Audit("test", {}, shipped_audit("trade", 1).chunks)
    garbage = Audit("test", {}, [msgspec.Raw(b"\xc1")])
    beyond = chunk_of(compile_suite(shipped_suite("trade")), good_records("trade", 1))
    beyond.late = [1]
    too_long = Audit("x" * FRAME_BYTES_MAX, {}, [])

    for request in (unknown, garbage, audit_of(beyond, suites=[shipped_suite("trade")]), too_long):
        assert isinstance(await worker.ask(request, PATIENCE_S), WorkerFault)

    assert isinstance(await worker.ask(shipped_audit("trade", 1), PATIENCE_S), AuditReport)


async def test_interrupt_of_the_terminal_is_not_for_the_worker(worker: AuditWorker) -> None:
    pid = running(worker)
    os.kill(pid, signal.SIGINT)

    assert isinstance(await worker.ask(shipped_audit("trade", 1), PATIENCE_S), AuditReport)
    assert worker.pid == pid


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nulls", [False, True], ids=["without nulls", "with nulls"])
async def test_our_expectations_mean_what_the_gate_means(worker: AuditWorker, kind: Kind, *, nulls: bool) -> None:
    """Of every kind of rule that is ours, and of rows at the borders of what floats can tell apart."""
    suite = suite_of(kind, *OURS[kind])
    rows = [random_row(kind, random.Random(seed), nulls=nulls) for seed in range(2_000)]
    compiled = compile_suite(suite)
    verdicts = [compiled.verdict_of(row) for row in rows]
    expected = [list(verdict.rules) if verdict else [] for verdict in verdicts]

    answer: Answer = await worker.ask(Validate(kind, suite.encoded(), rows), PATIENCE_S)

    assert isinstance(answer, ValidateReport)
    assert answer.failures == []
    assert [(row, gate, gx) for row, gate, gx in zip(rows, expected, answer.broken, strict=True) if gate != gx] == []
    asked = {rule.id for rule in suite.rules}
    assert {rule for rules in expected for rule in rules} == asked, "every rule is broken by some row"


async def test_killed_worker_is_found_out_and_started_again(worker: AuditWorker) -> None:
    os.kill(running(worker), signal.SIGKILL)

    with pytest.raises(Transient, match="is gone"):
        await worker.ask(shipped_audit("trade", 1), PATIENCE_S)

    assert (worker.alive, worker.pid) == (False, None)
    await worker.start()
    assert isinstance(await worker.ask(shipped_audit("trade", 1), PATIENCE_S), AuditReport)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_worker_does_not_grow(worker: AuditWorker) -> None:
    suite = shipped_suite("trade")
    records = [*good_records("trade", 200), trade(300, price="0"), trade(301, quantity="x")]
    request = audit_of(chunk_of(compile_suite(suite), records), suites=[suite], source="growth")
    for _ in range(30):
        before = await audited(worker, request)

    for _ in range(300):
        after = await audited(worker, request)

    assert after.memory_bytes - before.memory_bytes < LEAK_BYTES_MAX, (before, after)


def running(worker: AuditWorker) -> int:
    assert worker.pid is not None
    return worker.pid


def row_of(kind: Kind, **values: Value) -> list[Value]:
    return [values.get(name) for name in GATE_COLUMNS[kind]]


NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.1, 0.2, 0.3, 0.1 + 0.2, 1e-8, 5e-324, 1e308, -1e308, 2.0**53, 123.456, 45180.5)
INTEGERS = (0, 1, -1, 2, 3, 100, 101, NOON_MS, NOON_MS + 60_000, NOON_MS + 59_999, 1_704_067_200_000, 1_706_745_599_999,
            2**53, 2**53 - 1, -(2**53))  # fmt: skip
TEXTS = ("1m", "1h", "1d", "1w", "1M", "0m", "", "BTCUSDT", "7m")


def random_row(kind: Kind, chance: random.Random, *, nulls: bool) -> list[Value]:
    columns = (COLUMNS[kind][name] for name in GATE_COLUMNS[kind])
    choices: Mapping[ColumnType, Sequence[Value]] = {
        "text": TEXTS, "integer": INTEGERS, "decimal": NUMBERS, "flag": (True, False),
    }  # fmt: skip
    return [None if nulls and chance.random() < 0.1 else chance.choice(choices[column.type]) for column in columns]


def ours(kind: Kind, decimals: tuple[str, str, str], integers: tuple[str, str, str]) -> list[dict[str, object]]:
    price, quantity, amount = decimals
    first, second, third = integers
    either, never, all_null = "either_value_is_missing", "never", "all_values_are_missing"
    difference, ratio = "expect_column_pair_difference_to_be_between", "expect_column_pair_ratio_to_be_between"
    multiple, product = "expect_column_pair_values_to_be_multiple", "expect_multicolumn_product_to_equal"
    differs = "expect_multicolumn_difference_to_equal"
    at_least = "expect_multicolumn_amount_to_be_at_least_product"
    at_most = "expect_multicolumn_amount_to_be_at_most_product"
    both, neither = "both_values_are_missing", "neither"
    listed: list[tuple[str, dict[str, object]]] = [
        (difference, {"column_A": first, "column_B": second, "min_value": -60_000, "max_value": 60_000}),
        (difference, {"column_A": first, "column_B": second, "min_value": 0, "strict_min": True}),
        (
            difference,
            {"column_A": price, "column_B": quantity, "max_value": 0.1, "strict_max": True, "ignore_row_if": both},
        ),
        (difference, {"column_A": price, "column_B": first, "min_value": -0.5, "ignore_row_if": neither}),
        (ratio, {"column_A": price, "column_B": quantity, "min_value": 0.5, "max_value": 2}),
        (ratio, {"column_A": first, "column_B": second, "max_value": 3, "ignore_row_if": either}),
        (multiple, {"column_A": price, "column_B": quantity}),
        (multiple, {"column_A": first, "column_B": second, "tolerance": 0.25}),
        (multiple, {"column_A": price, "column_B": amount, "tolerance": 0, "ignore_row_if": either}),
        (differs, {"column_list": [price, quantity, amount], "tolerance": 1e-8, "relative": 1e-9}),
        (differs, {"column_list": [first, second, third], "offset": 1, "ignore_row_if": never}),
        (product, {"column_list": [price, quantity, amount], "relative": 1e-4, "factor": 0.01}),
        (product, {"column_list": [first, second, third], "tolerance": 1e-6, "ignore_row_if": all_null}),
        (at_least, {"column_list": [price, quantity, amount, first], "relative": 1e-6, "tolerance": 1e-8}),
        (at_most, {"column_list": [price, quantity, amount, first], "relative": 1e-6, "tolerance": 1e-8}),
        (at_most, {"column_list": [first, second, third, price], "ignore_row_if": never}),
    ]
    if kind == "kline":
        opened, closed = "expect_column_pair_open_time_to_fit_interval", "expect_multicolumn_close_time_to_fit_interval"
        listed += [
            (opened, {"column_A": "interval", "column_B": "open_ms"}),
            (opened, {"column_A": "interval", "column_B": "open_ms", "ignore_row_if": neither}),
            (closed, {"column_list": ["interval", "open_ms", "close_ms"]}),
            (closed, {"column_list": ["interval", "open_ms", "close_ms"], "ignore_row_if": never}),
        ]
    return [{"type": expectation, "kwargs": kwargs} for expectation, kwargs in listed]


OURS: dict[Kind, list[dict[str, object]]] = {
    "trade": ours("trade", ("price", "quantity", "buyer_order_id"), ("trade_id", "time_ms", "event_ms")),
    "kline": ours("kline", ("high", "low", "volume"), ("open_ms", "close_ms", "event_ms")),
    "ticker": ours("ticker", ("ask_price", "bid_price", "volume"), ("first_id", "last_id", "count")),
    "quote": ours("quote", ("ask", "bid", "bid_quantity"), ("update_id", "received_ms", "ask_quantity")),
}


async def test_worker_that_has_grown_is_ended_after_its_answer_and_can_start_again(
    worker: AuditWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_worker, "GROWTH_BYTES_MAX", -1)

    report = await audited(worker, shipped_audit("trade", 5, source="grown"))

    assert report.rows == {"trade": 5}
    assert not worker.alive
    monkeypatch.undo()
    await worker.start()
    await audited(worker, shipped_audit("trade", 5, source="after it"))
    assert worker.alive
