"""Words of users about a table: which are taken, and the sentence for those that are not."""

from __future__ import annotations

import pytest
import redis
import redis.asyncio

from data_collector.client.adapters.feeding.asked import Asked, asked_of
from data_collector.client.errors import WrongQuestion
from data_collector.client.terms.times import Time

STORE = "redis://127.0.0.1:6379"


def asked(stream: str, start: Time = "0", *, closed_only: bool = False, revisions: bool = False) -> Asked:
    return asked_of(STORE, stream, start, closed_only=closed_only, revisions=revisions)


def test_stream_is_named_as_in_the_store() -> None:
    assert asked("stream:BTCUSDT") == Asked(STORE, "binance", "stream", "BTCUSDT", "earliest", False, False)
    assert asked("kraken:trades:BTC/USD", "$") == Asked(STORE, "kraken", "trades", "BTC/USD", "now", False, False)


@pytest.mark.parametrize("stream", ["BTCUSDT", "klines:BTCUSDT", "stream:", "quarantine:BTCUSDT", ""])
def test_what_makes_no_table_is_refused(stream: str) -> None:
    with pytest.raises(WrongQuestion, match="write stream:BTCUSDT, trades:BTCUSDT or gaps:BTCUSDT"):
        asked(stream)


def test_late_is_told_to_be_a_part_of_other_tables() -> None:
    with pytest.raises(WrongQuestion, match="revisions=True"):
        asked("late:BTCUSDT")


def test_what_says_nothing_of_a_stream_is_refused() -> None:
    with pytest.raises(WrongQuestion, match="closed_only=True is about candles, and trades:BTCUSDT holds none"):
        asked("trades:BTCUSDT", closed_only=True)
    with pytest.raises(WrongQuestion, match="revisions=True is about records, and gaps:BTCUSDT holds none"):
        asked("gaps:BTCUSDT", revisions=True)
    with pytest.raises(WrongQuestion, match="leave start out"):
        asked("gaps:BTCUSDT", "-1h")
    with pytest.raises(WrongQuestion, match="has no time zone"):
        asked("trades:BTCUSDT", "2024-01-01T12:00:00")


async def test_client_of_asyncio_is_refused() -> None:
    client = redis.asyncio.Redis()

    with pytest.raises(WrongQuestion, match=r"a redis\.Redis, and was given redis\.asyncio\.client\.Redis"):
        asked_of(client, "stream:BTCUSDT", "0", closed_only=False, revisions=False)

    await client.aclose()
