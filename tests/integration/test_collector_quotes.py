"""Best bid and offer from the exchange's streams to the store, with everything that is collected beside it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec import structs

from data_collector.facade import DataCollector
from data_collector.model.errors import Misconfigured, Transient
from data_collector.model.keys import Channel
from data_collector.model.records import Record
from tests.integration.scene import DRIVEN, SYMBOLS, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

WITH_QUOTES = "kline,trade,ticker,quote"

OTHER_KINDS = ("trades", "stream", "latest", "kline", "quarantine", "gaps", "late", "collector")

NEW = "SOLUSDT"


class ExtraQuotes(DataCollector):
    """Looks at quotes, and stores none."""

    extra_channels: ClassVar[tuple[Channel, ...]] = ("quote",)

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.seen: set[str] = set()

    async def on_record(self, record: Record) -> None:
        """Remember whose quotes came."""
        self.seen.add(record.symbol)


def newest(scene: Scene, symbol: str) -> dict[str, str]:
    """The hash, as the market would have it; the exchange tells no time."""
    market = scene.simulator.market.symbol(symbol)
    assert market is not None
    best = market.book().quote()
    return {
        "update_id": str(best.update_id), "bid": best.bid, "bid_quantity": best.bid_quantity, "ask": best.ask,
        "ask_quantity": best.ask_quantity,
    }  # fmt: skip


async def stored(scene: Scene) -> None:
    """The newest quote of each symbol is in the store, digits and all."""
    best = {symbol: newest(scene, symbol).items() for symbol in SYMBOLS}
    await until_async(
        lambda: all(scene.store.hash(f"quote:{symbol}").items() >= fields for symbol, fields in best.items()), f"{best}"
    )


async def test_newest_quote_is_in_the_hash_and_all_that_were_written_grow(store: Store, folder: Path) -> None:
    async with playing(store, folder, channels=WITH_QUOTES) as scene:
        await scene.subscribed()
        for _ in range(3):
            await scene.trade()
            await stored(scene)

        for symbol in SYMBOLS:
            records = store.records(f"quotes:{symbol}")
            ids = [record["update_id"] for record in records]
            assert ids == sorted(set(map(int, map(str, ids))))
            assert all(Decimal(str(record["bid"])) < Decimal(str(record["ask"])) for record in records)
        assert scene.counted("records_stored_total", channel="quote") >= len(SYMBOLS)
        assert scene.status.channels == ["kline", "trade", "ticker", "quote"]
        scene.assert_trades_exact()
        scene.assert_counts_add_up()


async def test_quotes_come_and_go_while_others_are_collected(store: Store, folder: Path) -> None:
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        assert store.length("quotes:BTCUSDT") == 0

        changed = await scene.collector.change_subscriptions(channels=WITH_QUOTES.split(","))
        await scene.trade()
        await stored(scene)

        assert changed.added == ["btcusdt@bookTicker", "ethusdt@bookTicker"]
        await scene.collector.change_subscriptions(channels=["kline", "trade", "ticker"])
        length = store.length("quotes:BTCUSDT")
        await scene.trade()
        assert store.length("quotes:BTCUSDT") == length
        scene.assert_trades_exact()
        scene.assert_counts_add_up()


async def test_quotes_that_the_store_forbids_are_refused_and_trades_go_on(store: Store, folder: Path) -> None:
    async with playing(store, folder) as scene:
        await scene.subscribed()
        store.ask("ACL", "SETUSER", "default", "resetkeys", *(f"~{kind}:*" for kind in OTHER_KINDS))
        try:
            with pytest.raises(Transient, match=r"lacks rights: .*HSET quote:\*"):
                await scene.collector.change_subscriptions(channels=WITH_QUOTES.split(","))
            await scene.trade()
        finally:
            store.ask("ACL", "SETUSER", "default", "allkeys")

        assert scene.status.channels == ["kline", "trade", "ticker"]
        await scene.collector.change_subscriptions(channels=WITH_QUOTES.split(","))
        await scene.trade()
        await stored(scene)
        scene.assert_trades_exact()


async def test_second_start_goes_on_with_newer_quotes(store: Store, folder: Path) -> None:
    async with playing(store, folder, channels=WITH_QUOTES) as scene:
        await scene.subscribed()
        await scene.trade()
        await stored(scene)
        async with playing(store, folder / "second", beside=scene, channels=WITH_QUOTES) as second:
            await second.subscribed(after_attempts=1)
            await second.trade()
            await stored(second)

        ids = [int(str(record["update_id"])) for record in store.records("quotes:BTCUSDT")]
        assert ids == sorted(set(ids))


async def test_quotes_for_a_subclass_are_not_stored_and_nobody_waits_for_them(store: Store, folder: Path) -> None:
    market = structs.replace(DRIVEN, symbols=(*SYMBOLS, NEW))
    async with playing(store, folder, market, kind=ExtraQuotes) as scene:
        await scene.subscribed()
        await scene.trade()
        await until_async(lambda: scene.status.ready, "readiness")
        scene.symbols = [*SYMBOLS, NEW]

        await scene.collector.change_subscriptions(symbols=scene.symbols)
        await scene.trade()

        await until_async(lambda: scene.status.ready, "readiness with a new symbol")
        assert isinstance(scene.collector, ExtraQuotes)
        assert scene.collector.seen == set(scene.symbols)
        assert [store.length(f"quotes:{symbol}") for symbol in scene.symbols] == [0, 0, 0]
        with pytest.raises(Misconfigured, match="quote is one of extra_channels"):
            await scene.collector.change_subscriptions(channels=WITH_QUOTES.split(","))
        scene.assert_counts_add_up()
