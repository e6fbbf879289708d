"""The function that moves a record out of quarantine, on every server that is found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline
from data_collector.model.store_url import StoreAddress
from data_collector.model.wire import json_text, kline_json, trade_json
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.quarantine import PAGE_ENTRIES, KlineKey, QuarantineStreams, Release
from tests.contract.stores import WEEK_S, Reader
from tests.market import SYMBOL, kline, trade

Word = bytes | bytearray | memoryview | str | int | float
"""What redis-py takes."""

QUARANTINE, LATE = f"quarantine:{SYMBOL}", f"late:{SYMBOL}"
NOON = "2024-01-01T12:00:00+00:00"
KLINE_KEY = f"kline:{SYMBOL}:1m:{NOON}"
ORIGIN_KEY = f"collector:origin:{SYMBOL}:1m:{NOON}"
DIGITS = trade_json(trade(7, price="0.10000000000000000001000", quantity="1e-8"), json_text(SYMBOL))


@pytest.fixture
async def streams(store_address: StoreAddress, reader: Reader) -> AsyncIterator[QuarantineStreams]:
    """The command's side of it, on an empty store."""
    connection = await StoreConnection.connect(store_address)
    streams = QuarantineStreams(connection, StoreKeys())
    await streams.prepare()
    yield streams
    connection.close()
    await asyncio.sleep(0)


@pytest.fixture
async def others(store_address: StoreAddress, streams: QuarantineStreams) -> AsyncIterator[QuarantineStreams]:
    """A second replay at the same time."""
    connection = await StoreConnection.connect(store_address)
    yield QuarantineStreams(connection, StoreKeys())
    connection.close()
    await asyncio.sleep(0)


def text_of(record: Kline) -> str:
    """As it stands in the store."""
    return kline_json(record, json_text(record.symbol))


def refuse(reader: Reader, text: str, **more: str) -> str:
    """An entry of quarantine; its id."""
    fields: dict[Word, Word] = {"data": text, "why": "[]", "at": NOON}
    fields.update(more.items())
    return str(reader.client.xadd(QUARANTINE, fields))


def released(entry_id: str, *warnings: str, closed: bool | None = None) -> Release:
    """A trade, or the kline of noon when it is said whether it is closed."""
    key = None if closed is None else KlineKey("1m", NOON, closed, WEEK_S)
    return Release(entry_id, warnings, key)


def everything(reader: Reader) -> dict[object, object]:
    """All keys with what they hold."""
    keys = reader.client.keys()
    return {key: reader.client.dump(str(key)) for key in keys}


def late(reader: Reader) -> list[dict[str, str]]:
    """Fields of all late entries."""
    return [fields for _, fields in reader.entries(LATE)]


async def test_trade_moves_with_every_digit_and_once(streams: QuarantineStreams, reader: Reader) -> None:
    entry_id = refuse(reader, DIGITS)

    outcomes = await streams.release(SYMBOL, [released(entry_id), released(entry_id)])
    again = await streams.release(SYMBOL, [released(entry_id)])

    assert (outcomes, again) == (["late", "gone"], ["gone"])
    assert late(reader) == [{"data": DIGITS, "why": "replayed"}]
    assert reader.entries(QUARANTINE) == []
    assert sorted(reader.client.keys()) == [LATE, QUARANTINE]


async def test_bytes_that_are_no_text_move_as_they_are(streams: QuarantineStreams, reader: Reader) -> None:
    entry_id = str(reader.client.xadd(QUARANTINE, {"data": b'{"x": "\xff\xfe"}', "why": "[]"}))

    await streams.release(SYMBOL, [released(entry_id)])

    assert b"\xff\xfe" in bytes(reader.client.dump(LATE) or b"")


async def test_warnings_and_source_are_told(streams: QuarantineStreams, reader: Reader) -> None:
    entry_id = refuse(reader, DIGITS, src="rest")

    await streams.release(SYMBOL, [released(entry_id, "cap", "floor")])

    assert late(reader) == [{"data": DIGITS, "why": "replayed", "warnings": "cap,floor", "src": "rest"}]


