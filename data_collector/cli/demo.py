"""`data-collector demo`: the whole service on embedded parts, no network needed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
import typer
from msgspec import Struct, structs

from data_collector.api import serve
from data_collector.api.collectors import EMPTY, SeveralExchanges
from data_collector.cli.screen.first_chart import FirstChart
from data_collector.cli.screen.screen import Screen
from data_collector.cli.surroundings.bringing import Bringing, Past
from data_collector.cli.surroundings.kept_program import Kept, beside
from data_collector.embedded.lock import DEMO_LOCK, lock_directory
from data_collector.embedded.peer import free_port, is_port_free
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.model.calendar import DAY_MS, LENGTHS_MS, MS_OF_UNIT
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.model.status import SIMULATED_MARKET, Snapshot
from data_collector.model.venue import Venue
from data_collector.observe.logs import configure_logs, get_log
from data_collector.observe.output import tell
from data_collector.service.subscription_plan import settings_of_each
from data_collector.settings import Settings, load_settings
from data_collector.settings.fields import variable_of
from data_collector.settings.texts import EMBEDDED
from data_collector.venues.discovery import find_venue

FOLDER = "demo"
MARKET = "market.json"
SEED = 7
GENERATION = 2
WS_PORT = 19443
REST_PORT = 19080
VALIDATION_PORT = 8000
_NOT_OBEYED = {"REDIS_URL", "REDIS_URL_FILE", "DATABASE_URL", "DATABASE_URL_FILE", "ALERT_URLS_FILE"}
PREMIUM_BPS = 3.0
DELAY_MS = 60
"""By how much several exchanges differ in price, and how late the last one tells."""
MONTH_MS = 31 * DAY_MS
DOCS_EVERY_S = 60
"""The Data Docs of a demo are looked at soon."""
OVER = "Nothing comes any more: end the demo (Ctrl-C), and `--keep` goes on with the same market."


class DemoMarket(Struct):
    """What makes the simulated market the same again; kept in the data folder."""

    start_ms: int
    ws_port: int
    rest_port: int
    seed: int = SEED
    generation: int = 1
    """Of the generator: another one makes another market of the same seed."""
    exchanges: tuple[str, ...] = ()
    """That tell it, in their order; none where only the usual one did."""
    premium_bps: float = 0.0
    delay_ms: int = 0
    """What it was with: the prices of one exchange alone are the market's."""


def demo(*, keep: bool, trades_per_s: float, past_days: int, exchange: str | None, exchanges: str | None) -> None:
    """What it takes and does stands in `cli.arguments.live`."""
    begun_s = time.monotonic()
    configure_logs()
    environment = _environment()
    if exchanges is not None:
        if exchange is not None:
            raise Misconfigured("Give --exchange or --exchanges, and not both.")
        environment["EXCHANGES"] = exchanges
    given = load_settings(environment, exchange=exchange)
    if keep and exchange is None and len(given.exchanges) == 1:
        environment["EXCHANGES"] = ",".join(kept_exchanges(given))
        given = load_settings(environment)
    venues = [find_venue(name) for name in given.exchanges]
    environment["EXCHANGES"] = ",".join(given.exchanges)
    folders = {venue.name: folder_of(given, venue) for venue in venues}
    folder = folders[given.exchange]
    with ExitStack() as programs:
        programs.enter_context(_locked(folders.values()))
        share_market(list(folders.values()), keep=keep)
        market = _market(folder) if keep else None
        addresses = programs.enter_context(_simulator(folder, given.exchanges, market, trades_per_s))
        environment |= addresses
        if given.validation_service_url is None:
            # Who names a port has something at the usual ones.
            port = 0 if "port" in given.given else VALIDATION_PORT
            environment["VALIDATION_SERVICE_URL"] = programs.enter_context(
                _validation_service(folder, environment, port)
            )
        settings = settings_of_each(given.exchanges, environment)
        pasts = [
            Bringing(
                pasts_of(past_days, venue, settings[venue.name].intervals), settings[venue.name].symbols,
                folders[venue.name], environment | {"EXCHANGES": venue.name},
            )
            for venue in venues
        ]  # fmt: skip
        for past in pasts:
            programs.callback(past.end)
        own = settings[venues[0].name]
        chart = FirstChart(own.symbols[0], own.intervals if "kline" in own.channels else (), begun_s=begun_s)
        code = _serve(settings, folders, environment, pasts, chart, keep=keep)
    raise typer.Exit(code)


