"""What tables are fed with, on a real store: all intervals, the newest numbers, and declared gaps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from decimal import Decimal

import pytest

from data_collector.client.adapters.feeding.asked import Asked, asked_of
from data_collector.client.adapters.feeding.feeds import DeclaredGap, Feed, GapsFeed, RecordsFeed
from data_collector.client.records import Kline
from data_collector.model.wire import json_text, kline_json
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.stores import Reader
from tests.market import MINUTE_MS, NOON_MS, PREFIX, SYMBOL, kline

STREAM, LATE, GAPS = f"stream:{SYMBOL}", f"late:{SYMBOL}", f"gaps:{SYMBOL}"


def asked(address: str, stream: str, *, revisions: bool = False) -> Asked:
    """Without history: what the streams do not hold is missing."""
    return asked_of(address, f"{PREFIX}{stream}", "0", closed_only=False, revisions=revisions, api="", database="")


class Table:
    """The rows that stand, and how far they reach."""

    def __init__(self, address: str, stream: str, *, revisions: bool = False) -> None:
        self.closes: dict[tuple[str, int], Decimal] = {}
        self.gaps: list[DeclaredGap] = []
        self._asked = asked(address, stream, revisions=revisions)
        self._position: str | None = None
        self._feed: Feed | None = None

    def read_once(self) -> None:
        self._feed = self._feed or (GapsFeed if self._asked.kind == "gaps" else RecordsFeed)(
            self._asked, self._position
        )
        rows = self._feed.poll(0)
        for record in rows.records:
            if isinstance(record, Kline):
                minute = int((record.timestamp.timestamp() * 1000 - NOON_MS) // MINUTE_MS)
                self.closes[record.interval, minute] = record.close
            else:
                assert isinstance(record, DeclaredGap)
                self.gaps.append(record)
        self._position = rows.position

    def read(self) -> None:
        """All that there is."""
        self.read_once()
        while self._feed is not None and not self._feed.is_caught_up:
            self.read_once()

    def begin_again(self) -> None:
        """As after a kill."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None


@pytest.fixture
def candles(address: str, reader: Reader) -> Iterator[Table]:
    table = Table(address, STREAM, revisions=True)
    yield table
    table.begin_again()


async def test_interval_that_begins_later_is_in_the_table_of_candles(candles: Table, sink: RedisSink) -> None:
    await sink.write(stores.klines(kline(0)))
    candles.read()
    await sink.write(stores.klines(kline(0, interval="5m"), kline(5, interval="5m", closed=False)))
    candles.read()

    assert sorted(candles.closes) == [("1m", 0), ("5m", 0), ("5m", 5)]


@pytest.mark.parametrize("is_killed", [False, True])
async def test_revised_candle_is_not_undone_by_the_one_that_is_read_later(
    candles: Table, reader: Reader, is_killed: bool
) -> None:
    """The stream holds more than one read before the candle, and `late:` less."""
    symbol = json_text(SYMBOL)
    with reader.client.pipeline() as pipeline:
        for _ in range(2000):
            pipeline.xadd(PREFIX + STREAM, {"data": kline_json(kline(0, closed=False), symbol)})
        pipeline.xadd(PREFIX + STREAM, {"data": kline_json(kline(0), symbol)})
        revised = kline_json(kline(0, close="45180.51"), symbol)
        pipeline.xadd(PREFIX + LATE, {"data": revised, "why": "revision", "src": "rest"})
        pipeline.execute()

    while not candles.closes:
        candles.read_once()
    if is_killed:
        candles.begin_again()
    candles.read()

    assert candles.closes == {("1m", 0): Decimal("45180.51")}


async def test_gaps_are_rows_that_an_emptied_store_gives_again(
    address: str, sink: RedisSink, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(address, GAPS)
    await sink.write(stores.trades(1, 3))
    await sink.write(stores.trades(7, 8, after=3, reason="lost"))
    await sink.write(stores.klines(kline(0), kline(3), gaps=[stores.minutes(1, 2, "absent")]))
    reader.client.xadd(GAPS, {"data": "hello"})
    with caplog.at_level(logging.WARNING):
        table.read()
    kept = reader.entries(GAPS)
    reader.client.flushall()
    table.read()
    table.begin_again()
    reader.client.xadd(GAPS, {"data": kept[0][1]["data"]}, id=kept[0][0])
    table.read()
    table.begin_again()

    lost = DeclaredGap(SYMBOL, "trade", None, 4, 6, 3, "lost", (), 0)
    absent = DeclaredGap(SYMBOL, "kline", "1m", NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS, 2, "absent", (), 0)
    assert table.gaps == [lost, absent, lost]
    assert "is no gap of ours" in caplog.text


async def test_gap_among_records_is_told(
    address: str, sink: RedisSink, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    await sink.write(stores.trades(1, 3))
    await sink.write(stores.trades(7, 8, after=3, reason="lost"))
    feed = RecordsFeed(asked(address, f"trades:{SYMBOL}"), None)

    with caplog.at_level(logging.WARNING):
        rows = feed.poll(0)
    feed.close()

    assert len(rows.records) == 5
    assert f"3 trades of {SYMBOL} are missing (lost): 4 to 6" in caplog.text
