"""`data-collector simulate`: the simulated exchange as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer
import uvloop

from data_collector.cli.surroundings.beside import (
    ParentOption,
    ParentPidOption,
    PortFileOption,
    end_with_parent,
    write_ports,
)
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.venue import Addresses
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.simulator.listing import KNOWN, synthetic_symbols
from data_collector.simulator.settings import ErrorShape
from data_collector.simulator.speaker import Speaker
from data_collector.venues.discovery import find_speaker

ExchangesOption = Annotated[
    list[str] | None,
    typer.Option("--exchange", help="Whose protocol it speaks; given again: another's too, over the same market."),
]
SymbolsOption = Annotated[
    str, typer.Option(help="Comma-separated names; unknown ones are made up. Default: 18 well-known pairs.")
]
SyntheticOption = Annotated[int, typer.Option(min=0, help="List so many made-up symbols more: SIM0001USDT, …")]
SeedOption = Annotated[int, typer.Option(help="Same seed, start and settings: the same market, trade for trade.")]
RateOption = Annotated[float, typer.Option(min=0, help="Mean per symbol and second of market time.")]
PremiumOption = Annotated[
    float,
    typer.Option(min=0, help="Basis points by which prices of exchanges differ (standard deviation)."),
]
DelayOption = Annotated[int, typer.Option(min=0, help="The last exchange tells all so much later (ms), others a part.")]
SpeedOption = Annotated[float, typer.Option(min=0.001, help="Seconds of market time that pass in a second.")]
StartOption = Annotated[int | None, typer.Option(help="Market time at start, ms UTC. Default: now.")]
HistoryOption = Annotated[
    int | None,
    typer.Option(min=0, help="About how many trades a symbol has from before the start. Default: as after it."),
]
DaysOption = Annotated[int, typer.Option(min=1, max=3650, help="How many days before the start they were listed.")]
KeptOption = Annotated[
    int | None,
    typer.Option(min=2000, help="How many of its newest trades a symbol keeps; REST has no older ones. Default: all."),
]
RecordingOption = Annotated[
    Path | None,
    typer.Option(
        "--recording", help="Play what RECORD has kept in this folder, in place of a market; --speed sets the pace."
    ),
]
HostOption = Annotated[str, typer.Option(help="Address to listen on.")]
StreamPortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port of the streams; 0 takes a free one.")]
RestPortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port of REST; 0 takes a free one.")]
CertificateOption = Annotated[Path | None, typer.Option(help="Certificate chain (PEM): both ports then speak TLS.")]
KeyOption = Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")]
LimitsOption = Annotated[bool, typer.Option(help="Refuse and cut clients that ask too much, as the exchange does.")]
PingOption = Annotated[float, typer.Option(min=0.01, help="Seconds between pings.")]
PongOption = Annotated[float, typer.Option(min=0.01, help="A connection ends when its pong is later than this (s).")]
AgeOption = Annotated[float, typer.Option(min=0.1, help="A connection is closed when it is this old (s).")]
OrderIdsOption = Annotated[bool, typer.Option(help="Tell the order ids of trades, where the exchange did so once.")]
EarlyOption = Annotated[int, typer.Option(min=0, help="Tell every so many-th trade with an earlier time; 0: none.")]
EmptyOption = Annotated[bool, typer.Option(help="Send closing frames of candles without trades too.")]
ErrorShapeOption = Annotated[ErrorShape, typer.Option(help="nested as on the wire, or flat as in the documents.")]


def simulate(
    *,
    exchange: ExchangesOption = None,
    recording: RecordingOption = None,
    symbols: SymbolsOption = "",
    synthetic: SyntheticOption = 0,
    seed: SeedOption = 1,
    trades_per_s: RateOption = 5.0,
    premium_bps: PremiumOption = 0.0,
    delay_ms: DelayOption = 0,
    speed: SpeedOption = 1.0,
    start_ms: StartOption = None,
    history_trades: HistoryOption = None,
    history_days: DaysOption = 30,
    kept_trades: KeptOption = None,
    host: HostOption = "127.0.0.1",
    ws_port: StreamPortOption = 19443,
    rest_port: RestPortOption = 19080,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    limits: LimitsOption = True,
    ping_interval_s: PingOption = 20.0,
    pong_timeout_s: PongOption = 60.0,
    max_age_s: AgeOption = 86_400.0,
    order_ids: OrderIdsOption = False,
    early_every: EarlyOption = 0,
    close_empty_klines: EmptyOption = False,
    error_shape: ErrorShapeOption = "nested",
    port_file: PortFileOption = None,
    exit_with_parent: ParentOption = False,
    parent: ParentPidOption = 0,
) -> None:
    """Run a simulated exchange that speaks the protocol of a real one, streams and REST, from one seeded market.

    It needs no network. Point the collector at it with the lines that it prints. The ports are those of the first
    exchange, others take free ones. Faults on request: docs/simulator.md.
    """
    speakers = [] if recording else [find_speaker(name) for name in dict.fromkeys(exchange or [FIRST_EXCHANGE])]
    settings = SimulatorSettings(
        seed=seed, symbols=_symbols(symbols, synthetic, speakers), trades_per_s=trades_per_s, speed=speed,
        premium_bps=premium_bps, delay_ms=delay_ms, start_ms=start_ms, history_trades=history_trades,
        history_ms=history_days * DAY_MS, tape_trades_max=kept_trades, host=host, ws_port=ws_port, rest_port=rest_port,
        tls=_tls(tls_cert, tls_key), enforce_limits=limits, ping_interval_s=ping_interval_s,
        pong_timeout_s=pong_timeout_s, max_age_s=max_age_s, order_ids=order_ids, early_every=early_every,
        close_empty_klines=close_empty_klines, error_shape=error_shape,
    )  # fmt: skip
    if exit_with_parent:
        end_with_parent(parent)
    uvloop.run(_run(settings, speakers, recording, exchange, port_file))


async def _run(
    settings: SimulatorSettings, speakers: Sequence[Speaker], recording: Path | None, exchanges: Sequence[str] | None,
    port_file: Path | None,
) -> None:  # fmt: skip
    if recording is None:
        await _serve(Simulator(settings, speakers), _tell, port_file=port_file)
        return
    # What unpacks takes a tenth of a second to import.
    from data_collector.cli.simulate.playback import playback_of, tell_end, tell_recording  # noqa: PLC0415

    await _serve(playback_of(recording, settings, exchanges), tell_recording, tell_end, port_file=port_file)


def _symbols(names: str, synthetic: int, speakers: Sequence[Speaker]) -> tuple[str, ...]:
    named = [name.strip().upper() for name in names.split(",") if name.strip()]
    for speaker in speakers:
        named = [speaker.market_symbol(name) for name in named]
    if not named and not synthetic:
        return tuple(KNOWN)
    return (*named, *synthetic_symbols(synthetic))


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise Misconfigured("TLS needs both --tls-cert and --tls-key.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        message = (
            f"The certificate {certificate} and key {key} cannot be used ({error}); give two PEM files that belong"
        )
        raise Misconfigured(f"{message} together.") from error
    return context


class Served(Protocol):
    """What listens: a market, or a recording."""

    @property
    def ws_url(self) -> str:
        """Base URL of the first exchange's stream side."""

    @property
    def rest_url(self) -> str:
        """Base URL of the first exchange's REST side."""

    @property
    def addresses(self) -> Mapping[str, Addresses]:
        """Base URLs of each exchange, by its name."""

    async def start(self) -> None:
        """Listen. Raises `OSError` when a port is taken."""

    async def wait(self) -> None:
        """Return when there is nothing more to come. Raises what went wrong."""

    async def stop(self) -> None:
        """Close all ports."""