def _places(folder: Path) -> str:
    """Root's database is elsewhere."""
    with suppress(Misconfigured):
        rows = EmbeddedPostgres(folder / "postgres", log=get_log()).folder
        if not rows.is_relative_to(folder.resolve()):
            return f"{folder} and {rows}"
    return str(folder)


def _has_receivers() -> bool:
    """Whether somebody expects alerts."""
    with suppress(Misconfigured):
        return bool(load_settings().alert_addresses)
    return False


def _environment() -> dict[str, str]:
    """Ours, with servers of a demo's own."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OBEYED}
    # An empty value also hides the one of a .env file.
    environment |= {"REDIS_URL": "", "DATABASE_URL": EMBEDDED, "ALERT_URLS": ""}
    environment.setdefault("POSTGRES_TRADES", "1")
    environment.setdefault("MEMORY", "1")
    return environment


def _serve(
    settings: dict[str, Settings], folders: dict[str, Path], environment: dict[str, str], pasts: list[Bringing],
    chart: FirstChart, *, keep: bool,
) -> int:  # fmt: skip
    first, folder = next(iter(settings)), next(iter(folders.values()))
    # Not the address: a kept market may come back at other ports.
    source = f"{SIMULATED_MARKET} {_market(folder).start_ms}"
    commands: dict[str, Sequence[str]] = {
        name: (
            sys.executable, "-m", "data_collector", "collect", "--folder", own.name, "--source", source,
            *(() if keep else (EMPTY,)),
        )
        for name, own in folders.items()
    }  # fmt: skip
    several = SeveralExchanges(settings, commands, folder, empty=not keep) if len(settings) > 1 else None
    alerts = "ALERT_URLS is not obeyed: a demo wakes nobody (docs/alerts.md).\n" if _has_receivers() else ""
    ending = (
        f"The market is simulated and seeded. Data is in {_places(folder)}; the next demo starts empty, `--keep` goes "
        f"on.\n{alerts}When the first chart can be looked at is told below. Ctrl-C ends everything."
    )
    screen = Screen(settings[first].model_copy(update={"exchanges": tuple(settings)}), ending=ending)

    def announce(url: str, snapshot: Snapshot) -> None:
        screen.show(url, snapshot)
        if snapshot.has_begun:
            chart.begin(url)
            for past in pasts:
                past.begin()

    try:
        return serve(
            settings[first],
            announce=announce,
            collector_command=commands[first],
            collector_environment=environment,
            several=several,
        )
    finally:
        chart.end()


def pasts_of(days: int, venue: Venue, intervals: Sequence[str]) -> list[Past]:
    """How far back candles are brought, those first of which there are few, the many of the shortest by themselves.

    No further than the exchange keeps them.
    """
    # Seconds of a week are millions.
    wanted = sorted((each for each in intervals if each != "1s" and days), key=_length_ms, reverse=True)
    backs = [_back_of(days, venue, each) for each in wanted]
    alone = [each is wanted[-1] for each in wanted]
    return [
        Past(back, tuple(interval for *_, interval in group))
        for (back, _), group in groupby(zip(backs, alone, wanted, strict=True), key=lambda each: each[:2])
    ]


def _back_of(days: int, venue: Venue, interval: str) -> str:
    kept, all_ms = venue.reach.klines_kept, days * DAY_MS
    kept_ms = all_ms if kept is None else min(all_ms, kept * _length_ms(interval))
    unit = next(unit for unit in "dhm" if kept_ms % MS_OF_UNIT[unit] == 0)
    return f"{kept_ms // MS_OF_UNIT[unit]}{unit}"


def _length_ms(interval: str) -> int:
    return LENGTHS_MS.get(interval, MONTH_MS)


def folder_of(settings: Settings, venue: Venue) -> Path:
    """The data of an exchange of a demo."""
    return settings.var_dir / (f"{FOLDER}-{venue.folder}" if venue.key_prefix else FOLDER)


def kept_exchanges(settings: Settings) -> Sequence[str]:
    """Those of the last demo that began with this exchange. Raises `Misconfigured`."""
    return _market(folder_of(settings, find_venue(settings.exchange))).exchanges or (settings.exchange,)


@contextmanager
def _locked(folders: Iterable[Path]) -> Iterator[None]:
    """Folders are made, and are ours before anything is written there. Raises `Misconfigured`."""
    with ExitStack() as locks:
        for folder in folders:
            locks.callback(lock_directory(folder, DEMO_LOCK).release)
            # A collector that somebody pointed there is no demo, and uses it all the same.
            lock_directory(folder).release()
        yield


def share_market(folders: Sequence[Path], *, keep: bool) -> None:
    """Of several exchanges the market is kept in the first one's folder. Raises `Misconfigured`."""
    for other in folders[1:]:
        own = other / MARKET
        if keep and own.exists():
            raise Misconfigured(f"What is in {other} is of a demo by itself, of another market; leave out --keep once.")
        own.unlink(missing_ok=True)


