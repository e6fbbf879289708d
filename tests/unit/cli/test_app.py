"""The list of commands says what their own helps say, and a start imports only what its command needs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pkgutil import resolve_name

import pytest
import typer
from typer.testing import CliRunner

from data_collector.cli.app import COMMANDS, command_line, place_of
from data_collector.venues.discovery import venue_names

IMPORTED = re.compile(r"^import time:.*\| +([\w.]+)$", re.MULTILINE)

LIBRARIES = ("aiohttp", "asyncpg", "fastapi", "picows", "structlog", "valkey", "great_expectations", "pandas")
FOLDERS = ("api", "history", "pipeline", "service", "simulator", "validation", "web")
VENUES = {f"data_collector.venues.{name}" for name in venue_names()}
HEAVY = {*LIBRARIES, *(f"data_collector.{folder}" for folder in FOLDERS), *VENUES}

COLLECTING = {"aiohttp", "asyncpg", "picows", "structlog"} | {
    f"data_collector.{folder}" for folder in ("history", "pipeline", "service", "validation", "web")
}
SIMULATING = {"aiohttp", "picows", "data_collector.simulator"}
WRITING = {"asyncpg", "structlog", "data_collector.history", "data_collector.service"}


@pytest.mark.parametrize("name", [name for name, summary in COMMANDS.items() if summary])
def test_command_is_listed_with_the_first_paragraph_of_its_help(name: str) -> None:
    found = resolve_name(place_of(name))
    told = str(found.info.help if isinstance(found, typer.Typer) else inspect.getdoc(found))

    assert " ".join(told.partition("\n\n")[0].split()) == COMMANDS[name]


def test_mistyped_command_gets_a_suggestion() -> None:
    result = CliRunner().invoke(command_line(["tial"]), ["tial"])

    assert result.exit_code == 2
    assert "Did you mean 'tail'?" in result.output


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("--help", set()),
        ("version", set()),
        ("tail --help", set()),
        ("redis --help", set()),
        ("simulate --help", SIMULATING),
        ("collect --help", COLLECTING | VENUES),
        ("history-writer --help", WRITING),
    ],
)
def test_start_imports_nothing_that_its_command_does_not_need(words: str, needed: set[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "data_collector", *words.split()]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    imported = set(IMPORTED.findall(told))

    assert "data_collector.cli.app" in imported
    assert imported & HEAVY - needed == set()