async def test_closed_kline_goes_into_late_and_into_its_key_that_expires(
    streams: QuarantineStreams, reader: Reader
) -> None:
    text = text_of(kline())
    entry_id = refuse(reader, text)

    assert await streams.release(SYMBOL, [released(entry_id, closed=True)]) == ["late"]

    assert late(reader) == [{"data": text, "why": "replayed"}]
    assert reader.client.get(KLINE_KEY) == text
    assert reader.client.get(ORIGIN_KEY) is None
    assert WEEK_S - 60 < int(str(reader.client.ttl(KLINE_KEY))) <= WEEK_S


async def test_where_a_kline_is_from_goes_along(streams: QuarantineStreams, reader: Reader) -> None:
    ids = [refuse(reader, text_of(kline(closed=False))), refuse(reader, text_of(kline()), src="rest")]

    await streams.release(SYMBOL, [released(ids[0], "cap", closed=False)])
    assert reader.client.get(ORIGIN_KEY) == "ws cap"
    await streams.release(SYMBOL, [released(ids[1], closed=True)])

    assert reader.client.get(ORIGIN_KEY) == "rest "
    assert late(reader) == [{"data": text_of(kline()), "why": "replayed", "src": "rest"}]


async def test_closed_kline_replaces_an_open_one(streams: QuarantineStreams, reader: Reader) -> None:
    reader.client.set(KLINE_KEY, text_of(kline(closed=False)))
    text = text_of(kline())

    assert await streams.release(SYMBOL, [released(refuse(reader, text), closed=True)]) == ["late"]

    assert reader.client.get(KLINE_KEY) == text


async def test_newer_closed_kline_stays(streams: QuarantineStreams, reader: Reader) -> None:
    newer = text_of(kline(volume="9"))
    reader.client.set(KLINE_KEY, newer)
    text = text_of(kline())

    assert await streams.release(SYMBOL, [released(refuse(reader, text), closed=True)]) == ["newer_kept"]

    assert reader.client.get(KLINE_KEY) == newer
    assert late(reader) == [{"data": text, "why": "replayed"}]


async def test_copy_that_another_collector_refused_too_is_told_once(streams: QuarantineStreams, reader: Reader) -> None:
    text = text_of(kline())
    releases = [released(refuse(reader, text), closed=True) for _ in range(2)]

    assert await streams.release(SYMBOL, releases) == ["late", "known"]

    assert len(late(reader)) == 1
    assert reader.entries(QUARANTINE) == []


async def test_open_kline_is_written_only_where_there_is_none_and_never_late(
    streams: QuarantineStreams, reader: Reader
) -> None:
    first, second = (text_of(kline(closed=False, volume=volume)) for volume in ("1", "2"))
    releases = [released(refuse(reader, text), closed=False) for text in (first, second)]

    assert await streams.release(SYMBOL, releases) == ["open_key", "superseded"]

    assert reader.client.get(KLINE_KEY) == first
    assert 0 < int(str(reader.client.ttl(KLINE_KEY))) <= WEEK_S
    assert late(reader) == []
    assert reader.entries(QUARANTINE) == []


@pytest.mark.parametrize("foreign", [QUARANTINE, LATE, KLINE_KEY])
async def test_with_a_key_of_another_type_nothing_is_written(
    streams: QuarantineStreams, reader: Reader, foreign: str
) -> None:
    entry_id = "1-1" if foreign == QUARANTINE else refuse(reader, text_of(kline()))
    reader.client.sadd(foreign, "somebody else's")
    before = everything(reader)

    assert await streams.release(SYMBOL, [released(entry_id, closed=True)]) == ["foreign_key"]

    (sentence,) = streams.foreign
    assert sentence.startswith(f"{foreign} is a set and should be a st")
    assert everything(reader) == before


