"""`data-collector suites`: rules are shown, checked and tried as the collector would use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_collector.validation.rules.columns import COLUMNS, KINDS
from data_collector.validation.rules.suite import shipped_suite
from tests.integration.command import ROOT, finished

CAP = {
    "type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 50_000},
    "severity": "critical", "description": "The price must be at most 50,000.", "meta": {"rule_id": "price_cap"},
}  # fmt: skip
LARGE = {
    "type": "expect_column_values_to_be_between", "kwargs": {"column": "quantity", "max_value": 100},
    "severity": "warning", "description": "A trade should be of at most 100.", "meta": {"rule_id": "large_trade"},
}  # fmt: skip
MEAN = {
    "type": "expect_column_mean_to_be_between", "kwargs": {"column": "price", "max_value": 45_000},
    "severity": "warning", "description": "The mean must be at most 45,000.", "meta": {"rule_id": "mean_price"},
}  # fmt: skip
# The compiled rule sees nothing wrong with it; Great Expectations cannot read it.
SCHEMALESS = {
    "type": "expect_column_values_to_match_json_schema", "kwargs": {"column": "symbol", "json_schema": {"type": 5}},
    "severity": "info", "description": "It must have a schema.", "meta": {"rule_id": "schema"},
}  # fmt: skip


def put_suite(path: Path, *rules: object, name: str = "trade") -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps({"name": name, "expectations": rules}))


def shipped(rule_id: str, **meta: bool) -> dict[str, object]:
    rule = next(rule for rule in shipped_suite("trade").rules if rule.id == rule_id)
    return rule.document() | {"meta": {"rule_id": rule_id, "audit_only": rule.audit_only, **meta}}


def trade(number: int, price: str = "45180.50", quantity: str = "0.1") -> str:
    payload = {"e": "trade", "E": 1704110400124, "s": "BTCUSDT", "t": number, "p": price, "q": quantity,
               "T": 1704110400123, "m": True, "M": True}  # fmt: skip
    return json.dumps({"stream": "btcusdt@trade", "data": payload})


def put_recording(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


async def test_good_suite_is_counted_and_shown_to_great_expectations(tmp_path: Path) -> None:
    put_suite(
        tmp_path / "trade.json", CAP, LARGE, MEAN, shipped("price_positive"), shipped("clock_skew", disabled=True)
    )

    ended = await finished(tmp_path, "suites", "check", "trade.json")

    assert (ended.code, ended.errors) == (0, "")
    assert ended.output.splitlines() == [
        "The trade suite is good: 3 new, 0 replaced, 1 switched off.",
        "Of 27 rules in force the gate judges 14, only the audit 13.",
        "Great Expectations loads and runs it.",
    ]


async def test_each_faulty_rule_has_a_line_that_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hostile = CAP | {"kwargs": {"column": "pr\x1b[2Jice"}, "meta": {"rule_id": "b\x1b[31m\nad"}}
    put_suite(tmp_path / "mine.json", CAP | {"type": "expect_nothing"}, hostile, LARGE)

    ended = await finished(tmp_path, "suites", "check", "mine.json")

    assert (ended.code, ended.errors) == (1, "")
    lines = ended.output.splitlines()
    assert lines[0] == "mine.json: rule price_cap: there is no expectation 'expect_nothing'"
    assert lines[1].startswith("mine.json: rule b\\u001b[31m\\u000aad: ")
    assert len(lines) == 2
    assert "\x1b" not in ended.output


async def test_what_great_expectations_cannot_run_is_refused_and_without_it_not_seen(tmp_path: Path) -> None:
    put_suite(tmp_path / "trade.json", SCHEMALESS)

    with_gx = await finished(tmp_path, "suites", "check", "trade.json")
    without = await finished(tmp_path, "suites", "check", "trade.json", "--no-gx")

    assert with_gx.code == 1
    assert with_gx.output.startswith("trade.json: rule schema: ")
    assert without.code == 0
    assert "Great Expectations" not in without.output


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("absent.json", None, "absent.json: it cannot be read (No such file or directory)"),
        ("trade.json", "{", "trade.json: it is not a JSON object"),
        ("other.json", "no JSON", "other.json: it is not a JSON object"),
        ("trade.json", "[" * 100_000, "trade.json: it is not a JSON object"),
        ("trade.json", " " * 300_000, "trade.json: it has more than 262144 bytes"),
        ("mine.json", '{"expectations": []}', "give --kind"),
        ("trade.json", '{"name": "kline", "expectations": 5}', 'trade.json: it has no list "expectations"'),
    ],
)
async def test_what_is_no_suite_ends_as_a_sentence(name: str, content: str | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)

    ended = await finished(tmp_path, "suites", "check", name)

    assert (ended.code, ended.errors) == (1, "")
    assert told in ended.output


async def test_list_shows_what_is_in_force_by_suites_dir(tmp_path: Path) -> None:
    put_suite(tmp_path / "rules" / "trade.json", CAP, shipped("clock_skew", disabled=True))
    put_suite(tmp_path / "rules" / "kline.json", CAP, name="kline")

    listed = await finished(tmp_path, "suites", "list", "--json", SUITES_DIR="rules")
    plain = await finished(tmp_path, "suites", "list", "--kind", "trade", SUITES_DIR="rules")

    rules = {(rule["kind"], rule["id"]): rule for rule in json.loads(listed.output)}
    assert rules["trade", "price_cap"] == {
        "id": "price_cap", "kind": "trade", "severity": "critical", "judged_by": "gate", "source": "user",
        "locked": False, "sentence": "The price must be at most 50,000.",
    }  # fmt: skip
    assert rules["trade", "clock_skew"]["judged_by"] == "nobody"
    assert rules["trade", "trade_id_range"]["locked"]
    # A file that is wrong changes nothing of its kind, and is told.
    assert len([kind for kind, _ in rules if kind == "kline"]) == len(shipped_suite("kline").rules)
    assert "a kline has no column 'price'" in listed.errors
    lines = plain.output.splitlines()
    assert len(lines) == len(shipped_suite("trade").rules) + 1
    assert lines[-1].split()[:5] == ["price_cap", "trade", "critical", "gate", "user"]
    assert "\t" not in plain.output


async def test_every_shipped_rule_can_be_explained(tmp_path: Path) -> None:
    ended = await finished(tmp_path, "suites", "explain", "clock_skew")
    gated = await finished(tmp_path, "suites", "explain", "trade_id_range")
    built_in = await finished(tmp_path, "suites", "explain", "number_text")

    assert [line for line in ended.output.splitlines() if line.startswith("clock_skew")] == [
        f"clock_skew ({kind})" for kind in KINDS if "event_ms" in COLUMNS[kind]
    ]
    assert "judged by: the audit alone, because it is audit_only" in ended.output
    assert "received_ms (integer): When it reached us" in ended.output
    assert "compiled: (0 <= trade_id <= 9007199254740991)" in gated.output
    assert "can be changed: no, it guards the store" in gated.output
    assert '"type": "expect_column_values_to_be_between"' in gated.output
    assert "it is part of no suite" in built_in.output
    assert {ended.code, gated.code, built_in.code} == {0}


async def test_unknown_rule_is_answered_with_what_may_have_been_meant(tmp_path: Path) -> None:
    ended = await finished(tmp_path, "suites", "explain", "price_positve\x1b")

    assert (ended.code, ended.output) == (1, "")
    assert ended.errors.startswith("There is no rule price_positve\\u001b. Did you mean price_positive")


async def test_columns_are_listed_with_who_knows_them(tmp_path: Path) -> None:
    ended = await finished(tmp_path, "suites", "columns", "trade")
    wrong = await finished(tmp_path, "suites", "columns", "book")

    names = [line.split()[0] for line in ended.output.splitlines()]
    assert (ended.code, names) == (0, list(COLUMNS["trade"]))
    assert wrong.code == 2


async def test_records_are_counted_by_rule_with_examples(tmp_path: Path) -> None:
    put_suite(tmp_path / "trade.json", CAP, LARGE)
    put_recording(
        tmp_path / "recorded.jsonl",
        *(trade(number, price="50000.01") for number in range(1, 6)),
        trade(6, quantity="100.5"),
        trade(7, price="1\x1b[2J"),
        trade(8),
        '{"e": "\\u001b[31mevil"}',
    )

    ended = await finished(tmp_path, "suites", "test", "trade.json", "--on", "recorded.jsonl", "--limit", "2")

    assert (ended.code, ended.errors) == (0, "")
    assert ended.output.splitlines() == [
        "number_text (critical): 1 broke it: A price or quantity is not a plain decimal number.",
        "  line 7: symbol=BTCUSDT trade_id=7 price=1\\u001b[2J quantity=0.1",
        "price_present (critical): 1 broke it: The price must be given.",
        "  line 7: symbol=BTCUSDT trade_id=7 price=1\\u001b[2J",
        "price_cap (critical): 5 broke it: The price must be at most 50,000.",
        "  line 1: symbol=BTCUSDT trade_id=1 price=50000.01",
        "  line 2: symbol=BTCUSDT trade_id=2 price=50000.01",
        "large_trade (warning): 1 broke it: A trade should be of at most 100.",
        "  line 6: symbol=BTCUSDT trade_id=6 quantity=100.5",
        "8 trades: 6 refused, 2 stored, 1 of these marked.",
        "13 rules of the audit alone: not looked at without --gx.",
        "Left out, being no trade, kline or ticker: 1 line.",
        "  1: an event of another kind (\\u001b[31mevil), first in line 9",
    ]


async def test_great_expectations_judges_the_same_rows_and_its_own_rules(tmp_path: Path) -> None:
    put_suite(tmp_path / "trade.json", CAP, LARGE, MEAN)
    put_recording(tmp_path / "recorded.jsonl", trade(1), trade(2, price="1e5"), trade(2, quantity="-1"), trade(3, "x"))

    ended = await finished(tmp_path, "suites", "test", "trade.json", "--on", "recorded.jsonl", "--gx")

    assert (ended.code, ended.errors) == (0, "")
    assert "trade_unique (warning, audit): 2 broke it: A trade must be stored once." in ended.output
    assert "mean_price (warning, audit): 1 batch of records: The mean must be at most 45,000." in ended.output
    assert "Great Expectations agrees with the gate on every record." in ended.output


async def test_rule_that_great_expectations_cannot_evaluate_fails_the_comparison(tmp_path: Path) -> None:
    put_suite(tmp_path / "trade.json", SCHEMALESS)
    put_recording(tmp_path / "recorded.jsonl", trade(1))

    ended = await finished(tmp_path, "suites", "test", "trade.json", "--on", "recorded.jsonl", "--gx")

    assert ended.code == 1
    assert "Great Expectations cannot evaluate schema: " in ended.output
    assert "agrees" not in ended.output


async def test_recording_without_a_record_of_the_kind_proves_nothing(tmp_path: Path) -> None:
    put_suite(tmp_path / "trade.json", CAP)
    put_recording(tmp_path / "recorded.jsonl", '{"symbol": "BTCUSDT", "interval": "1m"}')

    ended = await finished(tmp_path, "suites", "test", "trade.json", "--on", "recorded.jsonl")

    assert ended.code == 1
    assert "Not judged by this suite: 1 kline." in ended.output
    assert ended.errors == "recorded.jsonl holds no trade: nothing was tried.\n"


@pytest.mark.parametrize("recorded", ["absent.jsonl", "broken.gz"])
async def test_recording_that_cannot_be_read_ends_as_a_sentence(recorded: str, tmp_path: Path) -> None:
    put_suite(tmp_path / "trade.json", CAP)
    (tmp_path / "broken.gz").write_text("no gzip")

    ended = await finished(tmp_path, "suites", "test", "trade.json", "--on", recorded)

    assert (ended.code, ended.output) == (1, "")
    assert ended.errors.startswith(f"{recorded} cannot be read (")


async def test_bad_suite_is_not_tried(tmp_path: Path) -> None:
    put_suite(tmp_path / "trade.json", shipped("trade_id_range", disabled=True))
    put_recording(tmp_path / "recorded.jsonl", trade(1))

    ended = await finished(tmp_path, "suites", "test", "trade.json", "--on", "recorded.jsonl")

    assert (ended.code, ended.output) == (1, "")
    assert "rule trade_id_range: it guards the store and cannot be changed" in ended.errors


async def test_slim_installation_says_that_great_expectations_was_not_asked(tmp_path: Path) -> None:
    put_suite(tmp_path / "trade.json", CAP)
    put_recording(tmp_path / "recorded.jsonl", trade(1))
    # Found first, and finds no module of that name.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'great_expectations' else found(name, *more)\n"
    )
    path = f"{tmp_path}:{ROOT}"

    checked = await finished(tmp_path, "suites", "check", "trade.json", PYTHONPATH=path)
    tried = await finished(tmp_path, "suites", "test", "trade.json", "--on", "recorded.jsonl", "--gx", PYTHONPATH=path)

    assert checked.code == 0
    assert checked.output.splitlines()[-1] == "great_expectations is not installed here, so it was not asked."
    assert (tried.code, tried.output) == (78, "")
    assert tried.errors == "great_expectations is not installed here: try it without --gx.\n"


async def test_trades_of_a_day_are_good_to_both(tmp_path: Path, recordings: Path) -> None:
    put_suite(tmp_path / "trade.json", CAP)
    recorded = str(recordings / "hftbacktest" / "ethusdt_20240808.txt.gz")

    ended = await finished(tmp_path, "suites", "test", "trade.json", "--on", recorded, "--gx")

    assert ended.code == 0
    assert " trades: 0 refused, " in ended.output
    assert "Great Expectations agrees with the gate on every record." in ended.output
