"""The counts behind /completeness, on a store that a real collector filled from a real exchange through faults."""

from __future__ import annotations

from pathlib import Path

from data_collector.api.completeness.completeness import SeriesCount, kline_counts, trade_counts
from data_collector.model.calendar import UtcCalendar
from data_collector.model.keys import StoreKeys
from data_collector.model.store_url import parse_store_url
from data_collector.simulator.control.actions import Reset
from data_collector.sinks.redis.connection import StoreConnection
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async


async def counted(scene: Scene) -> tuple[dict[str, SeriesCount], dict[str, SeriesCount]]:
    """Trades by symbol, and klines of the first symbol by interval."""
    connection = await StoreConnection.connect(parse_store_url(scene.store.url))
    try:
        trades = await trade_counts(connection, StoreKeys(), list(scene.symbols))
        klines = await kline_counts(connection, StoreKeys(), scene.symbols[0], UtcCalendar())
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
