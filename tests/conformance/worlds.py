"""A market that a venue's own speaker tells, and a collector of that venue before it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from msgspec import structs

from data_collector.model.keys import Channel, Key
from data_collector.model.records import Kline, Trade
from data_collector.model.venue import Venue
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.discovery import find_speaker, venue_names
from tests.integration.exactness import EPOCH, TradeForm, expected_kline, iso
from tests.integration.exactness import assert_trades_exact as trades_exact
from tests.integration.scene import CLOSING_MS, Scene, playing
from tests.integration.store_reader import Store, parsed
from tests.integration.waiting import until_async

NAMES = venue_names()

ENDS_MS = 1_780_272_000_000
"""2026-06-01 00:00 UTC, a Monday: candles of every interval but `3d` end then."""

MINUTE_MS = 60_000

FLOAT_US = 2
"""How far a time that was a float may be from what it was."""

DECIMALS = frozenset({
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
})  # fmt: skip


def symbol_at(venue: Venue, market: str) -> str:
    """What the exchange calls a market; with a sign between where its own symbols have one."""
    sign = "".join(letter for letter in venue.default_symbols[0] if not letter.isalnum())
    parted = f"{market[:-4]}{sign}{market[-4:]}"
    assert find_speaker(venue.name).market_symbol(parted) == market
    return parted


def symbols_of(venue: Venue) -> tuple[str, ...]:
    """Two markets are enough."""
    return venue.default_symbols[:2]


def market_of(venue: Venue, **changes: object) -> Simulator:
    """One that stands still, three minutes before a month ends. All of its past is on the tape."""
    speaker = find_speaker(venue.name)
    listed = tuple(speaker.market_symbol(symbol) for symbol in symbols_of(venue))
    plain = SimulatorSettings(
        driven=True, start_ms=ENDS_MS - 3 * MINUTE_MS, symbols=listed, history_trades=2_000, enforce_limits=False
    )
    return Simulator(structs.replace(plain, **changes), [speaker])


def collecting(
    venue: Venue, store: Store, folder: Path, simulator: Simulator, *, intervals: Sequence[str] = ("1m", "5m"),
    channels: str | None = None,
) -> AbstractAsyncContextManager[Scene]:  # fmt: skip
    """The market is started and stopped with it. Where nothing is said, all but quotes are collected."""
    wanted = ",".join(one for one in venue.channels if one != "quote") if channels is None else channels
    return playing(
        store, folder, exchange=venue, symbols=symbols_of(venue), simulator=simulator, intervals=intervals,
        channels=wanted,
    )  # fmt: skip


def stream(venue: Venue, channel: Channel, symbol: str, interval: str | None = None) -> str:
    """Its name on the wire, for faults."""
    return venue.codec.stream_name(Key(channel, symbol, interval))


class Collected(Protocol):
    """A market, and where it was stored."""

    simulator: Simulator
    store: Store
    symbols: Sequence[str]


def assert_trades_exact(scene: Collected) -> None:
    """Each is stored once, in order, with the market's numbers, and none is missing.

    Exchanges write zeros after the last digit or do not, and streams otherwise than REST.
    """
    for symbol in scene.symbols:
        records = {record["trade_id"]: record for record in scene.store.records(f"trades:{symbol}")}
        tape = [
            trade if (record := records.get(trade.trade_id)) is None else _written_as(trade, record)
            for trade in scene.simulator.tape(symbol)
        ]
        first = next(iter(records.values()))
        form = TradeForm(microseconds=len(str(first["timestamp"])) == len(iso(0, digits="microseconds")))
        assert trades_exact(scene.store, symbol, tape, form) == []


def _written_as(trade: Trade, record: dict[str, object]) -> Trade:
    """The market's trade as the exchange may have told it: the times of some REST sides are floats."""
    price, quantity = (str(record[name]) for name in ("price", "quantity"))
    assert (Decimal(price), Decimal(quantity)) == (Decimal(trade.price), Decimal(trade.quantity))
    if trade.sub_ms_us is None or len(str(record["timestamp"])) == len(iso(0)):
        return structs.replace(trade, price=price, quantity=quantity)
    told_us = (datetime.fromisoformat(str(record["timestamp"])) - EPOCH) // timedelta(microseconds=1)
    assert abs(told_us - trade.time_ms * 1000 - trade.sub_ms_us) <= FLOAT_US
    return structs.replace(trade, price=price, quantity=quantity, time_ms=told_us // 1000, sub_ms_us=told_us % 1000)


def closed_klines(scene: Collected, symbol: str, interval: str) -> list[tuple[int, dict[str, object], str]]:
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
    await klines_stored(scene, venue, intervals)


async def klines_stored(scene: Collected, venue: Venue, intervals: Sequence[str] = ("1m", "5m")) -> None:
    """Wait until all are stored that have ended, from the first one on."""
    for symbol in scene.symbols:
        for interval in intervals:
            await until_async(
                partial(_is_settled, scene, venue, symbol, interval), f"all klines of {symbol} {interval}"
            )


def _is_settled(scene: Collected, venue: Venue, symbol: str, interval: str) -> bool:
    now_ms = scene.simulator.market.now_ms
    ended = [one for one in scene.simulator.closed_klines(symbol, interval) if one.close_ms + CLOSING_MS <= now_ms]
    opened = [open_ms for open_ms, _, _ in closed_klines(scene, symbol, interval)]
    return ended[-1].open_ms in opened and not _left_out(scene, venue, symbol, interval)


def _left_out(scene: Collected, venue: Venue, symbol: str, interval: str) -> list[int]:
    opened = [open_ms for open_ms, _, _ in closed_klines(scene, symbol, interval)]
    return [after for before, after in pairwise(opened) if after != venue.calendar.next_open_ms(interval, before)]


def assert_klines_exact(scene: Collected, venue: Venue, intervals: Sequence[str] = ("1m", "5m")) -> None:
    """Every closed kline stands once, none is left out, and what it tells is what the market says.

    One from REST (`src=rest`) may tell less, and no other; one without trades stands as such.
    """
    for symbol in scene.symbols:
        for interval in intervals:
            truth = {kline.open_ms: kline for kline in scene.simulator.closed_klines(symbol, interval)}
            tape = scene.simulator.tape(symbol)
            stored = closed_klines(scene, symbol, interval)
            assert stored, f"no closed kline of {symbol} {interval} is stored"
            assert _left_out(scene, venue, symbol, interval) == []
            for open_ms, record, source in stored:
                kline = truth.get(open_ms)
                if kline is not None and source == "built":
                    kline = _untruncated(kline, tape)
                _assert_kline(record, kline, source)
        assert scene.store.gaps(symbol, "kline") == []


def _untruncated(kline: Kline, tape: Sequence[Trade]) -> Kline:
    """An exchange cuts the quote amount of each trade to eight decimals; what is built from the trades does not."""
    start = kline.first_trade_id - tape[0].trade_id
    trades = tape[start : start + kline.last_trade_id - kline.first_trade_id + 1]
    amounts = [(Decimal(trade.price) * Decimal(trade.quantity), trade.is_buyer_maker) for trade in trades]
    return structs.replace(
        kline,
        quote_volume=str(sum(amount for amount, _ in amounts)),
        taker_buy_quote_volume=str(sum(amount for amount, sold in amounts if not sold)),
    )


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
