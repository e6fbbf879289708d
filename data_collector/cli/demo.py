"""`data-collector demo`: the whole service on embedded parts, no network needed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import aiohttp
import msgspec
import typer
from msgspec import Struct

from data_collector.api import serve
from data_collector.cli.chosen_exchange import ExchangeOption
from data_collector.cli.run import Screen
from data_collector.cli.surroundings.beside import beside
from data_collector.cli.surroundings.bringing import Bringing
from data_collector.embedded.peer import free_port, is_port_free
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.model.status import Snapshot
from data_collector.model.venue import Venue
from data_collector.observe.logs import configure_logs
from data_collector.settings import Settings, load_settings
from data_collector.settings.fields import variable_of
from data_collector.settings.texts import EMBEDDED
from data_collector.venues.discovery import find_venue

FOLDER = "demo"
SEED = 7
GENERATION = 2
WS_PORT = 19443
REST_PORT = 19080
VALIDATION_PORT = 8000
_NOT_OBEYED = {"REDIS_URL", "REDIS_URL_FILE", "DATABASE_URL", "DATABASE_URL_FILE"}
DAY_MINUTES = 24 * 60
DOCS_EVERY_S = 60
"""The Data Docs of a demo are looked at soon."""


class DemoMarket(Struct):
    """What makes the simulated market the same again; kept in the data folder."""

    start_ms: int
    ws_port: int
    rest_port: int
    seed: int = SEED
    generation: int = 1
    """Of the generator: another one makes another market of the same seed."""


KeepOption = Annotated[bool, typer.Option(help="Go on with the market and the data of the last demo.")]
RateOption = Annotated[float, typer.Option(min=0.1, help="Mean trades per symbol and second.")]
PastOption = Annotated[
    int, typer.Option(min=0, max=30, help="Bring the candles of so many days before the start into PostgreSQL.")
]


def demo(
    *, keep: KeepOption = False, trades_per_s: RateOption = 10.0, past_days: PastOption = 7,
    exchange: ExchangeOption = None,
) -> None:  # fmt: skip
    """Run everything on embedded parts: simulated exchange, store, PostgreSQL, collector, validation service and API.

    Needs no network. Data is under VAR_DIR/demo (of another exchange than the first under demo-NAME) and starts empty
    each time, unless --keep is given. EXCHANGES, symbols, INTERVALS, CHANNELS, MEMORY, PORT and SUITES_DIR are obeyed;
    REDIS_URL, DATABASE_URL and the exchange's addresses are not.
    """
    configure_logs()
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OBEYED}
    # An empty value also hides the one of a .env file.
    environment |= {"REDIS_URL": "", "DATABASE_URL": EMBEDDED}
    environment.setdefault("POSTGRES_TRADES", "1")
    environment.setdefault("MEMORY", "1")
    given = load_settings(environment, exchange=exchange)
    venue = find_venue(given.exchange)
    environment["EXCHANGES"] = venue.name
    folder = given.var_dir / (f"{FOLDER}-{venue.folder}" if venue.key_prefix else FOLDER)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    market = _market(folder) if keep else None
    with ExitStack() as programs:
        ws_url, rest_url = programs.enter_context(_simulator(folder, venue.name, market, trades_per_s))
        addresses = {"ws_url": ws_url, "rest_url": rest_url}
        environment |= {variable_of(field, venue.name): url for field, url in addresses.items()}
        if given.validation_service_url is None:
            environment["VALIDATION_SERVICE_URL"] = programs.enter_context(_validation_service(folder, environment))
        settings = load_settings(environment)
        past = Bringing(past_of(past_days, venue), settings.symbols, settings.intervals, folder, environment)
        programs.callback(past.end)
        code = _serve(settings, folder, environment, past, keep=keep)
    raise typer.Exit(code)


def _serve(settings: Settings, folder: Path, environment: dict[str, str], past: Bringing, *, keep: bool) -> int:
    # Not the address: a kept market may come back at other ports.
    source = f"the simulated market {_market(folder).start_ms}"
    command = [sys.executable, "-m", "data_collector", "collect", "--folder", folder.name, "--source", source]
    ending = (
        f"The market is simulated and seeded. Data is in {folder}; the next demo starts empty, `--keep` goes on.\n"
        "Ctrl-C ends everything."
    )
    screen = Screen(settings, ending=ending)

    def announce(url: str, snapshot: Snapshot) -> None:
        screen.show(url, snapshot)
        past.begin()

    return serve(
        settings,
        announce=announce,
        collector_command=command if keep else [*command, "--empty"],
        collector_environment=environment,
    )


def past_of(days: int, venue: Venue) -> str:
    """How far back candles are brought: no further than the exchange keeps them. Empty for not at all."""
    kept = venue.reach.klines_kept
    if kept is None or days == 0:
        return f"{days}d" if days else ""
    return f"{min(days * DAY_MINUTES, kept)}m"


def _market(folder: Path) -> DemoMarket:
    try:
        market = msgspec.json.decode((folder / "market.json").read_bytes(), type=DemoMarket)
    except FileNotFoundError as error:
        raise Misconfigured(f"There is no earlier demo in {folder} to keep; leave out --keep once.") from error
    except msgspec.MsgspecError as error:
        raise Misconfigured(f"{folder / 'market.json'} cannot be read ({error}); leave out --keep once.") from error
    if market.generation != GENERATION:
        raise Misconfigured(
            f"The demo in {folder} is of another version, which simulates another market; leave out --keep once."
        )
    return market


@contextmanager
def _simulator(
    folder: Path, exchange: str, kept: DemoMarket | None, trades_per_s: float
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """Runs the exchange as a process of its own; yields its two addresses."""
    market = kept or DemoMarket(int(time.time() * 1000), *_free_ports(), generation=GENERATION)
    arguments = [
        "simulate", "--seed", str(market.seed), "--start-ms", str(market.start_ms), "--trades-per-s", str(trades_per_s),
        "--ws-port", str(market.ws_port), "--rest-port", str(market.rest_port), "--exchange", exchange,
    ]  # fmt: skip
    with beside("The simulated exchange", arguments, folder / "simulator.json") as addresses:
        if kept is None:
            (folder / "market.json").write_bytes(msgspec.json.encode(market))
        else:
            print("Bringing the kept market up to the present …", flush=True)
        # Its clock has stood still until it ran, which takes seconds on a busy machine.
        asyncio.run(_advance(addresses["rest_url"], int(time.time() * 1000) - market.start_ms))
        yield addresses["ws_url"], addresses["rest_url"]


@contextmanager
def _validation_service(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Runs the Data Validation Service; yields its address."""
    port = VALIDATION_PORT if is_port_free(VALIDATION_PORT) else 0
    arguments = [
        "validation-service", "--port", str(port), "--folder", str(folder / "validation-service"),
        "--docs-every-s", str(DOCS_EVERY_S),
    ]  # fmt: skip
    with beside("The validation service", arguments, folder / "validation-service.json", environment) as addresses:
        yield addresses["url"]


async def _advance(rest_url: str, milliseconds: int) -> None:
    body = {"action": "advance", "milliseconds": milliseconds}
    async with aiohttp.ClientSession() as session, session.post(f"{rest_url}/simulator/actions", json=body) as answer:
        if answer.status != 200:
            raise Unavailable(f"The simulated exchange cannot go on: {await answer.text()}")


def _free_ports() -> tuple[int, int]:
    """The usual ports when both are free, else any: a kept demo must find its exchange where it was."""
    if is_port_free(WS_PORT) and is_port_free(REST_PORT):
        return WS_PORT, REST_PORT
    return free_port(), free_port()
