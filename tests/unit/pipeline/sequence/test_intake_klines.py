"""Klines in the intake: refused, revised and late ones."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline
from data_collector.model.sink import Behind
from data_collector.pipeline.sequence.kline_doubts import KlineDoubt
from data_collector.pipeline.sequence.series import REFUSED_MAX
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, trade
from tests.unit.pipeline.intake_scene import COPIES, Scene, fields

CLOSED = "data_collector_klines_closed_total"


def test_kline_update_carries_the_next_open_time(scene: Scene) -> None:
    scene.send(kline())

    ((update,),) = scene.take().klines
    assert update.next_open_ms == NOON_MS + MINUTE_MS


def test_refused_closed_kline_goes_with_the_next_good_one_of_its_interval(scene: Scene) -> None:
    scene.send(kline(0), kline(1, low="-1"), kline(0, interval="1h"), kline(2))

    batch = scene.take()
    told = [(update.kline.interval, update.gaps) for update in batch.klines[0]]
    refused_ms = NOON_MS + MINUTE_MS
    gap = Gap(refused_ms, refused_ms, 1, "refused", ("price_not_negative",))
    assert told == [("1m", []), ("1h", []), ("1m", [gap])]
    assert [(entry.kind, entry.symbol) for entry in batch.side] == [("quarantine", "BTCUSDT")]
    assert scene.counts == (4, 3, 1)


def test_refused_open_kline_is_quarantined_alone(scene: Scene) -> None:
    scene.send(kline(0, closed=False, low="-1"), kline(0))

    ((update,),) = scene.take().klines
    assert update.gaps == []


def test_refused_closed_kline_leaves_its_place_to_a_good_copy(scene: Scene) -> None:
    scene.send(kline(0), kline(1, low="-1"), kline(1), kline(2))

    (updates,) = scene.take().klines
    assert [(update.kline.open_ms, update.gaps) for update in updates] == [
        (NOON_MS + minute * MINUTE_MS, []) for minute in range(3)
    ]


def test_refused_klines_are_bounded(scene: Scene) -> None:
    scene.send(*(kline(minute, low="-1" if minute else "45100.00") for minute in range(REFUSED_MAX + 10)))
    scene.send(kline(REFUSED_MAX + 10))

    # What is not remembered is asked of REST.
    assert [update.kline.open_ms for update in scene.take().klines[0]] == [NOON_MS]
    assert scene.intake.klines.series[Key("kline", SYMBOL, "1m")].due_ms == NOON_MS + (REFUSED_MAX + 1) * MINUTE_MS


def test_monthly_kline_off_the_grid_does_not_stop_the_stream(scene: Scene) -> None:
    end_of_january = 1_706_659_200_000
    scene.send(
        kline(interval="1M", closed=False, open_ms=end_of_january, close_ms=end_of_january + 1, event_ms=end_of_january)
    )

    assert scene.counts[0] == 1


def test_days_of_klines_alone_pass_without_a_refusal(scene: Scene) -> None:
    for hour in range(100):
        open_ms = NOON_MS + hour * 3_600_000
        scene.send(kline(interval="1h", open_ms=open_ms, close_ms=open_ms + 3_599_999, event_ms=open_ms + 3_600_000))

    assert scene.counts == (100, 100, 0)


def test_kline_from_the_future_does_not_stop_its_interval(scene: Scene) -> None:
    future = 4_000_000_000_000
    scene.send(kline(0), kline(1, open_ms=future, close_ms=future + MINUTE_MS - 1), kline(1))

    batch = scene.take()
    assert [update.kline.open_ms for update in batch.klines[0]] == [NOON_MS, NOON_MS + MINUTE_MS]


def test_revision_of_a_closed_kline_goes_to_late(scene: Scene) -> None:
    revised = kline(close="45180.51", event_ms=NOON_MS + MINUTE_MS + 500)
    scene.send(kline(), revised, revised)

    batch = scene.take()
    (entry,) = batch.side
    assert (entry.kind, entry.symbol) == ("late", "BTCUSDT")
    assert fields(entry)["why"] == "revision"
    assert [one.record.close for one in batch.revisions] == ["45180.51"]
    assert scene.counters.value(COPIES, channel="kline") == 1


def test_closed_kline_that_is_sent_again_unchanged_is_a_copy(scene: Scene) -> None:
    scene.send(kline(), kline(event_ms=NOON_MS + MINUTE_MS + 500))

    assert scene.take_side() == []
    assert scene.counters.value(COPIES, channel="kline") == 1


def test_closed_kline_that_comes_after_its_place_was_passed_goes_to_late(scene: Scene) -> None:
    scene.send(kline(0), kline(1, low="-1"), kline(2), kline(1))

    _, entry = scene.take_side()
    assert (entry.kind, entry.symbol) == ("late", "BTCUSDT")
    assert fields(entry)["why"] == "recovered"


def test_closed_kline_waits_for_the_one_before(scene: Scene) -> None:
    scene.send(kline(0), kline(2))
    assert [update.kline.open_ms for update in scene.take().klines[0]] == [NOON_MS]

    scene.send(kline(1))
    (updates,) = scene.take().klines
    assert [update.kline.open_ms for update in updates] == [NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS]
    assert scene.counters.value(CLOSED, source="ws") == 3


def test_open_kline_flows_while_a_closed_one_is_missing(scene: Scene) -> None:
    scene.send(kline(0), kline(2), kline(3, closed=False))

    assert [update.kline.open_ms for update in scene.take().klines[0]] == [NOON_MS, NOON_MS + 3 * MINUTE_MS]


def test_first_frame_of_a_later_kline_builds_the_ones_without_trades(scene: Scene) -> None:
    scene.send(kline(0), kline(3, closed=False, first_trade_id=1334, last_trade_id=1334 + 1233))

    first, *built, opened = scene.take().klines[0]
    assert [(each.source, each.kline.open_ms) for each in built] == [
        ("built", NOON_MS + MINUTE_MS), ("built", NOON_MS + 2 * MINUTE_MS),
    ]  # fmt: skip
    assert (built[0].kline.open, built[0].kline.volume, built[0].kline.trades) == (first.kline.close, "0.000", 0)
    assert not opened.kline.is_closed
    assert scene.counters.value(CLOSED, source="built") == 2


def test_kline_of_rest_is_judged_and_counted_as_one_of_the_stream(scene: Scene) -> None:
    scene.send(kline(0))
    klines = scene.intake.klines
    series = klines.series[Key("kline", SYMBOL, "1m")]
    klines.take_told(series, told(1))
    klines.take_told(series, told(2, low="-1"))
    klines.take_told(series, told(3))

    batch = scene.take()
    assert [(each.source, each.kline.open_ms, len(each.gaps)) for each in batch.klines[0]] == [
        ("ws", NOON_MS, 0), ("rest", NOON_MS + MINUTE_MS, 0), ("rest", NOON_MS + 3 * MINUTE_MS, 1),
    ]  # fmt: skip
    assert [(entry.kind, entry.symbol) for entry in batch.side] == [("quarantine", "BTCUSDT")]
    assert scene.counts == (4, 3, 1)


@pytest.mark.parametrize("low", ["45100", "-1"])
def test_kline_of_rest_beside_the_grid_is_refused_once_however_often_it_is_told(scene: Scene, low: str) -> None:
    """A whole minute that opens half a minute after the others, in every answer of REST."""
    scene.send(kline(0))
    klines = scene.intake.klines
    beside = structs.replace(told(2, low=low), open_ms=NOON_MS + 90_000, close_ms=NOON_MS + 149_999)
    for _ in range(3):
        klines.take_told(klines.series[Key("kline", SYMBOL, "1m")], beside)

    assert [entry.kind for entry in scene.take().side] == ["quarantine"]
    assert scene.counts == (2, 1, 1)


def test_frame_that_differs_from_what_rest_told_is_a_revision(scene: Scene) -> None:
    scene.send(kline(0))
    scene.intake.klines.take_told(scene.intake.klines.series[Key("kline", SYMBOL, "1m")], told(1))
    scene.send(kline(1, close="45180.51", event_ms=NOON_MS + 2 * MINUTE_MS + 700))

    batch = scene.take()
    assert [one.record.close for one in batch.revisions] == ["45180.51"]
    assert scene.counters.value("data_collector_kline_revisions_total") == 1


def test_kline_is_checked_against_the_trades_of_its_minute(scene: Scene) -> None:
    scene.begin(100)
    scene.send(*(trade(100 + number, quantity="0.1", time_ms=NOON_MS + 60 * number) for number in range(1, 4)))
    scene.send(checked(0, "0.423", first_trade_id=100, last_trade_id=103, trades=4))
    scene.send(trade(104, quantity="1", time_ms=NOON_MS + MINUTE_MS))
    scene.send(checked(1, "2.0", first_trade_id=104, last_trade_id=104, trades=1))
    scene.send(checked(2, "2.0", first_trade_id=105, last_trade_id=105, trades=1))

    (updates,) = scene.take().klines
    assert [update.check for update in updates] == ["ok", "mismatch", "unchecked"]
    assert [each.kline.open_ms for each in scene.intake.klines.doubts.waiting] == [NOON_MS + MINUTE_MS]


def test_mismatch_is_reconciled_with_what_rest_tells(scene: Scene) -> None:
    frame = kline(0)
    scene.send(frame)
    scene.intake.klines.reconcile(KlineDoubt(frame, "frame", 0), told(0), NOON_MS + 10 * MINUTE_MS)
    assert scene.take().revisions == []

    scene.intake.klines.reconcile(KlineDoubt(frame, "frame", 0), told(0, volume="123.455"), NOON_MS + 10 * MINUTE_MS)
    assert [one.record.volume for one in scene.take().revisions] == ["123.455"]


def test_revision_is_put_once_however_often_a_built_kline_is_compared(scene: Scene) -> None:
    made = kline(0)
    scene.send(made)
    for minute in range(10, 13):
        theirs = told(0, volume="123.455")
        scene.intake.klines.reconcile(KlineDoubt(made, "built", 0), theirs, NOON_MS + minute * MINUTE_MS)

    assert [one.record.volume for one in scene.take().revisions] == ["123.455"]


def test_store_that_is_behind_gets_again_what_it_lost(scene: Scene) -> None:
    scene.send(*(kline(minute) for minute in range(5)))
    scene.take()

    scene.intake.klines.go_back(Behind(Key("kline", SYMBOL, "1m"), NOON_MS + 3 * MINUTE_MS))

    assert [(each.kline.open_ms, each.begins) for each in scene.take().klines[0]] == [
        (NOON_MS + 3 * MINUTE_MS, False), (NOON_MS + 4 * MINUTE_MS, False),
    ]  # fmt: skip
    assert scene.counters.value(CLOSED, source="ws") == 5


def test_store_that_has_nothing_gets_what_is_remembered(scene: Scene) -> None:
    scene.send(kline(0), kline(1))
    scene.take()

    scene.intake.klines.go_back(Behind(Key("kline", SYMBOL, "1m"), None))

    assert [(each.kline.open_ms, each.begins) for each in scene.take().klines[0]] == [
        (NOON_MS, True), (NOON_MS + MINUTE_MS, False),
    ]  # fmt: skip


def told(minute: int, **changes: object) -> Kline:
    """As REST tells it: no trade ids, and no time of sending."""
    closed = kline(minute, first_trade_id=-1, last_trade_id=-1, received_ns=0, **changes)
    return structs.replace(closed, event_ms=closed.close_ms + 1)


def checked(minute: int, volume: str, **ids: int) -> Kline:
    """Without prices that would have to fit the volume."""
    flat = {"open": "1", "high": "1", "low": "1", "close": "1", "quote_volume": volume}
    return kline(minute, volume=volume, taker_buy_base_volume="0", taker_buy_quote_volume="0", **flat, **ids)
