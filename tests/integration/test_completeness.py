"""The counts behind /completeness, on a store that a real collector filled from a real exchange through faults."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from data_collector.api.completeness import former_entries
from data_collector.api.completeness.completeness import SeriesCount, kline_counts, trade_counts
from data_collector.api.completeness.former_entries import FormerEntries
from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.store_url import parse_store_url
from data_collector.simulator.control.actions import Reset
from data_collector.sinks.redis.connection import Command, StoreConnection
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async


async def counted(scene: Scene) -> tuple[dict[str, SeriesCount], dict[str, SeriesCount]]:
    """Trades by symbol, and klines of the first symbol by interval."""
    connection = await StoreConnection.connect(parse_store_url(scene.store.url))
    try:
        trades = await trade_counts(connection, StoreKeys(), list(scene.symbols), FormerEntries(), {})
        klines = await kline_counts(connection, StoreKeys(), scene.symbols[0], UtcCalendar(), {})
    finally:
        connection.close()
    return trades, klines


async def test_store_is_proven_complete_through_a_lost_connection(store: Store, folder: Path) -> None:
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade(60_000)
        attempts = scene.attempts()
        await scene.simulator.perform(Reset())
        await until_async(lambda: scene.status.connections[0].reconnects > 0, "the loss of the connection")
        scene.simulator.advance(20_000)
        await scene.subscribed(after_attempts=attempts)
        await scene.trade(120_000)
        await scene.klines_closed()

        holes = scene.assert_trades_exact()
        trades, klines = await counted(scene)

    for symbol, count in trades.items():
        newest = scene.simulator.tape(symbol)[-1].trade_id
        assert (count.is_proven, count.unexplained, count.last) == (True, 0, newest), count.explanation("trade")
        assert sum(count.declared.values()) == sum(last - first + 1 for first, last, _ in holes[symbol])
    assert klines["1m"].held > 1
    assert all(count.is_proven for count in klines.values()), klines


class CountedConnection(StoreConnection):
    """Knows how many entries it has read."""

    entries = 0

    def between(self) -> None:
        """What happens after each answer."""

    async def execute(self, commands: Sequence[Command], *, timeout_s: float = 10.0) -> list[object]:
        replies = await super().execute(commands, timeout_s=timeout_s)
        for command, reply in zip(commands, replies, strict=True):
            if command[0] == "XRANGE" and isinstance(reply, list):
                self.entries += len(reply)
        self.between()
        return replies


@pytest.fixture
async def connection(store: Store) -> AsyncIterator[CountedConnection]:
    made = await CountedConnection.connect(parse_store_url(store.url))
    assert isinstance(made, CountedConnection)
    yield made
    made.close()


class Lives:
    """Trades of one symbol after another in the store, whose ids begin anew now and then."""

    symbol = "BTCUSDT"
    key = f"trades:{symbol}"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ms = 1000
        self._id = -1
        self._epoch = 0

    def trade(self, count: int) -> None:
        for _ in range(count):
            self._id += 1
            self._ms += 1
            epoch = ("epoch", str(self._epoch)) if self._epoch else ()
            self._store.ask("XADD", self.key, f"{self._ms}-{self._id}", "data", f'{{"trade_id":{self._id},', *epoch)

    def skip(self, count: int) -> None:
        """Ids that are declared."""
        gap = {
            "symbol": self.symbol, "channel": "trade", "interval": None, "first": self._id + 1,
            "last": self._id + count, "count": count, "reason": "absent",
        }  # fmt: skip
        epoch = ("epoch", str(self._epoch)) if self._epoch else ()
        self._store.ask("XADD", f"gaps:{self.symbol}", "*", "data", json.dumps(gap), *epoch)
        self._id += count

    def begin_anew(self) -> None:
        self._epoch += 1
        self._id = -1
        self.trade(1)

    def counted_in_full(self) -> tuple[int, int, int, int] | None:
        """First, last, held, epoch of the newest life: every entry of the stream read."""
        entries = self._store.entries(self.key)
        if not entries:
            return None
        places = [(int(each["fields"].get("epoch", 0)), int(each["id"].partition("-")[2])) for each in entries]
        newest = places[-1][0]
        begin = next(place for place, (epoch, _) in enumerate(places) if epoch >= newest)
        return places[begin][1], self._id, len(places) - begin, newest


async def counted_life(connection: StoreConnection, former: FormerEntries) -> tuple[int, int, int, int] | None:
    """As `Lives.counted_in_full`."""
    count = (await trade_counts(connection, StoreKeys(), [Lives.symbol], former, {}))[Lives.symbol]
    if count.first is None or count.last is None:
        return None
    return count.first, count.last, count.held, count.epoch


@pytest.mark.parametrize("seed", range(12))
async def test_counts_are_those_of_reading_every_entry(
    store: Store, connection: CountedConnection, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Lives of any length, trimmed, with entries deleted, and the stream as a whole too."""
    monkeypatch.setattr(former_entries, "PAGE_ENTRIES", 7)
    monkeypatch.setattr(former_entries, "MARK_ENTRIES", 3)
    chance, lives, former = random.Random(seed), Lives(store), FormerEntries()
    lives.trade(20)
    for _ in range(40):
        match chance.choice(("trade", "trade", "skip", "anew", "trim", "trim", "delete", "lose")):
            case "trade":
                lives.trade(chance.randint(1, 15))
            case "skip":
                lives.skip(chance.randint(1, 5))
                lives.trade(1)
            case "anew":
                lives.begin_anew()
            case "trim":
                store.ask("XTRIM", lives.key, "MAXLEN", max(1, store.length(lives.key) - chance.randint(1, 12)))
            case "delete":
                store.ask("XDEL", lives.key, chance.choice(store.entries(lives.key))["id"])
            case "lose" if chance.random() < 0.2:
                store.ask("DEL", lives.key)
        if store.length(lives.key) < 2:
            lives.trade(2)

        assert await counted_life(connection, former) == lives.counted_in_full()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(former_entries, "PAGE_ENTRIES", 100)
    monkeypatch.setattr(former_entries, "MARK_ENTRIES", 20)


