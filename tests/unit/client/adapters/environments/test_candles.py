"""Candles cut in two, their gaps found by their times, and what are none refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from data_collector.client import AsyncClient, Table, WrongQuestion
from data_collector.client.adapters.environments.candles import Rows, rows_of, spans_of, split, times_ms
from data_collector.client.terms.times import Duration, Time
from data_collector.model.keys import Key
from tests.market import MINUTE_MS, NOON_MS, SYMBOL
from tests.unit.client.test_table import MINUTES, gap, kline, trade
from tests.walks import KLINES, candles, walk


@pytest.mark.parametrize(
    ("at", "embargo", "until", "since"),
    [
        ("2024-01-01T14:00:00+00:00", 0, 119, 120),
        (datetime(2024, 1, 1, 14, tzinfo=UTC), "1h", 119, 180),
        (NOON_MS + 1, timedelta(minutes=5), 0, 6),
        (NOON_MS + 60 * MINUTE_MS, 90_000, 59, 62),
    ],
)
def test_candles_are_cut_in_two_by_the_time_at_which_they_opened(
    at: Time, embargo: Duration, until: int, since: int
) -> None:
    train, test = split(walk(600), at=at, embargo=embargo)

    assert minutes(train)[[0, -1]].tolist() == [0, until]
    assert minutes(test)[[0, -1]].tolist() == [since, 599]


@pytest.mark.parametrize(
    ("at", "embargo", "sentence"),
    [
        ("2024-01-01T13:00:00", 0, "at='2024-01-01T13:00:00' has no time zone"),
        (datetime(2024, 1, 1, 13), 0, "has no time zone"),  # noqa: DTZ001 (it is what is refused)
        ("noon", 0, "at='noon' is no time"),
        ("2024-01-01", 0, r"No candle opened before 2024-01-01 00:00:00\+00:00; there are those of 2024-01-01 12:00"),
        ("2024-01-01T13:00:00+00:00", "9h", r"No candle opened from 2024-01-01 22:00:00\+00:00 on; .* 21:59:00\+00:00"),
        ("2024-01-01T13:00:00+00:00", "soon", "embargo='soon' is no length of time: write 30m"),
        ("2024-01-01T13:00:00+00:00", -1, "embargo=-1 is no length"),
        ("2024-01-01T13:00:00+00:00", timedelta(days=-1), "is no length"),
        ("2024-01-01T13:00:00+00:00", "999999w", r"at \+ embargo=\d+ lies outside"),
    ],
)
def test_a_cut_that_is_none_is_refused(at: Time, embargo: Duration, sentence: str) -> None:
    with pytest.raises(WrongQuestion, match=sentence):
        split(walk(600), at=at, embargo=embargo)


def test_spans_are_those_of_the_client() -> None:
    """They are found by distance here, and by what the collector declares there."""
    there = [0, 1, 2, 5, 6, 9, 10, 11]
    table = Table(MINUTES, [kline(minute) for minute in there], [gap(3, 4), gap(7, 8)])

    assert spans_of(rows_of(table)) == table.spans() == [slice(0, 3), slice(3, 5), slice(5, 8)]


def test_months_have_gaps_by_date() -> None:
    months = np.array(["2023-11", "2023-12", "2024-01", "2024-02", "2024-03", "2024-05", "2024-06"], "datetime64[M]")
    rows = candles([1.0] * 7, [1.0] * 7)
    rows["timestamp"] = months.astype("datetime64[ms]")

    assert spans_of(rows) == [slice(0, 5), slice(5, 7)]


def test_times_of_another_unit_are_those_times() -> None:
    rows = walk(5)
    other = rows.astype([(name, "M8[ns]" if name == "timestamp" else KLINES[name]) for name in KLINES.names or ()])

    assert times_ms(rows_of(other)).tolist() == times_ms(rows).tolist()


def changed(name: str, value: float) -> Rows:
    rows = walk(5)
    rows[name][3] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (walk(5)[::-1], r"not in order: row 1 opened at 2024-01-01 12:03:00\+00:00, and the one before it at .* 12:04"),
        (walk(5)[[0, 1, 1]], "not in order: row 2"),
        (changed("close", 0.0), r"close is 0.0 in row 3, of 2024-01-01 12:03:00\+00:00"),
        (changed("open", np.nan), "open is nan in row 3"),
        (changed("high", np.inf), "high is inf in row 3"),
        (changed("volume", np.nan), "volume is nan in row 3"),
        (changed("volume", -1.0), "volume is -1.0 in row 3"),
        (walk(5)["close"], "no candles: there is no close, high, low, open, timestamp, volume. Give client"),
        (walk(4).reshape(2, 2), "no single row of them"),
        ([1, 2, 3], "list is no candles: give client"),
        (AsyncClient("redis://127.0.0.1:1", api="", database="").klines(SYMBOL, "1m"), "is to be awaited"),
        (walk(4).view("u1"), "there is no close"),
        (Table(Key("trade", SYMBOL), [trade(1)], []), "there is no close, high, low, open, volume"),
    ],
)
def test_what_are_no_candles_in_order_is_refused(rows: Rows, sentence: str) -> None:
    with pytest.raises(WrongQuestion, match=sentence):
        rows_of(rows)


def minutes(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return (times_ms(rows) - NOON_MS) // MINUTE_MS
