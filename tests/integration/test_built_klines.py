"""An exchange that closes no kline: those that are made of its trades are the market's own."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.pipeline.repair import kline_building, kline_repair
from data_collector.pipeline.sequence import built_klines
from data_collector.simulator import FrameFault
from data_collector.simulator.control.actions import Reset
from data_collector.simulator.control.faults import RestFault
from data_collector.venues.binance.venue import VENUE
from tests.integration.exactness import assert_all_of, assert_updates_in_order, closed, expected_kline, iso
from tests.integration.processes import CollectorProcess, Exchange, collecting
from tests.integration.scene import DRIVEN, SYMBOLS, Scene, playing
from tests.integration.store_reader import Store, parsed
from tests.integration.waiting import until, until_async

pytestmark = pytest.mark.usefixtures("short_grace")

BUILT = structs.replace(VENUE, klines="built")
SYMBOL = "BTCUSDT"


@pytest.fixture(autouse=True)
def short_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """What builds them keeps up with such a market too."""
    monkeypatch.setattr(kline_building, "BEAT_S", 0.02)
    monkeypatch.setattr(kline_building, "ASK_S", 0.2)
    monkeypatch.setattr(built_klines, "BEGIN_BACK_MS", 3_600_000)


PROGRAM = """
from msgspec import structs
from data_collector.__main__ import main
from data_collector.venues.binance import venue
venue.VENUE = structs.replace(venue.VENUE, klines="built")
main()
"""

BUILT_COLLECT = (sys.executable, "-c", PROGRAM, "collect", "--folder", "live")
"""The command line, where Binance closes no kline."""


def sources(store: Store, symbol: str = SYMBOL, interval: str = "1m") -> list[object]:
    return [record.get("src", "ws") for record in closed(store, symbol, interval)]


def assert_exact(scene: Scene, symbol: str, interval: str = "1m") -> list[object]:
    """All closed klines are the market's, and open ones lead to them; where they are from."""
    assert_all_of(scene.store, symbol, interval, scene.simulator.closed_klines(symbol, interval))
    every = [record for record in scene.store.records(f"stream:{symbol}") if record["interval"] == interval]
    assert_updates_in_order(every)
    return sources(scene.store, symbol, interval)


def assert_built(scene: Scene, symbol: str, interval: str = "1m") -> None:
    """As `assert_exact`; all are built, but for the first: it ran at the start, and REST tells it."""
    first, *others = assert_exact(scene, symbol, interval)
    assert (first, set(others)) == ("rest", {"built"})


async def closed_until(scene: Scene, interval: str = "1m", *, before: int = 1) -> None:
    """The newest candle with trades, of those that are over, is stored; what comes next proves that it is whole."""
    await scene.trade(3_000)
    for symbol in SYMBOLS:
        last_ms = scene.simulator.closed_klines(symbol, interval)[-before].open_ms
        wanted = iso(last_ms, digits="seconds")
        await until_async(
            partial(has_closed, scene.store, symbol, interval, wanted), f"{symbol} {interval} {wanted}", deadline_s=15
        )


def has_closed(store: Store, symbol: str, interval: str, timestamp: str) -> bool:
    return any(record["timestamp"] == timestamp for record in closed(store, symbol, interval))


def has_more_than(store: Store, symbol: str, count: int) -> bool:
    return len(closed(store, symbol)) > count


async def minutes_pass(scene: Scene, count: int) -> None:
    for _ in range(count):
        scene.simulator.advance(60_000)
        await scene.settled()


async def test_closed_klines_of_every_interval_are_the_markets_own(store: Store, folder: Path) -> None:
    async with playing(store, folder, exchange=BUILT) as scene:
        await scene.subscribed()
        await scene.trade()
        assert {name for each in scene.simulator.connections() for name in each.streams} == {
            f"{symbol.lower()}@{kind}" for symbol in SYMBOLS for kind in ("trade", "ticker")
        }

        for _ in range(12):
            await minutes_pass(scene, 1)
        await closed_until(scene)
        await closed_until(scene, interval="5m")

        for symbol in SYMBOLS:
            assert_built(scene, symbol)
            assert assert_exact(scene, symbol, "5m") == ["rest", "built"]
            assert len(closed(store, symbol)) >= 11
        scene.assert_counts_add_up()
        assert scene.status.condition == "healthy", scene.status.reasons