Listening = TypeVar("Listening", bound=Served)


async def _serve(
    served: Listening, tell: Callable[[Listening], None], tell_end: Callable[[Listening], None] | None = None,
    *, port_file: Path | None,
) -> None:  # fmt: skip
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        await served.start()
    except OSError as error:
        cure = "choose other ports with --ws-port and --rest-port; 0 takes a free one"
        raise Misconfigured(f"The simulator cannot listen ({error}); {cure}.") from error
    try:
        tell(served)
        if port_file is not None:
            await asyncio.to_thread(write_ports, port_file, _addresses(served))
        async with asyncio.TaskGroup() as tasks:
            # A market that breaks ends the group with its traceback.
            market = tasks.create_task(_wait(served, tell_end))
            await stopping.wait()
            market.cancel()
    finally:
        await served.stop()


async def _wait(served: Listening, tell_end: Callable[[Listening], None] | None) -> None:
    await served.wait()
    if tell_end is not None:
        tell_end(served)


def _addresses(served: Served) -> dict[str, str]:
    """Those of the first exchange, and those of each by its name."""
    found = {"ws_url": served.ws_url, "rest_url": served.rest_url}
    for name, addresses in served.addresses.items():
        found |= {f"{name}_ws_url": addresses.ws_url, f"{name}_rest_url": addresses.rest_url}
    return found


def _tell(simulator: Simulator) -> None:
    settings = simulator.settings
    count = len(settings.symbols)
    symbols = "1 symbol" if count == 1 else f"{count} symbols"
    print(f"A simulated exchange with {symbols} (seed {settings.seed}) is listening.")
    print("Point the collector at it with:")
    for name, addresses in simulator.addresses.items():
        if name != FIRST_EXCHANGE:
            print(f"  export EXCHANGES={name}")
        print(f"  export {name.upper()}_WS_URL={addresses.ws_url}")
        print(f"  export {name.upper()}_REST_URL={addresses.rest_url}")
    print(f"Its counters: {simulator.rest_url}/simulator/state  Faults: docs/simulator.md  End: Ctrl-C", flush=True)
