"""Rows 10 to 19, 27 and 33: what the exchange sends twice, late, wrongly or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.simulator import FrameFault, Refuse, RestFault
from data_collector.simulator.control.actions import Reset, SkipIds
from tests.faults.exact import assert_alive_and_exact, troubles
from tests.faults.service import api_over
from tests.faults.test_processes import progress
from tests.integration.processes import Exchange
from tests.integration.scene import DRIVEN, NO_HOLES, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until, until_async

TRADES = "btcusdt@trade"
YEAR_MS = 365 * 86_400_000
REST_TRADES = "/api/v3/historicalTrades"


def rules_kept(scene: Scene) -> list[list[str]]:
    """The broken rules of each entry in quarantine."""
    entries = scene.store.entries("quarantine:BTCUSDT")
    return [[broken["rule"] for broken in json.loads(entry["fields"]["why"])] for entry in entries]


async def test_row_10_ids_that_advanced_while_the_exchange_was_away_are_repaid_by_rest(scene: Scene) -> None:
    attempts = scene.attempts()
    scene.simulator.faults.add(Refuse(status=503, count=1))
    await scene.simulator.perform(Reset())
    await until_async(lambda: not scene.simulator.connections(), "the end of the connection")
    for _ in range(3):
        await scene.simulator.burst("BTCUSDT", 1_000)
    await scene.subscribed(after_attempts=attempts + 1)

    await assert_alive_and_exact(scene)
    assert scene.filled() >= 3_000


async def test_row_11_duplicate_frames_are_stored_once(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="duplicate", rate=0.05))
    for _ in range(5):
        await scene.trade(20_000)

    await assert_alive_and_exact(scene)
    assert scene.counted("messages_copies_total", channel="trade") > 10
    assert scene.filled() == 0
    scene.assert_counts_add_up()


async def test_row_12_disorder_of_up_to_50_frames_is_put_in_order_without_rest(scene: Scene) -> None:
    for span in (1, 3, 50):
        scene.simulator.faults.add(FrameFault(kind="reorder", stream=TRADES, count=3, span=span))
        await scene.simulator.burst("BTCUSDT", 200)
        scene.simulator.faults.frame_faults.clear()
        await scene.settled()

    await assert_alive_and_exact(scene)
    assert scene.simulator.faults.hit_counts["reorder"] >= 3
    assert scene.filled() == 0
    assert scene.store.length("late:BTCUSDT") == 0


async def test_row_13_ids_lost_on_one_of_two_connections_cost_nothing(store: Store, folder: Path) -> None:
    async with playing(store, folder, lines_per_stream="2") as scene:
        await until_async(lambda: len(scene.simulator.connections()) == 2, "two connections")
        await until_async(
            lambda: all(len(each.streams) > 1 for each in scene.simulator.connections()), "two subscribed connections"
        )
        await scene.trade()
        for connection in (1, 2):
            fault = FrameFault(kind="drop", stream=TRADES, rate=0.1, connection=connection)
            scene.simulator.faults.add(fault)
            await scene.simulator.burst("BTCUSDT", 500)
            scene.simulator.faults.clear()
            await scene.settled()

        await assert_alive_and_exact(scene)
        assert scene.simulator.faults.hit_counts["drop"] > 20
        assert scene.filled() == 0


async def test_row_14_ids_lost_on_all_connections_come_by_rest(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="drop", stream=TRADES, count=1_500))
    await scene.simulator.burst("BTCUSDT", 1_600)

    await assert_alive_and_exact(scene)
    assert scene.filled() == 1_500
    assert all(entry["fields"].get("src") in {None, "rest"} for entry in scene.store.entries("trades:BTCUSDT"))
    assert sum(entry["fields"].get("src") == "rest" for entry in scene.store.entries("trades:BTCUSDT")) == 1_500


async def test_row_14_scattered_losses_all_come_by_rest(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="drop", stream="*@trade", rate=0.1))
    for symbol in scene.symbols:
        await scene.simulator.burst(symbol, 500)
    scene.simulator.faults.clear()

    await assert_alive_and_exact(scene)
    assert scene.filled() == scene.simulator.faults.hit_counts["drop"] > 50


async def test_row_15_ids_that_the_exchange_never_had_are_absent_at_once(scene: Scene) -> None:
    first = scene.store.tail_id("BTCUSDT") + 1
    await scene.simulator.perform(SkipIds(symbol="BTCUSDT", count=7))

    await assert_alive_and_exact(scene, holes={"BTCUSDT": [(first, first + 6, "absent")]})
    assert scene.counted("gap_records_total", channel="trade", reason="absent") == 7


async def test_row_16_of_two_contents_of_one_id_the_first_is_kept_both_are_quarantined_and_rest_decides(
    scene: Scene,
) -> None:
    scene.simulator.faults.add(FrameFault(kind="conflict", stream=TRADES, count=3, set={"p": "1.00000000"}))

    await assert_alive_and_exact(scene)
    assert scene.counted("trade_conflicts_total") == 3
    assert rules_kept(scene) == [["trade_id_conflict"]] * 6
    await until_async(
        lambda: scene.counted("trade_conflicts_settled_total", outcome="right") == 3, "the word of the REST side"
    )


@pytest.mark.parametrize("jump", [10_000_000, 2**52])
async def test_row_17_poisoned_id_is_quarantined_and_its_place_filled(scene: Scene, jump: int) -> None:
    due = scene.store.tail_id("BTCUSDT") + 1
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set={"t": due + jump}))

    await assert_alive_and_exact(scene)
    assert rules_kept(scene) == [["trade_id_jump"]]
    assert scene.filled() == 1
    # No storm: the one missing id costs one question.
    assert scene.counted("rest_requests_total", outcome="ok") < 20


async def test_row_17_poisoned_id_within_the_plausible_is_disproved_by_rest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.model.backoff.REPEATED_S", 0.5)
    due = scene.store.tail_id("BTCUSDT") + 1
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set={"t": due + 100_000}))
    scene.simulator.advance(2_000)
    await until_async(lambda: scene.store.length("quarantine:BTCUSDT") == 1, "the poisoned trade in quarantine")

    await assert_alive_and_exact(scene)
    assert rules_kept(scene) == [["trade_id_jump"]]


async def test_row_17_poisoned_neighbours_are_disproved_by_rest(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two neighbouring trades a million ids ahead, and the real ones go on."""
    monkeypatch.setattr("data_collector.model.backoff.REPEATED_S", 0.5)
    far = scene.store.tail_id("BTCUSDT") + 1_000_000
    for trade_id in (far, far + 1):
        scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set={"t": trade_id}))
    for _ in range(20):
        await scene.trade()
    await until_async(lambda: scene.store.length("quarantine:BTCUSDT") == 2, "the poisoned trades in quarantine")

    await assert_alive_and_exact(scene)
    assert rules_kept(scene) == [["trade_id_jump"]] * 2
    assert scene.counted("records_late_total", channel="trade") == 0


