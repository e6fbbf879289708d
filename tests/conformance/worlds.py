"""A market that a venue's own speaker tells, and a collector of that venue before it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from msgspec import structs

from data_collector.model.keys import Channel, Key
from data_collector.model.records import Kline
from data_collector.model.venue import Venue
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.discovery import find_speaker, venue_names
from tests.integration.exactness import TradeForm, expected_kline, iso
from tests.integration.exactness import assert_trades_exact as trades_exact
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store, parsed
from tests.integration.waiting import until_async

NAMES = venue_names()

ENDS_MS = 1_780_272_000_000
"""2026-06-01 00:00 UTC, a Monday: candles of every interval but `3d` end then."""

MINUTE_MS = 60_000

DECIMALS = frozenset({
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
})  # fmt: skip


def symbols_of(venue: Venue) -> tuple[str, ...]:
    """Two markets are enough."""
    return venue.default_symbols[:2]


def market_of(venue: Venue, **changes: object) -> Simulator:
    """One that stands still, three minutes before a month ends. All of its past is on the tape."""
    speaker = find_speaker(venue.name)
    listed = tuple(speaker.market_symbol(symbol) for symbol in symbols_of(venue))
    plain = SimulatorSettings(driven=True, start_ms=ENDS_MS - 3 * MINUTE_MS, symbols=listed, history_trades=2_000)
    return Simulator(structs.replace(plain, **changes), [speaker])


def collecting(
    venue: Venue, store: Store, folder: Path, simulator: Simulator, *, intervals: Sequence[str] = ("1m", "5m"),
) -> AbstractAsyncContextManager[Scene]:  # fmt: skip
    """The market is started and stopped with it."""
    return playing(
        store, folder, exchange=venue, symbols=symbols_of(venue), simulator=simulator, intervals=intervals
    )  # fmt: skip


def stream(venue: Venue, channel: Channel, symbol: str, interval: str | None = None) -> str:
    """Its name on the wire, for faults."""
    return venue.codec.stream_name(Key(channel, symbol, interval))


def assert_trades_exact(scene: Scene) -> None:
    """Each is stored once, in order, with the market's digits, and none is missing."""
    for symbol in scene.symbols:
        first = scene.store.records(f"trades:{symbol}")[0]
        form = TradeForm(microseconds=len(str(first["timestamp"])) == len(iso(0, digits="microseconds")))
        assert trades_exact(scene.store, symbol, scene.simulator.tape(symbol), form) == []


def closed_klines(scene: Scene, symbol: str, interval: str) -> list[tuple[int, dict[str, object], str]]:
    """What is stored of them, in the order of the store: open time, record and source."""
    records = [
        (parsed(entry["fields"]["data"]), entry["fields"].get("src", "ws"))
        for entry in scene.store.entries(f"stream:{symbol}")
    ]
    return [
        (int(datetime.fromisoformat(str(record["timestamp"])).timestamp() * 1000), record, source)
        for record, source in records
        if record["is_closed"] and record["interval"] == interval
    ]


async def klines_settled(scene: Scene, venue: Venue, intervals: Sequence[str] = ("1m", "5m")) -> None:
    """Let the present candle of a minute end, and wait until all are stored that have ended."""
    await scene.klines_closed()
    for symbol in scene.symbols:
        for interval in intervals:
            await until_async(
                lambda: not _left_out(scene, venue, symbol, interval),  # noqa: B023 - it is awaited here
                f"all klines of {symbol} {interval}",
            )


def _left_out(scene: Scene, venue: Venue, symbol: str, interval: str) -> list[int]:
    opened = [open_ms for open_ms, _, _ in closed_klines(scene, symbol, interval)]
    return [after for before, after in pairwise(opened) if after != venue.calendar.next_open_ms(interval, before)]


def assert_klines_exact(scene: Scene, venue: Venue, intervals: Sequence[str] = ("1m", "5m")) -> None:
    """Every closed kline stands once, none is left out, and what it tells is what the market says.

    One from REST (`src=rest`) may tell less, and no other; one without trades stands as such.
    """
    for symbol in scene.symbols:
        for interval in intervals:
            truth = {kline.open_ms: kline for kline in scene.simulator.closed_klines(symbol, interval)}
            stored = closed_klines(scene, symbol, interval)
            assert stored, f"no closed kline of {symbol} {interval} is stored"
            assert _left_out(scene, venue, symbol, interval) == []
            for open_ms, record, source in stored:
                _assert_kline(record, truth.get(open_ms), source)
        assert scene.store.gaps(symbol, "kline") == []


def _assert_kline(record: dict[str, object], truth: Kline | None, source: str) -> None:
    if truth is None:
        assert record["trades"] == 0
        assert record["open"] == record["high"] == record["low"] == record["close"]
        return
    for name, expected in expected_kline(truth).items():
        told = record[name]
        if told is None:
            assert source == "rest", f"{name} of {record} is not told"
        elif name in DECIMALS:
            assert Decimal(str(told)) == Decimal(str(expected)), f"{name} of {record}"
        else:
            assert told == expected, f"{name} of {record}"