@pytest.mark.usefixtures("small_pages")
async def test_entries_of_a_former_life_are_read_once(store: Store, connection: CountedConnection) -> None:
    """600 trades of a life, then one that goes on while the store trims; the first reader gives up after 300."""
    lives, former = Lives(store), FormerEntries()
    lives.trade(600)
    lives.begin_anew()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "between", lambda: give_up(connection))
        with pytest.raises(SinkUnavailable, match="no more"):
            await counted_life(connection, former)
    given_up, read = connection.entries, list[int]()
    for trimmed in (0, 0, 30, 30, 5, 0):
        lives.trade(50)
        store.ask("XTRIM", lives.key, "MAXLEN", store.length(lives.key) - trimmed)
        before = connection.entries

        assert await counted_life(connection, former) == lives.counted_in_full()
        read.append(connection.entries - before)

    assert given_up == 300
    # The last page was not counted.
    assert 600 < 200 + read[0] < 700
    assert (read[1], read[-1]) == (0, 0)
    assert max(read[2:]) <= 20


def give_up(connection: CountedConnection) -> None:
    if connection.entries >= 300:
        raise SinkUnavailable("no more")


async def test_store_that_lost_the_end_of_a_life_is_counted_again(
    store: Store, connection: CountedConnection
) -> None:  # fmt: skip
    """A fail-over threw away five trades and the life after them, which began again behind the rest."""
    former = FormerEntries()
    for trades, after in ((25, 9), (20, 3)):
        lives = Lives(store)
        store.ask("DEL", lives.key)
        lives.trade(trades)
        lives.begin_anew()
        lives.trade(after)

        assert await counted_life(connection, former) == (0, after, after + 1, 1)


@pytest.mark.usefixtures("small_pages")
async def test_former_life_that_is_trimmed_while_it_is_counted_does_not_change_the_count(
    store: Store, connection: CountedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 of 600 trades go after each answer of the store, until the former life is gone."""
    lives, former = Lives(store), FormerEntries()
    lives.trade(600)
    lives.begin_anew()
    lives.trade(99)
    trim = ("XTRIM", lives.key, "MAXLEN")
    monkeypatch.setattr(connection, "between", lambda: store.ask(*trim, max(100, store.length(lives.key) - 4)))
    while store.length(lives.key) > 100:
        assert await counted_life(connection, former) == (0, 99, 100, 1)
    assert await counted_life(connection, former) == (0, 99, 100, 1)
