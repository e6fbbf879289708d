"""What the commands take that are about now: a service, its store, its plans."""

from __future__ import annotations

from typing import Annotated

import typer

from data_collector.cli.arguments.exchange import ExchangeOption

KeepOption = Annotated[bool, typer.Option(help="Go on with the market, the exchanges and the data of the last demo.")]
RateOption = Annotated[float, typer.Option(min=0.1, help="Mean trades per symbol and second.")]
PastOption = Annotated[
    int,
    typer.Option(min=0, max=30, help="Bring candles of so many days before the start, where the exchange keeps them."),
]
ExchangesOption = Annotated[
    str | None, typer.Option(help="Several, separated by commas; data is in the folder of the first.")
]


def run(exchange: ExchangeOption = None) -> None:
    """Collect from the exchange and serve the API, until Ctrl-C. Settings: environment and .env (.env.example)."""


def demo(
    *, keep: KeepOption = False, trades_per_s: RateOption = 10.0, past_days: PastOption = 7,
    exchange: ExchangeOption = None, exchanges: ExchangesOption = None,
) -> None:  # fmt: skip
    """Run everything on embedded parts: simulated exchange, store, PostgreSQL, collector, validation service and API.

    Needs no network. Data is under VAR_DIR/demo (of another exchange than the first under demo-NAME) and starts empty
    each time, unless --keep is given. EXCHANGES, symbols, INTERVALS, CHANNELS, MEMORY, PORT and SUITES_DIR are obeyed;
    REDIS_URL, DATABASE_URL and the exchange's addresses are not. Several exchanges tell one market, each with a delay
    and with differences in price of its own. The validation service is at port 8000; at any where that is taken or
    PORT is set; VALIDATION_SERVICE_URL names another one, and none is started.
    """


def tail(
    symbols: Annotated[
        list[str],
        typer.Argument(
            metavar="SYMBOL...",
            help="The exchange's own names, or NAME:SYMBOL for one of another exchange; case does not matter.",
        ),
    ],
    interval: Annotated[str, typer.Option(help="Which candles to show; case matters (1m minute, 1M month).")] = "1m",
    trades: Annotated[bool, typer.Option("--trades", help="Show every trade too.")] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Show live prices and candles of each SYMBOL: a screen on a terminal, plain lines in a pipe. Ctrl-C ends it."""


def redis(
    words: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="A Redis command and its arguments.")],
    url: Annotated[
        str | None, typer.Option("--url", "-u", help="The store; default: REDIS_URL, or the embedded one that runs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reply as JSON.")] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Run one Redis command against the store: `data-collector redis XLEN trades:BTCUSDT`."""


def plan(
    symbols: Annotated[str | None, typer.Option(help="All that is wanted, separated by commas.")] = None,
    intervals: Annotated[str | None, typer.Option(help="As INTERVALS; left out: as now.")] = None,
    channels: Annotated[str | None, typer.Option(help="As CHANNELS; left out: as now.")] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Where the collector's API is; default: of the one that runs, else at HOST and PORT."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON, as PUT /subscriptions answers.")] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Show what a change of subscriptions would do: streams, connections, messages, store, REST budget. Do nothing.

    Exit code 0, or 78 when the change is impossible. Without a running collector it is held against the settings.
    """


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON list.")] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Check settings, exchange, clock, store, database, rules, disk and port, and say how to mend what fails.

    Exit code 0 when a start would work (warnings included), 1 when something fails.
    """


def epoch(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="The exchange's own name.")],
    new: Annotated[
        bool, typer.Option("--new", help="Let the next epoch begin; the collector does it when new ids come.")
    ] = False,
    exchange: ExchangeOption = None,
) -> None:
    """Show in which epoch a symbol's trade ids are, or let the next one begin (AUTO_EPOCH=0 waits for that)."""