async def test_key_that_holds_no_kline_stays_as_it_is(streams: QuarantineStreams, reader: Reader) -> None:
    reader.client.set(KLINE_KEY, "somebody else's")
    entry_id = refuse(reader, text_of(kline()))

    assert await streams.release(SYMBOL, [released(entry_id, closed=True)]) == ["foreign_key"]

    assert streams.foreign == {f"{KLINE_KEY} holds no kline"}
    assert reader.client.get(KLINE_KEY) == "somebody else's"
    assert len(reader.entries(QUARANTINE)) == 1


async def test_quarantine_of_another_type_has_no_pages(streams: QuarantineStreams, reader: Reader) -> None:
    reader.client.set(QUARANTINE, "somebody else's")

    assert [page async for page in streams.pages(SYMBOL)] == []
    assert streams.foreign == {f"{QUARANTINE} is no stream"}


@pytest.mark.parametrize("count", [0, 1, PAGE_ENTRIES, PAGE_ENTRIES + 1, 2 * PAGE_ENTRIES])
async def test_pages_hold_every_entry_once_oldest_first_while_they_are_moved(
    streams: QuarantineStreams, reader: Reader, count: int
) -> None:
    ids = [refuse(reader, json.dumps({"trade_id": number})) for number in range(count)]
    seen: list[str] = []

    async for page in streams.pages(SYMBOL):
        assert 0 < len(page) <= PAGE_ENTRIES
        seen += [entry.id for entry in page]
        await streams.release(SYMBOL, [released(entry.id) for entry in page])

    assert seen == ids
    assert reader.quarantined() == []
    assert [record["trade_id"] for record in reader.records(LATE)] == list(range(count))


async def test_two_replays_at_once_move_each_record_once(
    streams: QuarantineStreams, others: QuarantineStreams, reader: Reader
) -> None:
    releases = [released(refuse(reader, json.dumps({"trade_id": number}))) for number in range(300)]

    one, other = await asyncio.gather(streams.release(SYMBOL, releases), others.release(SYMBOL, releases))

    assert {frozenset(pair) for pair in zip(one, other, strict=True)} == {frozenset({"late", "gone"})}
    assert sorted(int(str(record["trade_id"])) for record in reader.records(LATE)) == list(range(300))


async def test_late_is_trimmed_as_other_side_streams(
    streams: QuarantineStreams, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_collector.sinks.redis.quarantine.SIDE_MAXLEN", 100)
    releases = [released(refuse(reader, "{}")) for _ in range(1_000)]

    await streams.release(SYMBOL, releases)

    assert 100 <= len(late(reader)) <= 300


@pytest.mark.parametrize("missing", ["+xrange", "+xdel", "+get", "~late:*"])
async def test_right_that_is_missing_is_told_before_anything_is_written(
    store_address: StoreAddress, reader: Reader, missing: str
) -> None:
    rights = ["~quarantine:*", "~late:*", "~kline:*", "+fcall", "+function|load", "+client|setname"]
    rights += ["+type", "+xrange", "+xadd", "+xdel", "+get", "+set"]
    given = [right for right in rights if right != missing]
    keys = [right[1:] for right in given if right.startswith("~")]
    commands = [right for right in given if right.startswith("+")]
    reader.client.acl_setuser("operator", enabled=True, passwords="+secret", keys=keys, commands=commands, reset=True)
    refuse(reader, DIGITS)
    address = StoreAddress(unix_path=store_address.unix_path, username="operator", password="secret")
    connection = await StoreConnection.connect(address)

    with pytest.raises(Misconfigured, match="lacks rights: "):
        await QuarantineStreams(connection, StoreKeys()).prepare()
    connection.close()
    await asyncio.sleep(0)
    reader.client.acl_deluser("operator")

    assert (len(reader.entries(QUARANTINE)), late(reader)) == (1, [])


async def test_server_without_the_function_ends_it_as_a_sentence(streams: QuarantineStreams, reader: Reader) -> None:
    entry_id = refuse(reader, DIGITS)
    reader.client.function_flush()

    with pytest.raises(SinkUnavailable, match="run it again"):
        await streams.release(SYMBOL, [released(entry_id)])