async def test_row_19_time_that_goes_back_a_little_moves_no_entry_back(scene: Scene) -> None:
    due = scene.store.tail_id("BTCUSDT") + 1
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, add={"T": -60_000}))

    await scene.trade()
    await scene.trade()

    entries = [tuple(map(int, entry["id"].split("-"))) for entry in scene.store.entries("trades:BTCUSDT")]
    ids = [trade_id for _, trade_id in entries]
    assert entries == sorted(entries)
    assert ids == list(range(ids[0], scene.simulator.tape("BTCUSDT")[-1].trade_id + 1))
    times = {trade_id: time_ms for time_ms, trade_id in entries}
    assert times[due] == times[due - 1]


@pytest.mark.parametrize("changed", [{"T": 0}, {"T": 9_979_200_000_000}], ids=["1970", "2286"])
async def test_row_19_absurd_time_is_refused_and_wedges_nothing(scene: Scene, changed: dict[str, object]) -> None:
    due = scene.store.tail_id("BTCUSDT") + 1
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set=changed))

    await assert_alive_and_exact(scene, holes={"BTCUSDT": [(due, due, "refused")]})
    assert "time_range" in rules_kept(scene)[0]


@pytest.mark.parametrize("years", [-10, 10])
async def test_row_19_time_that_is_years_off_is_refused_and_wedges_nothing(scene: Scene, years: int) -> None:
    due = scene.store.tail_id("BTCUSDT") + 1
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, add={"T": years * YEAR_MS}))

    await assert_alive_and_exact(scene, holes={"BTCUSDT": [(due, due, "refused")]})


