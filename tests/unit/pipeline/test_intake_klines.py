"""Klines in the intake: refused, revised and late ones."""

from __future__ import annotations

from data_collector.pipeline.intake import REFUSED_KLINES_MAX
from tests.market import MINUTE_MS, NOON_MS, kline
from tests.unit.pipeline.intake_scene import COPIES, Scene, fields


def test_kline_update_carries_the_next_open_time(scene: Scene) -> None:
    scene.send(kline())

    ((update,),) = scene.take().klines
    assert update.next_open_ms == NOON_MS + MINUTE_MS


def test_refused_closed_kline_goes_with_the_next_good_one_of_its_interval(scene: Scene) -> None:
    scene.send(kline(0), kline(1, low="-1"), kline(0, interval="1h"), kline(2))

    batch = scene.take()
    refused = [(update.kline.interval, update.refused) for update in batch.klines[0]]
    assert refused == [("1m", {}), ("1h", {}), ("1m", {NOON_MS + MINUTE_MS: ("price_not_negative",)})]
    assert [entry.stream for entry in batch.side] == ["quarantine:BTCUSDT"]
    assert scene.counts == (4, 3, 1)


def test_refused_open_kline_is_quarantined_alone(scene: Scene) -> None:
    scene.send(kline(0, closed=False, low="-1"), kline(0))

    ((update,),) = scene.take().klines
    assert update.refused == {}


def test_refused_klines_are_bounded(scene: Scene) -> None:
    for minute in range(REFUSED_KLINES_MAX + 10):
        scene.send(kline(minute, low="-1"))

    assert len(scene.lane.refused_klines["1m"]) == REFUSED_KLINES_MAX


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
    scene.send(kline(0), kline(1, open_ms=future, close_ms=future + MINUTE_MS - 1), kline(2))

    batch = scene.take()
    assert [update.kline.open_ms for update in batch.klines[0]] == [NOON_MS, NOON_MS + 2 * MINUTE_MS]


def test_revision_of_a_closed_kline_goes_to_late(scene: Scene) -> None:
    revised = kline(close="45180.51", event_ms=NOON_MS + MINUTE_MS + 500)
    scene.send(kline(), revised, revised)

    batch = scene.take()
    (entry,) = batch.side
    assert entry.stream == "late:BTCUSDT"
    assert fields(entry)["why"] == "revision"
    assert [one.close for one in batch.revisions] == ["45180.51"]
    assert scene.counters.value(COPIES, channel="kline") == 1


def test_closed_kline_that_is_sent_again_unchanged_is_a_copy(scene: Scene) -> None:
    scene.send(kline(), kline(event_ms=NOON_MS + MINUTE_MS + 500))

    assert scene.take_side() == []
    assert scene.counters.value(COPIES, channel="kline") == 1


def test_closed_kline_that_comes_after_its_place_was_passed_goes_to_late(scene: Scene) -> None:
    scene.send(kline(0), kline(2), kline(1))

    (entry,) = scene.take_side()
    assert entry.stream == "late:BTCUSDT"
    assert fields(entry)["why"] == "recovered"