async def test_lost_doubled_and_reordered_trades_and_cut_connections_change_nothing(store: Store, folder: Path) -> None:
    async with playing(store, folder, exchange=BUILT) as scene:
        await scene.subscribed()
        await scene.trade()
        scene.simulator.faults.add(FrameFault(kind="duplicate", stream="*@trade", rate=0.3))
        scene.simulator.faults.add(FrameFault(kind="reorder", stream="*@trade", rate=0.1, span=5))
        scene.simulator.faults.add(FrameFault(kind="drop", stream="*@trade", rate=0.1))
        await minutes_pass(scene, 3)
        attempts = scene.attempts()
        await scene.simulator.perform(Reset())
        scene.simulator.advance(90_000)
        await scene.subscribed(after_attempts=attempts)
        await minutes_pass(scene, 3)
        scene.simulator.faults.clear()
        await minutes_pass(scene, 1)
        await closed_until(scene)

        for symbol in SYMBOLS:
            assert_built(scene, symbol)
        assert scene.filled() > 0


async def test_minutes_without_trades_are_closed_too(store: Store, folder: Path) -> None:
    quiet = structs.replace(DRIVEN, trades_per_s=0.02)
    async with playing(store, folder, quiet, exchange=BUILT) as scene:
        await scene.subscribed()
        for _ in range(20):
            scene.simulator.advance(60_000)
        await scene.settled()
        # What the exchange's clock shows after its newest message is not known to anybody.
        await closed_until(scene, before=2)

        for symbol in SYMBOLS:
            assert_exact(scene, symbol)
            assert {record["trades"] for record in closed(store, symbol)} >= {0}


