"""Frames that are missing, double, out of order, or no frames at all: nothing is doubled, everything is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_collector.simulator import FrameFault
from data_collector.simulator.control.actions import Send, SkipIds
from data_collector.simulator.control.faults import CorruptShape
from tests.integration.scene import NO_HOLES, START_MS, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

TRADES = "btcusdt@trade"
YEAR_MS = 365 * 86_400_000


@pytest.fixture
async def scene(store: Store, folder: Path) -> AsyncIterator[Scene]:
    """A market that has been collected from for a while."""
    async with playing(store, folder) as scene:
        await scene.subscribed()
        await scene.trade()
        yield scene


async def quarantined(scene: Scene, stream: str, count: int) -> list[dict[str, str]]:
    """The entries of a quarantine stream, once there are so many."""
    await until_async(lambda: scene.store.length(stream) >= count, f"{count} entries in {stream}")
    return [entry["fields"] for entry in scene.store.entries(stream)]


def rules_of(entry: dict[str, str]) -> list[str]:
    return [broken["rule"] for broken in json.loads(entry["why"])]


async def test_duplicates_are_stored_once_and_counted_as_copies(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="duplicate"))

    await scene.trade(30_000)
    await scene.klines_closed()

    assert scene.assert_trades_exact() == NO_HOLES
    closed = [record["timestamp"] for record in scene.store.records("stream:BTCUSDT") if record["is_closed"]]
    assert len(closed) == len(set(closed)) > 0
    assert scene.counted("messages_copies_total", channel="trade") > 100
    scene.assert_counts_add_up()


async def test_dropped_trades_are_filled_by_rest(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="drop", stream=TRADES, count=3))

    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.filled() == 3


async def test_scattered_drops_are_all_filled(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="drop", stream="*@trade", rate=0.1))

    for _ in range(5):
        scene.simulator.advance(10_000)
    scene.simulator.faults.clear()
    await scene.trade(20_000)

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.filled() == scene.simulator.faults.hit_counts["drop"] > 5


async def test_reordered_trades_are_put_in_order(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="reorder", stream=TRADES, count=1, span=3))

    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.store.length("late:BTCUSDT") == 0
    assert scene.filled() == 0


async def test_delayed_trade_is_fetched_and_its_own_frame_is_a_copy_then(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="delay", stream=TRADES, count=1, delay_s=1.0))

    await scene.trade()
    await until_async(lambda: scene.counted("messages_copies_total", channel="trade") == 1, "the delayed frame")

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.filled() == 1
    assert scene.store.length("late:BTCUSDT") == 0


async def test_ids_that_the_exchange_never_gave_are_absent(scene: Scene) -> None:
    first = scene.store.tail_id("BTCUSDT") + 1
    await scene.simulator.perform(SkipIds(symbol="BTCUSDT", count=7))

    await scene.trade()

    assert scene.assert_trades_exact() == {"BTCUSDT": [(first, first + 6, "absent")], "ETHUSDT": []}


@pytest.mark.parametrize(
    "shape", ["truncated", "bad_utf8", "deep", "nan", "huge_number", "duplicate_keys", "empty", "binary"]
)
async def test_garbage_is_kept_counted_and_survived(scene: Scene, shape: CorruptShape) -> None:
    connection = scene.simulator.connections()[0].number
    scene.simulator.faults.add(FrameFault(kind="corrupt", stream=TRADES, count=2, shape=shape))

    await scene.trade()

    # What cannot be read has no place in the sequence: REST gives the trades, and the frames themselves are kept.
    assert scene.assert_trades_exact() == NO_HOLES
    kept = scene.store.length("quarantine:unknown") + scene.store.length("quarantine:BTCUSDT")
    # What can be read in spite of a surplus is no garbage.
    assert kept == (0 if shape in {"duplicate_keys", "huge_number"} else 2)
    assert scene.status.validation_errors == kept
    scene.assert_counts_add_up()
    assert [each.number for each in scene.simulator.connections()] == [connection]


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"p": "0.00000000"}, "price_positive"),
        ({"p": "-1.5"}, "price_positive"),
        ({"p": "NaN"}, "number_text"),
        ({"p": "1_000"}, "number_text"),
        ({"q": "١٢"}, "number_text"),
        ({"q": "1" * 65}, "number_length"),
        ({"T": 4_200_000_000_000}, "time_range"),
        ({"T": 0}, "time_range"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, dict) else None,
)
async def test_impossible_trade_is_refused_with_its_rule_and_its_id_is_explained(
    scene: Scene, changed: dict[str, object], rule: str
) -> None:
    due = scene.store.tail_id("BTCUSDT") + 1
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set=changed))

    await scene.trade()

    (kept,) = await quarantined(scene, "quarantine:BTCUSDT", 1)
    assert rule in rules_of(kept)
    assert all(broken["message"] for broken in json.loads(kept["why"]))
    assert scene.assert_trades_exact()["BTCUSDT"] == [(due, due, "refused")]
    assert scene.store.gaps("BTCUSDT", "trade")[0]["rules"] == rules_of(kept)
    assert scene.status.validation_errors == 1
    scene.assert_counts_add_up()


@pytest.mark.parametrize(
    "changed",
    [{"p": 45.1}, {"t": "1"}, {"t": True}, {"t": None}, {"m": "yes"}, {"s": 5}, {"q": None}, {"T": "now"}],
    ids=str,
)
async def test_wrong_type_is_quarantined_and_the_stream_goes_on(scene: Scene, changed: dict[str, object]) -> None:
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set=changed))

    await scene.trade()

    await until_async(
        lambda: scene.store.length("quarantine:unknown") + scene.store.length("quarantine:BTCUSDT") == 1,
        "the frame in quarantine",
    )
    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.filled() == 1
    assert scene.status.validation_errors == 1


@pytest.mark.parametrize("jump", [10_000_000, 2**52, 2**53, 2**63, 2**70])
async def test_poisoned_id_does_not_move_the_symbol(scene: Scene, jump: int) -> None:
    due = scene.store.tail_id("BTCUSDT") + 1
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set={"t": jump + due}))

    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    kept = scene.store.length("quarantine:unknown") + scene.store.length("quarantine:BTCUSDT")
    assert kept == 1


async def test_poisoned_id_in_the_very_first_trade_does_not_wedge_the_symbol(store: Store, folder: Path) -> None:
    async with playing(store, folder) as scene:
        await scene.subscribed()
        scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set={"t": 2**52}))
        scene.simulator.advance(5_000)
        scene.simulator.advance(5_000)
        newest = {symbol: scene.simulator.tape(symbol)[-1].trade_id for symbol in ("BTCUSDT", "ETHUSDT")}
        await until_async(lambda: all(store.tail_id(each) == newest[each] for each in newest), "the newest trades")

        assert scene.assert_trades_exact()["BTCUSDT"] == []


@pytest.mark.parametrize("years", [-10, 10])
async def test_time_that_is_years_off_is_refused(scene: Scene, years: int) -> None:
    due = scene.store.tail_id("BTCUSDT") + 1
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, add={"T": years * YEAR_MS}))

    await scene.trade()

    assert scene.assert_trades_exact()["BTCUSDT"] == [(due, due, "refused")]


async def test_time_in_microseconds_is_understood_and_moves_no_entry_id(scene: Scene) -> None:
    scene.simulator.faults.add(
        FrameFault(kind="change", stream=TRADES, count=1, set={"T": START_MS * 1000 + 5_000_123})
    )

    await scene.trade()

    entries = scene.store.entries("trades:BTCUSDT")
    assert entries
    for entry in entries:
        assert int(entry["id"].partition("-")[0]) <= scene.simulator.market.now_ms


async def test_conflicting_copy_of_a_trade_changes_nothing(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="conflict", stream=TRADES, count=3, set={"p": "1.00000000"}))

    await scene.trade()

    assert scene.assert_trades_exact()["BTCUSDT"] == []


async def test_second_close_of_a_kline_changes_nothing_in_the_stream(scene: Scene) -> None:
    fault = FrameFault(kind="conflict", stream="btcusdt@kline_1m", contains='"x":true', set={"k.n": 999_999})
    scene.simulator.faults.add(fault)

    await scene.klines_closed()

    closed = [record for record in scene.store.records("stream:BTCUSDT") if record["is_closed"]]
    times = [(record["interval"], record["timestamp"]) for record in closed]
    assert len(times) == len(set(times)) > 0
    assert all(record["trades"] != 999_999 for record in closed)


async def test_unknown_events_are_counted_and_skipped(scene: Scene) -> None:
    received = scene.status.messages_received
    for text in ('{"e":"newThing","E":1,"s":"BTCUSDT"}', '{"stream":"x@newThing","data":{"e":"newThing","E":1}}'):
        await scene.simulator.perform(Send(text=text))
    await until_async(lambda: scene.counted("events_unknown_total") == 2, "two unknown events")

    assert scene.status.messages_received == received
    await scene.trade()
    assert scene.assert_trades_exact()["BTCUSDT"] == []


TRADE = '{"e":"trade","E":1,"s":"BTCUSDT","t":%s,"p":"1.0","q":"1.0","T":%d,"m":true,"M":true}'

HOSTILE = {
    "depth of 100,000": '{"e":' + "[" * 100_000 + "]" * 100_000 + "}",
    "number of 5,000 digits": TRADE % ("9" * 5_000, START_MS),
    "NaN": TRADE % ("NaN", START_MS),
    "1e999": TRADE % ("1e999", START_MS),
    "id above 2^64": TRADE % (2**64 + 1, START_MS),
    "true as id": TRADE % ("true", START_MS),
    "float as id": TRADE % ("1.5", START_MS),
    "byte order mark": "\ufeff" + TRADE % (1, START_MS),
    "lone surrogate": '{"e":"trade\\ud800","E":1,"s":"BTCUSDT"}',
    "bytes after the end": TRADE % (1, START_MS) + "{}",
    "no JSON": "hello",
    "empty": "",
    "null": "null",
    "number": "7",
    "array in an array": "[[[]]]",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_text_ends_in_quarantine_and_the_connection_is_kept(scene: Scene, text: str) -> None:
    await scene.simulator.perform(Send(text=text))
    await until_async(lambda: scene.status.validation_errors == 1, "the refusal")
    await scene.trade()

    kept = scene.store.length("quarantine:unknown") + scene.store.length("quarantine:BTCUSDT")
    assert kept == 1
    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.status.connections[0].reconnects == 0
    scene.assert_counts_add_up()


@pytest.mark.parametrize(
    "raw", [b"\x81\x02\xc3\x28", b"\x81\x03\xed\xa0\x80", b"\x81\x04\xf8\x88\x80\x80"],
    ids=["torn character", "encoded surrogate", "five bytes"],
)  # fmt: skip
async def test_text_that_is_not_utf_8_ends_in_quarantine(scene: Scene, raw: bytes) -> None:
    await scene.simulator.perform(Send(raw=raw))
    await until_async(lambda: scene.status.validation_errors == 1, "the refusal")
    await scene.trade()

    assert scene.assert_trades_exact() == NO_HOLES
    assert scene.status.connections[0].reconnects == 0


async def test_hundred_bad_messages_in_a_second_cost_the_connection(scene: Scene) -> None:
    await scene.simulator.perform(Send(raw=b"\x81\x02{]" * 200))

    await until_async(lambda: scene.counted("disconnects_total", reason="bad_messages") == 1, "the loss")
    await scene.subscribed(after_attempts=1)
    await scene.trade()

    assert {reason for *_, reason in scene.assert_trades_exact()["BTCUSDT"]} <= {"lost"}
    scene.assert_counts_add_up()


async def test_symbol_that_was_not_subscribed_is_quarantined_as_unknown(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set={"s": "FREEUSDT"}))

    await scene.trade()

    (kept,) = await quarantined(scene, "quarantine:unknown", 1)
    assert rules_of(kept) == ["not_subscribed"]
    assert scene.store.keys("*FREEUSDT*") == []


async def test_hostile_symbol_makes_no_key(scene: Scene) -> None:
    scene.simulator.faults.add(FrameFault(kind="change", stream=TRADES, count=1, set={"s": "A\r\nFLUSHALL\r\n"}))

    await scene.trade()

    assert len(await quarantined(scene, "quarantine:unknown", 1)) == 1
    assert scene.store.keys("*FLUSHALL*") == []
    assert scene.store.length("trades:ETHUSDT") > 0


async def test_refused_kline_is_quarantined_and_its_open_time_declared(scene: Scene) -> None:
    await scene.klines_closed()
    fault = FrameFault(kind="change", stream="btcusdt@kline_1m", contains='"x":true', count=1, set={"k.h": "0.001"})
    scene.simulator.faults.add(fault)
    scene.simulator.advance(60_000)
    await scene.klines_closed()

    (kept,) = await quarantined(scene, "quarantine:BTCUSDT", 1)
    assert rules_of(kept)[:3] == ["high_not_below_low", "open_not_above_high", "close_not_above_high"]
    (gap,) = scene.store.gaps("BTCUSDT", "kline")
    assert (gap["reason"], gap["rules"], gap["count"]) == ("refused", rules_of(kept), 1)
