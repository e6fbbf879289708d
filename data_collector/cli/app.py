"""The command line: which commands there are. Each lives in a module of its own, imported only to run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pkgutil import resolve_name

import typer

COMMANDS: Mapping[str, str] = {
    "run": "Collect from the exchange and serve the API, until Ctrl-C. Settings: environment and .env (.env.example).",
    "demo": (
        "Run everything on embedded parts: simulated exchange, store, PostgreSQL, collector, validation"
        " service and API."
    ),
    "simulate": (
        "Run a simulated exchange that speaks the protocol of a real one, streams and REST, from one seeded market."
    ),
    "validation-service": (
        "Serve the Data Validation Service, until Ctrl-C: it judges records, audits collectors, keeps the suites."
    ),
    "tail": (
        "Show live prices and candles of each SYMBOL: a screen on a terminal, plain lines in a pipe. Ctrl-C ends it."
    ),
    "redis": "Run one Redis command against the store: `data-collector redis XLEN trades:BTCUSDT`.",
    "plan": (
        "Show what a change of subscriptions would do: streams, connections, messages, store, REST budget. Do nothing."
    ),
    "backfill": "Bring what the database lacks of the past, and nothing else, from the exchange.",
    "audit": "Compare the database with the calendar, the live store, its own trades and, if asked for, the exchange.",
    "certify": "Compare a day's trades in the store with the exchange's own and write a certificate.",
    "export": "Write what PostgreSQL holds into files with a manifest: rows, gaps and a SHA-256 of each.",
    "backup": "Copy store, database and rules into a folder with a certificate, while the service runs or not.",
    "restore": "Put a backup into an empty store and database, and compare what is there then with its certificate.",
    "memory": "Moments like now and what followed them; shapes of windows for PostgreSQL (docs/memory.md).",
    "doctor": "Check settings, exchange, clock, store, database, rules, disk and port, and say how to mend what fails.",
    "alerts": "Where alerts go: send a test to each receiver and tell which have taken it (docs/alerts.md).",
    "version": "Show the versions of the collector, Python and the embedded store.",
    "suites": "The validation rules: read them, check your own, try them on recorded messages (docs/validation.md).",
    "quarantine": "What validation refused: show it, and replay it when its rule was corrected.",
    "epoch": "Show in which epoch a symbol's trade ids are, or let the next one begin (AUTO_EPOCH=0 waits for that).",
    "collect": "",
    "history-writer": "",
}
"""By name: the first paragraph of its help; none where it is not for people.

What a command is, a function or commands of its own, has its name and lies in the module of its name.
"""

_ROOMS = {
    "doctor": "doctor.", "suites": "suites.", "audit": "history.", "backfill": "history.", "certify": "history.",
    "export": "history.", "backup": "backup.", "restore": "backup.", "memory": "memory.", "simulate": "simulate.",
}  # fmt: skip
"""Folders of commands that consist of several modules."""

ARGUMENTS: Mapping[str, str] = {
    "run": "live", "demo": "live", "tail": "live", "redis": "live", "plan": "live", "doctor": "live", "epoch": "live",
    "backfill": "past", "audit": "past", "certify": "past", "export": "past", "backup": "kept", "restore": "kept",
}  # fmt: skip
"""Commands whose options are declared apart from what they run, by module of `cli.arguments`: their help loads nothing.

Functions of one name: the declared one has no body, the other one gets what was read by name.
"""

# Everything after the first word of a Redis command belongs to that command, also what begins with a dash.
_SETTINGS = {"redis": {"allow_interspersed_args": False, "ignore_unknown_options": True}}


def command_line(words: Sequence[str]) -> typer.Typer:
    """The program for these arguments: of commands that are not among them it knows what the list of commands says."""
    app = typer.Typer(
        name="data-collector",
        help="Market data from an exchange into Redis: every trade and kline once, in order, digits intact.",
        epilog="Settings come from environment variables and a .env file; .env.example shows them all.",
        no_args_is_help=True,
        add_completion=False,
        # The pretty tracebacks print local variables, and those may hold a password.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, summary in COMMANDS.items():
        found = _found(name) if name in words else _never_run
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            help_text = summary if found is _never_run else None
            app.command(name, help=help_text, hidden=not summary, context_settings=_SETTINGS.get(name))(found)
    return app


def place_of(name: str) -> str:
    """Where a command is found: module and name, as `pkgutil.resolve_name` reads them."""
    word = name.replace("-", "_")
    return f"data_collector.cli.{_ROOMS.get(name, '')}{word}:{word}"


def declared(name: str) -> Callable[..., None]:
    """What a command takes, as a function without a body."""
    function: Callable[..., None] = resolve_name(f"data_collector.cli.arguments.{ARGUMENTS[name]}:{name}")
    return function


def _found(name: str) -> Callable[..., None] | typer.Typer:
    if name not in ARGUMENTS:
        command: Callable[..., None] | typer.Typer = resolve_name(place_of(name))
        return command

    @wraps(declared(name))
    def run(**given: object) -> None:
        resolve_name(place_of(name))(**given)

    return run


def _never_run() -> None:
    """In place of a command that was not asked for."""