async def test_klines_close_while_the_request_side_is_away(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin with the first whole one then."""
    monkeypatch.setattr(kline_repair, "FIRST_S", 0.5)
    async with playing(store, folder, exchange=BUILT) as scene:
        scene.simulator.faults.add(RestFault(status=500))
        await scene.subscribed()
        await minutes_pass(scene, 4)
        await closed_until(scene)

        assert set(assert_exact(scene, SYMBOL)) == {"built"}


async def test_minute_with_a_trade_that_is_nowhere_is_told_by_the_request_side(store: Store, folder: Path) -> None:
    async with playing(store, folder, exchange=BUILT) as scene:
        await scene.subscribed()
        await minutes_pass(scene, 2)
        await closed_until(scene)
        lost_id = scene.simulator.tape(SYMBOL)[-1].trade_id + 5
        scene.simulator.faults.add(FrameFault(kind="drop", stream="btcusdt@trade", contains=f'"t":{lost_id},'))
        scene.simulator.faults.add(
            RestFault(path="/api/v3/historicalTrades", kind="missing", within=(lost_id, lost_id))
        )
        await minutes_pass(scene, 3)
        scene.simulator.faults.clear()
        await minutes_pass(scene, 1)
        await closed_until(scene)

        truth = {
            record["timestamp"]: record for record in map(expected_kline, scene.simulator.closed_klines(SYMBOL, "1m"))
        }
        await until_async(lambda: bool(store.entries(f"late:{SYMBOL}")), "the revision")
        (gap,) = store.gaps(SYMBOL, "trade")
        (late,) = store.entries(f"late:{SYMBOL}")
        revised = parsed(late["fields"]["data"])
        assert (gap["first"], gap["reason"], late["fields"]["why"]) == (lost_id, "absent", "revision")
        assert revised == truth[revised["timestamp"]]
        assert parsed(store.text(f"kline:{SYMBOL}:1m:{revised['timestamp']}") or "") == revised


async def test_exchange_that_counts_otherwise_decides(store: Store, folder: Path) -> None:
    """Every seventh trade is told with a time before that of its predecessor, and counted where it was."""
    early = structs.replace(DRIVEN, early_every=7)
    async with playing(store, folder, early, exchange=BUILT) as scene:
        await scene.subscribed()
        await minutes_pass(scene, 40)
        await closed_until(scene)
        truth = {
            record["timestamp"]: record for record in map(expected_kline, scene.simulator.closed_klines(SYMBOL, "1m"))
        }

        def differ() -> list[object]:
            return [
                record["timestamp"]
                for record in closed(store)
                if parsed(store.text(f"kline:{SYMBOL}:1m:{record['timestamp']}") or "{}") != truth[record["timestamp"]]
            ]

        await until_async(lambda: differ() == [], f"all klines to be those of the exchange: {differ()}")
        await until_async(
            lambda: (
                sum(store.length(f"late:{symbol}") for symbol in SYMBOLS)
                == scene.counted("candle_checks_total", result="mismatch")
                > 0
            ),
            "all revisions",
        )


async def test_restart_goes_on_in_the_middle_of_every_kline(store: Store, folder: Path, tmp_path: Path) -> None:
    """What happens while nobody collects is asked of the exchange; REST tells no kline."""
    async with playing(store, folder, exchange=BUILT) as scene:
        await scene.subscribed()
        await scene.trade()
        await minutes_pass(scene, 12)
        await closed_until(scene)
        await closed_until(scene, "5m")
        await scene.collector.stop()
        scene.simulator.advance(100_000)
        scene.simulator.faults.add(RestFault(path="/api/v3/klines", status=500))

        async with playing(store, tmp_path / "second", beside=scene, exchange=BUILT) as second:
            await second.subscribed()
            await minutes_pass(second, 7)
            await closed_until(second)
            await closed_until(second, "5m")

            for symbol in SYMBOLS:
                assert_built(second, symbol)
                assert assert_exact(second, symbol, "5m") == ["rest", "built", "built", "built"]


async def test_store_that_was_wiped_is_filled_again(store: Store, folder: Path) -> None:
    async with playing(store, folder, exchange=BUILT) as scene:
        await scene.subscribed()
        await minutes_pass(scene, 3)
        await closed_until(scene)
        before = closed(store)
        store.ask("FLUSHALL")
        store.ask("FUNCTION", "FLUSH")
        await minutes_pass(scene, 2)
        await closed_until(scene)

        first = before[0]["timestamp"]
        again = [record for record in closed(store) if str(record["timestamp"]) >= str(first)]
        assert again[: len(before)] == before
        assert len(again) > len(before)
        assert set(assert_exact(scene, SYMBOL)) == {"rest", "built"}


async def test_intervals_and_channels_change_while_klines_are_built(store: Store, folder: Path) -> None:
    async with playing(store, folder, exchange=BUILT, channels="kline") as scene:
        await scene.subscribed()
        await minutes_pass(scene, 3)
        await closed_until(scene)
        assert {kind for key in store.keys("trades:*") for kind in [key.partition(":")[0]]} == {"trades"}

        changed = await scene.collector.change_subscriptions(intervals=["1m", "3m"])
        assert (changed.added, changed.removed, changed.channels) == ([], [], ["kline", "trade"])
        await minutes_pass(scene, 7)
        await closed_until(scene)
        await closed_until(scene, "3m")
        assert_built(scene, SYMBOL)
        assert_built(scene, SYMBOL, "3m")
        count = len(closed(store, interval="5m"))

        changed = await scene.collector.change_subscriptions(channels=["ticker", "trade"])
        assert changed.channels == ["trade", "ticker"]
        length = store.length(f"stream:{SYMBOL}")
        await minutes_pass(scene, 6)
        assert (store.length(f"stream:{SYMBOL}"), len(closed(store, interval="5m"))) == (length, count)


@pytest.mark.slow
def test_killed_collector_builds_on_what_is_stored(market: Exchange, folder: Path) -> None:
    """Killed twice, in a market of which a minute takes three seconds."""
    told: list[str] = []
    for _ in range(2):
        collector = CollectorProcess(folder, market, command=BUILT_COLLECT)
        store = collector.embedded_store()
        # Of each: where a store that was filled has nothing of a symbol's klines, REST tells those of the last hour.
        for symbol in SYMBOLS:
            count = len(closed(store, symbol))
            more = partial(has_more_than, store, symbol, count + 2)
            until(more, f"closed minutes of {symbol}", output=collector.told)
        collector.kill()
        told.append(collector.told())
        store.close()
    with collecting(folder, market, command=BUILT_COLLECT) as last:
        store = last.embedded_store()
        count = len(closed(store, interval="5m"))
        until(lambda: len(closed(store, interval="5m")) >= count + 2, "closed klines", output=last.told)

        for symbol in SYMBOLS:
            for interval in ("1m", "5m"):
                truth = market.closed_klines(symbol, interval)
                assert assert_all_of(store, symbol, interval, truth) <= {"built", "rest"}
            first, *others = sources(store, symbol)
            # Which of them REST told, and what the three collectors said.
            seen = [(record["timestamp"], record.get("src")) for record in closed(store, symbol)]
            assert (first, set(others)) == ("rest", {"built"}), (seen, store.gaps(symbol, "trade"), *told, last.told())
        store.close()