def _market(folder: Path) -> DemoMarket:
    try:
        market = msgspec.json.decode((folder / MARKET).read_bytes(), type=DemoMarket)
    except FileNotFoundError as error:
        raise Misconfigured(f"There is no earlier demo in {folder} to keep; leave out --keep once.") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Misconfigured(f"{folder / MARKET} cannot be read ({error}); leave out --keep once.") from error
    if market.generation != GENERATION:
        raise Misconfigured(
            f"The demo in {folder} is of another version, which simulates another market; leave out --keep once."
        )
    return market


@contextmanager
def _simulator(
    folder: Path, exchanges: Sequence[str], kept: DemoMarket | None, trades_per_s: float
) -> Iterator[dict[str, str]]:  # fmt: skip
    """Runs the exchanges as one process of its own; yields their addresses, by variable."""
    market = kept or DemoMarket(int(time.time() * 1000), *_free_ports(), generation=GENERATION)
    if kept is None and len(exchanges) > 1:
        market = structs.replace(
            market, exchanges=tuple(exchanges), premium_bps=PREMIUM_BPS, delay_ms=DELAY_MS
        )  # fmt: skip
    arguments = [
        "simulate", "--seed", str(market.seed), "--start-ms", str(market.start_ms), "--trades-per-s", str(trades_per_s),
        "--premium-bps", str(market.premium_bps), "--delay-ms", str(market.delay_ms),
        "--ws-port", str(market.ws_port), "--rest-port", str(market.rest_port),
        *(word for exchange in exchanges for word in ("--exchange", exchange)),
    ]  # fmt: skip
    with beside("The simulated exchange", arguments, folder / "simulator.json", Kept(consequence=OVER)) as addresses:
        if kept is None:
            (folder / MARKET).write_bytes(msgspec.json.encode(market))
        else:
            tell("Bringing the kept market up to the present …")
            if len(exchanges) > 1 and not market.premium_bps:
                tell("It began with one exchange: all have the same prices.")
        # Its clock has stood still until it ran, which takes seconds on a busy machine.
        asyncio.run(bring_up(addresses["rest_url"]))
        yield {
            # Those of the first go without its name.
            variable_of(field, exchange): addresses.get(f"{exchange}_{field}") or addresses[field]
            for exchange in exchanges
            for field in ("ws_url", "rest_url")
        }


@contextmanager
def _validation_service(folder: Path, environment: dict[str, str], port: int) -> Iterator[str]:
    """Runs the Data Validation Service, at another port where this one is taken; yields its address."""

    def arguments(at: int) -> list[str]:
        return [
            "validation-service", "--port", str(at), "--docs-every-s", str(DOCS_EVERY_S),
            "--folder", str(folder / "validation-service"),
        ]  # fmt: skip

    # The collector asks at the address that it was told first.
    kept = Kept(lambda addresses: arguments(urlsplit(addresses["url"]).port or 0))
    first, port_file = arguments(port if is_port_free(port) else 0), folder / "validation-service.json"
    with beside("The validation service", first, port_file, kept, environment) as addresses:
        yield addresses["url"]


class _Moment(Struct):
    """Of the market."""

    now_ms: int


async def bring_up(rest_url: str) -> None:
    """Let a simulator's market reach the present, and no moment more."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{rest_url}/simulator/state") as answer:
            behind_ms = int(time.time() * 1000) - msgspec.json.decode(await answer.read(), type=_Moment).now_ms
        if behind_ms <= 0:
            return
        body = {"action": "advance", "milliseconds": behind_ms}
        async with session.post(f"{rest_url}/simulator/actions", json=body) as answer:
            if answer.status != 200:
                raise Unavailable(f"The simulated exchange cannot go on: {await answer.text()}")


def _free_ports() -> tuple[int, int]:
    """The usual ports when both are free, else any: a kept demo must find its exchange where it was."""
    if is_port_free(WS_PORT) and is_port_free(REST_PORT):
        return WS_PORT, REST_PORT
    return free_port(), free_port()
