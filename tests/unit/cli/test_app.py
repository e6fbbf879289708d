"""The list of commands says what their own helps say, and a start imports only what its command needs."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pkgutil import resolve_name
from typing import get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from data_collector.cli.app import ARGUMENTS, COMMANDS, command_line, declared, place_of
from data_collector.venues.discovery import venue_names

TELL = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
RUN = f"{TELL}; from data_collector.__main__ import main; main()"

LIST = {"__main__", "cli.app", "model.errors", "observe.escaping"}
"""What the list of commands needs of ours, and so every command."""
HELP = {"typer", "rich", "pydantic", "annotated_doc", "annotated_types", "pydantic_core", "shellingham"}
HELP |= {"attr", "linkify_it", "markdown_it", "mdurl", "pygments", "typing_extensions", "typing_inspection"}
"""What typer loads to read a command line and to print help."""

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
    found = declared(name) if name in ARGUMENTS else resolve_name(place_of(name))
    told = str(found.info.help if isinstance(found, typer.Typer) else inspect.getdoc(found))

    assert " ".join(told.partition("\n\n")[0].split()) == COMMANDS[name]


def test_mistyped_command_gets_a_suggestion() -> None:
    result = CliRunner().invoke(command_line(["tial"]), ["tial"])

    assert result.exit_code == 2
    assert "Did you mean 'tail'?" in result.output


@pytest.mark.parametrize("name", ARGUMENTS)
def test_command_runs_with_what_it_is_declared_to_take(name: str) -> None:
    run = resolve_name(place_of(name))

    assert get_type_hints(run) == get_type_hints(declared(name))
    assert [each.default for each in inspect.signature(run).parameters.values() if each.default is not each.empty] == []


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("--help", set()),
        ("version", {"cli.version", "embedded.binary"}),
        ("redis", {"cli.arguments.live", "cli.arguments.exchange"}),
        ("tail --help", {"cli.arguments.live", "cli.arguments.exchange"}),
        ("demo --help", {"cli.arguments.live", "cli.arguments.exchange"}),
    ],
)
def test_command_that_is_to_answer_at_once_loads_these_modules_and_no_others(words: str, needed: set[str]) -> None:
    loaded, bare = _loaded(RUN, *words.split()), _loaded(TELL)
    ours = {name.removeprefix("data_collector.") for name in loaded if name.startswith("data_collector.")}
    folders = {name.rpartition(".")[0] for name in LIST | needed}
    libraries = {name.partition(".")[0] for name in loaded - bare} - sys.stdlib_module_names

    assert ours - folders == LIST | needed
    assert {name for name in libraries - HELP if not name.startswith("_")} == {"data_collector"}


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("backfill --help", {"data_collector.history"}),
        ("redis PING", {"data_collector.service", "data_collector.venues.binance"}),
        ("simulate --help", SIMULATING),
        ("collect --help", COLLECTING | VENUES),
        ("history-writer --help", WRITING),
    ],
)
def test_start_imports_nothing_that_its_command_does_not_need(words: str, needed: set[str]) -> None:
    assert _loaded(RUN, *words.split()) & HEAVY - needed == set()


def _loaded(program: str, *words: str) -> set[str]:
    command = [sys.executable, "-c", program, *words]
    environment = {**os.environ, "VAR_DIR": "/nowhere", "REDIS_URL": ""}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stderr
    return set(told.splitlines()[-1].split())