async def test_row_27_line_that_comes_ever_later_is_replaced_without_a_twin(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.pipeline.connections.lateness.LOOK_S", 0.05)
    monkeypatch.setattr("data_collector.pipeline.connections.lateness.LATE_MS", 400.0)
    monkeypatch.setattr("data_collector.pipeline.connections.lateness.LATE_S", 0.5)
    live = structs.replace(DRIVEN, driven=False, trades_per_s=50.0)
    async with playing(store, folder, live) as scene:
        await scene.subscribed()
        await until_async(lambda: scene.status.ready, "readiness")
        scene.simulator.faults.add(FrameFault(kind="delay", connection=1, delay_s=1.0))

        await until_async(lambda: any("later than it did" in each for each in scene.status.reasons), "lateness told")
        await until_async(lambda: scene.counted("rollovers_total") == 1, "another connection")
        scene.simulator.clock.pause()
        await scene.settled()

        assert scene.assert_trades_exact() == NO_HOLES
        assert scene.counted("watchdogs_total", kind="late") == 1
        await until_async(lambda: troubles(scene) == [], "health without trouble")


async def lose_200(scene: Scene, *faults: RestFault) -> None:
    """Two hundred trades in a row are lost, and REST answers with these faults."""
    for fault in faults:
        scene.simulator.faults.add(fault)
    scene.simulator.faults.add(FrameFault(kind="drop", stream=TRADES, count=200))
    await scene.simulator.burst("BTCUSDT", 220)


@pytest.mark.parametrize("kind", ["overlap", "short", "shuffle"])
async def test_row_33_pages_that_overlap_are_short_or_in_disorder_are_not_trusted(scene: Scene, kind: str) -> None:
    fault = {
        "overlap": RestFault(kind="overlap", path=REST_TRADES, span=5, count=2),
        "short": RestFault(kind="short", path=REST_TRADES, count=2),
        "shuffle": RestFault(kind="shuffle", path=REST_TRADES, count=2),
    }[kind]
    await lose_200(scene, fault)

    await assert_alive_and_exact(scene)
    assert scene.simulator.faults.hit_counts[f"rest_{kind}"] == 2
    assert scene.filled() == 200


@pytest.mark.parametrize(
    "changed",
    [{"id": 5}, {"id": -(10**9)}, {"time": YEAR_MS}],
    ids=["other ids", "old ids", "other times"],
)
async def test_row_33_page_with_untrue_rows_is_refused_and_asked_again(scene: Scene, changed: dict[str, int]) -> None:
    await lose_200(scene, RestFault(kind="alter", path=REST_TRADES, add=changed, row=100, count=1))

    await assert_alive_and_exact(scene)
    assert scene.simulator.faults.hit_counts["rest_alter"] == 1
    assert scene.filled() == 200


async def test_row_33_empty_and_failing_answers_are_asked_again(scene: Scene) -> None:
    await lose_200(
        scene, RestFault(path=REST_TRADES, empty=True, count=1), RestFault(path=REST_TRADES, status=500, count=1)
    )

    await assert_alive_and_exact(scene)
    assert scene.filled() == 200


def test_row_18_ids_that_begin_anew_begin_an_epoch_and_other_symbols_go_on(
    market: Exchange, folder: Path, store: Store
) -> None:
    with api_over(folder, market, store) as api:
        market.act("burst", symbol="BTCUSDT", trades=300)
        progress(store)
        api.assert_alive_and_exact()
        before = store.entries("trades:BTCUSDT")
        market.act("restart_ids", symbol="BTCUSDT", first_id=0)
        market.act("burst", symbol="BTCUSDT", trades=300)
        market.act("burst", symbol="ETHUSDT", trades=300)

        until(lambda: store.ask("GET", "collector:epoch:BTCUSDT") == "1", "a new epoch", output=api.told)
        market.act("burst", symbol="BTCUSDT", trades=300)
        newest = {symbol: market.last_id(symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
        until(lambda: all(store.tail_id(each) >= newest[each] for each in newest), "all trades", output=api.told)

        entries = store.entries("trades:BTCUSDT")
        assert entries[: len(before)] == before
        new = [(int(each["id"].partition("-")[2]), each["fields"].get("epoch")) for each in entries[len(before) :]]
        assert new == [(number, "1") for number in range(newest["BTCUSDT"] + 1)]
        assert all(store.length(f"{kind}:BTCUSDT") == 0 for kind in ("gaps", "late", "quarantine"))
        assert "this is epoch 1" in api.ask("GET", "/health")[1]
        assert int(store.hash("latest:BTCUSDT")["trade_id"]) == newest["BTCUSDT"]
