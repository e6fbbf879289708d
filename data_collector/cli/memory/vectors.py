"""`data-collector memory --vectors`: shapes of windows in PostgreSQL, from history and then as candles close."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from types import FrameType

import msgspec
import typer

from data_collector.cli.memory.reading import folder_of, found_dsn, named_ends, opened_client, progress_of
from data_collector.client.adapters.memory import Memory
from data_collector.client.adapters.pgvector import PgVectorStore
from data_collector.client.errors import DatabaseAway
from data_collector.client.live import Live
from data_collector.settings import Settings

INTERRUPTED = 130


def keep_vectors(settings: Settings, symbols: Sequence[str], interval: str, window: int, table: str) -> None:
    """Until Ctrl-C or SIGTERM, which lose nothing. Raises `Misconfigured` and `Unavailable`."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with named_ends():
            _keep(settings, symbols, interval, window, table)
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on from here.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _keep(settings: Settings, symbols: Sequence[str], interval: str, window: int, table: str) -> None:
    dsn = found_dsn(settings)
    with ExitStack() as stack:
        client = stack.enter_context(opened_client(settings, dsn))
        store = stack.enter_context(PgVectorStore(dsn, table))
        folder = folder_of(settings)
        memories = [
            stack.enter_context(Memory(folder, symbol, interval, window, exchange=settings.exchange))
            for symbol in symbols
        ]
        for memory in memories:
            memory.fill(client, tell=progress_of(memory, "candles"))
        written = store.sync(*memories, tell=lambda memory, reached: progress_of(memory, "shapes")(reached))
        typer.echo(f"{written:,} shapes written.")
        series = [f"{symbol}:{interval}" for symbol in symbols]
        typer.echo(f"Following {', '.join(series)}; Ctrl-C ends it.")
        _follow(client.live(*series, position=_position(memories), revisions=True), memories, store)


def _follow(live: Live, memories: Sequence[Memory], store: PgVectorStore) -> None:
    for batch in live.batches():
        for memory in memories:
            corrected = len(memory.corrections)
            if memory.take(batch.items) or len(memory.corrections) > corrected:
                try:
                    written = store.sync(memory)
                    newest = "" if memory.last is None else f", up to the candle of {memory.last.isoformat()}"
                    print(f"{memory.key.label}: {written:,} shapes written{newest}", flush=True)
                except DatabaseAway as error:
                    typer.echo(f"{error} What it lacks is written with the next candle.", err=True)


def _position(memories: Iterable[Memory]) -> str | None:
    """Behind the newest candles of all; None where there are none."""
    places: dict[str, msgspec.Raw] = {}
    for memory in memories:
        if memory.position is not None:
            places |= msgspec.json.decode(memory.position, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(places).decode() if places else None


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
