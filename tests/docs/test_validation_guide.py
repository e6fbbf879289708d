"""docs/validation.md: its tables say what is shipped, and its worked example does what it shows.

A comment before a fenced block tells what it is: `<!-- file: NAME -->` is written, `<!-- run -->` is run, and
`<!-- output -->` is what the command before it prints.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from data_collector.validation.gate.compiler import READING_RULES, compile_suite
from data_collector.validation.gate.gate import ORDER_RULES
from data_collector.validation.rules.columns import COLUMNS, KINDS, Kind
from data_collector.validation.rules.conditions import GATED
from data_collector.validation.rules.suite import VOCABULARY, shipped_suite
from tests.docs.tree import ROOT, read

GUIDE = "docs/validation.md"
MARKED = re.compile(r"^<!-- (file: (?P<name>\S+)|run|output) -->\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Step(Struct):
    """A marked block."""

    mark: str
    name: str | None
    text: str


def steps() -> list[Step]:
    return [Step(found[1], found["name"], found["text"]) for found in MARKED.finditer(read(GUIDE))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader types: the files of the guide and the command."""
    command = tmp_path / "bin" / "data-collector"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m data_collector "$@"\n')
    command.chmod(0o755)
    return tmp_path


def test_figures_name_as_many_rules_as_are_shipped() -> None:
    text = read("docs/performance.md")
    gated = re.findall(r"gate per (trade|kline), (\d+) compiled rules", text)
    audited = re.search(r"trades \((\d+) rules.*?klines \((\d+).*?tickers \((\d+)", text)

    assert gated == [(kind, str(len(compile_suite(shipped_suite(kind)).gated))) for kind in ("trade", "kline")]
    assert audited is not None
    assert [int(rules) for rules in audited.groups()] == [
        len(shipped_suite(kind).rules) for kind in ("trade", "kline", "ticker")
    ]


def test_every_command_prints_what_the_guide_shows(folder: Path) -> None:
    shown: list[str] = []
    printed: list[str] = []
    for step in steps():
        if step.name is not None:
            path = folder / step.name
            path.parent.mkdir(exist_ok=True)
            path.write_text(step.text, encoding="utf-8")
        elif step.mark == "run":
            printed.append(run(folder, step.text))
        else:
            shown.append(step.text)

    assert len(printed) >= 5
    assert printed == shown


def run(folder: Path, text: str) -> str:
    ended = subprocess.run(
        ["sh", "-ec", text],
        cwd=folder,
        env={"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_rules_is_the_shipped_suite(kind: Kind) -> None:
    shipped = [
        [f"`{rule.id}`", rule.severity, ("gate" if rule.gated else "audit") + ", locked" * rule.locked, rule.sentence]
        for rule in shipped_suite(kind).rules
    ]

    assert list(rows_below(f"### {kind[0].upper()}{kind[1:]}s")) == shipped


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_columns_is_what_rules_can_name(kind: Kind) -> None:
    columns = [
        [f"`{column.name}`", column.type, "audit" if column.audit_only else "gate, audit", column.meaning]
        for column in COLUMNS[kind].values()
    ]

    assert list(rows_below(f"### Columns of a {kind}")) == columns


def test_rules_outside_the_suites_are_listed() -> None:
    listed = rows_below("Six more belong to no suite and cannot be changed:")

    assert list(listed) == [[f"`{rule}`", sentence] for rule, sentence in (READING_RULES | ORDER_RULES).items()]


def test_every_expectation_is_listed_with_who_judges_it() -> None:
    compiled, _, rest = section("## Expectations").partition("**Ours**")
    ours, _, audited = rest.partition("**The audit alone**")

    assert expectations(compiled) == set(GATED)
    assert expectations(ours) < set(GATED)
    assert expectations(audited) == VOCABULARY.keys() - GATED.keys()


def section(heading: str) -> str:
    return read(GUIDE).partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def expectations(text: str) -> set[str]:
    return set(re.findall(r"`(expect_\w+)`", text))


def rows_below(line: str) -> Iterator[list[str]]:
    """The cells of the first table below a line, without its header."""
    _, found, below = read(GUIDE).partition(f"\n{line}\n")
    assert found, line
    table = below.lstrip("\n").partition("\n\n")[0].splitlines()
    for row in table[2:]:
        yield [cell.strip() for cell in row.strip("|").split(" | ")]
