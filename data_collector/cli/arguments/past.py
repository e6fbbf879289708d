"""What the commands take that are about the past."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from data_collector.cli.arguments.exchange import ExchangeOption
from data_collector.history.export_format import Decimals, Form
from data_collector.history.programs.forms import Program

CERTIFICATES = Path("certificates")

EPOCH_MAX = 2**31 - 1
"""The database's."""

GIVE_UP_S = 600.0


SourceOption = Annotated[
    Literal["rest", "dumps", "auto"],
    typer.Option(help="rest, dumps (published files alone), or auto: files where they save many requests."),
]

NumbersOption = Annotated[
    Decimals, typer.Option("--numbers", "--decimals", help="In Parquet as decimal128, as stored, or as float64.")
]


def backfill(
    *,
    begin: Annotated[str, typer.Option("--from", help="Where to begin: 2024-01-31, 2024-01-31T12:00, or -30d.")],
    end: Annotated[str, typer.Option("--to", help="Where to end, not included: the same, or now.")] = "now",
    symbols: Annotated[str | None, typer.Option(help="Separated by commas; default: SYMBOLS.")] = None,
    intervals: Annotated[str | None, typer.Option(help="Separated by commas; default: INTERVALS; '' for none.")] = None,
    trades: Annotated[bool, typer.Option("--trades", help="Trades too; the plan tells what they cost.")] = False,
    source: SourceOption = "rest",
    files: Annotated[
        str | None, typer.Option(help="Base URL or folder of the files; default: where the exchange publishes.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to begin.")] = False,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Show the plan and end.")] = False,
    give_up_after: Annotated[
        float, typer.Option(min=0, help="Seconds without any success after which a series has failed.")
    ] = GIVE_UP_S,
    again: Annotated[bool, typer.Option("--again", help="Ask again for what validation refused.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per event.")] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Bring what the database lacks of the past, and nothing else, from the exchange.

    Ctrl-C, a crash or kill -9 lose nothing: the same command goes on where it was. Exit code 0 when nothing is missing
    any more but what validation refused, 1 when a series failed or the exchange did not give all, 130 after Ctrl-C.
    """


def audit(
    *,
    symbols: Annotated[str | None, typer.Option(help="Separated by commas; default: SYMBOLS.")] = None,
    intervals: Annotated[str | None, typer.Option(help="Separated by commas; default: INTERVALS.")] = None,
    begin: Annotated[
        str, typer.Option("--from", help="2024-01-31, 2024-01-31T12:00, or -30d; default: the first row.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Not included; the same, or now.")] = "now",
    trades: Annotated[bool, typer.Option("--trades", help="Trades too.")] = False,
    against_exchange: Annotated[
        bool, typer.Option("--against-exchange", help="Compare every row with the exchange's REST side.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Ask the exchange again for what is missing or differs.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the verdict as one JSON object.")] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Compare the database with the calendar, the live store, its own trades and, if asked for, the exchange.

    Exit code 0 when nothing is missing, doubled or different, 1 when something is, 69 when somebody cannot be asked.
    """


def certify(
    symbol: Annotated[str, typer.Argument(help="The exchange's own name, such as BTCUSDT.")],
    day: Annotated[str, typer.Argument(help="A UTC day that is over, such as 2024-01-31.")],
    out: Annotated[
        Path | None,
        typer.Option(help=f"Where the certificate goes; default: {CERTIFICATES}/SYMBOL-DAY.json."),
    ] = None,
    files_url: Annotated[
        str | None, typer.Option(help="Where daily files are published; default: where the exchange itself does.")
    ] = None,
    rest: Annotated[bool, typer.Option("--rest", help="Ask REST, even where a file is published.")] = False,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="How many differences are written down.")] = 1000,
    exchange: ExchangeOption = None,
) -> None:
    """Compare a day's trades in the store with the exchange's own and write a certificate.

    The exchange's daily file is taken; where none is published (HTTP 404, or an exchange that publishes none), REST is
    asked by trade ids. Exit code 0 when the two are equal, 1 when they differ, 69 when exchange or store cannot be
    asked.
    """


def export(
    *,
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    begin: Annotated[
        str | None, typer.Option("--from", help="Where to begin: 2024-01-31, 2024-01-31T12:00, -30d; default: all.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Where to end, not included: the same, or now; default: all.")
    ] = None,
    symbols: Annotated[str | None, typer.Option(help="Separated by commas; default: SYMBOLS.")] = None,
    intervals: Annotated[str | None, typer.Option(help="Separated by commas; default: INTERVALS; '' for none.")] = None,
    trades: Annotated[bool, typer.Option("--trades", help="Trades too.")] = False,
    epoch: Annotated[int | None, typer.Option(min=0, max=EPOCH_MAX, help="Of the trades; default: the newest.")] = None,
    form: Annotated[Form, typer.Option("--format", help="Parquet or CSV files.")] = "parquet",
    numbers: NumbersOption = "decimal",
    meta: Annotated[bool, typer.Option("--meta", help="Each row's source too, and the rules that mark it.")] = False,
    program: Annotated[Program | None, typer.Option("--as", help="Files that this program opens as its own.")] = None,
    pairs: Annotated[
        str | None, typer.Option(help="For --as, BTCUSDT=BTC/USDT,…; default: as the exchange lists them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in the folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest instead of sentences.")] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Write what PostgreSQL holds into files with a manifest: rows, gaps and a SHA-256 of each.

    With --as the folder is a data folder of freqtrade, or a catalog of NautilusTrader; what their files do not hold is
    told at the end.

    The folder appears when all of it is written. Exit code 0, also where a series has gaps; 78 for symbols, intervals
    or times of which nothing is stored, 69 when PostgreSQL does not answer.
    """
