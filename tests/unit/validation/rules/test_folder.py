"""`SUITES_DIR`: laid over the shipped rules, refused as a whole where it is wrong, saved as a difference."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from data_collector.model.errors import SuiteRefused
from data_collector.validation.rules.folder import RulesFolder
from data_collector.validation.rules.suite import read_suite, shipped_suite


def write(folder: Path, name: str, *rules: dict[str, object]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps({"expectations": list(rules)}))


def rule(rule_id: str, **changes: object) -> dict[str, object]:
    return {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "price", "max_value": 1e6},
        "description": "The price must be at most a million.",
        "meta": {"rule_id": rule_id},
    } | changes


def test_missing_folder_means_the_shipped_rules(tmp_path: Path) -> None:
    shelved = RulesFolder(tmp_path / "none").load()

    assert shelved.faults == {}
    assert {kind: suite.digest for kind, suite in shelved.suites.items()} == {
        kind: shipped_suite(kind).digest for kind in shelved.suites
    }


def test_rule_of_the_same_id_replaces_the_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "trade.json", rule("price_positive"), rule("mine"))

    suite = RulesFolder(tmp_path).load().suites["trade"]

    by_id = {one.id: one for one in suite.rules}
    assert by_id["price_positive"].kwargs == {"column": "price", "max_value": 1e6}
    assert by_id["mine"].source == "user"
    assert len(suite.rules) == len(shipped_suite("trade").rules) + 1


def test_wrong_file_is_told_and_the_other_kinds_load(tmp_path: Path) -> None:
    write(tmp_path, "trade.json", rule("mine", severity="critcal"))
    write(tmp_path, "kline.json", rule("mine", kwargs={"column": "close", "min_value": 0}))
    write(tmp_path, "trades.json", rule("mine"))

    shelved = RulesFolder(tmp_path).load()

    assert set(shelved.suites) == {"kline", "ticker", "quote"}
    assert "did you mean critical?" in shelved.faults["trade.json"]
    assert "rename it" in shelved.faults["trades.json"]


def test_rule_that_guards_the_store_cannot_be_replaced_or_switched_off(tmp_path: Path) -> None:
    (guard,) = [one for one in shipped_suite("trade").rules if one.id == "time_range"]
    document = guard.document()
    write(tmp_path, "trade.json", document | {"meta": {"rule_id": "time_range", "disabled": True}})

    with pytest.raises(SuiteRefused, match="guards the store"):
        RulesFolder(tmp_path).load_kind("trade")


def test_saved_is_only_what_differs(tmp_path: Path) -> None:
    folder = RulesFolder(tmp_path / "suites")
    whole = msgspec.json.decode(msgspec.json.encode(shipped_suite("trade").document()))
    whole["expectations"].append(rule("mine"))
    user = read_suite("trade", json.dumps(whole))

    folder.save("trade", user)

    kept = json.loads(folder.path_of("trade").read_text())
    assert [one["meta"]["rule_id"] for one in kept["expectations"]] == ["mine"]
    assert [one.id for one in folder.load_kind("trade").rules][-1] == "mine"
    assert [path.name for path in (tmp_path / "suites").iterdir()] == ["trade.json"]


def test_stamp_changes_with_a_file_and_not_without(tmp_path: Path) -> None:
    folder = RulesFolder(tmp_path)
    write(tmp_path, "trade.json", rule("mine"))
    (tmp_path / "notes.txt").write_text("x")
    before = folder.stamp()
    assert before == folder.stamp()

    write(tmp_path, "trade.json", rule("mine"), rule("another"))

    assert folder.stamp() != before
    (tmp_path / "trade.json").unlink()
    assert folder.stamp() == ()
