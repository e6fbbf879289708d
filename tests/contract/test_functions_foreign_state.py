"""State of ours that somebody else wrote, on every server that is found: told, and what is beside it goes on."""

from __future__ import annotations

import pytest

from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import Key
from data_collector.model.sink import Batch, Behind, NewestUpdate, SideEntry
from data_collector.sinks.redis import sink as sink_module
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import Reader, klines, minutes, run_of, trades
from tests.market import MINUTE_MS, NOON_MS, PREFIX, SYMBOL, kline, quote, ticker, trade

STREAM = f"stream:{SYMBOL}"
LATEST = f"latest:{SYMBOL}"
GAPS = f"gaps:{SYMBOL}"
CURSORS = f"collector:klines:{SYMBOL}"
OTHER = "OTHERUSDT"
KEY = Key("trade", SYMBOL)


@pytest.fixture
async def filled(sink: RedisSink, reader: Reader) -> RedisSink:
    """It has written trades 10 to 14 of both symbols."""
    await sink.write(trades(10, 14))
    await sink.write(Batch(trades=[run_of([trade(number, symbol=OTHER) for number in range(10, 15)])]))
    return sink


@pytest.mark.parametrize(("field", "text"), [("trade_id", "abc"), ("trade_id", "1e400"), ("trade_id", "")])
async def test_garbage_in_latest_stops_that_alone(filled: RedisSink, reader: Reader, field: str, text: str) -> None:
    """`HSET latest:BTCUSDT trade_id abc`: an error of the functions would refuse the batch of all symbols, for ever."""
    await filled.write(Batch(newest=[NewestUpdate(ticker())]))
    reader.client.hset(LATEST, field, text)
    for number in (15, 16):
        batch = trades(number, number)
        batch.trades.append(run_of([trade(number, symbol=OTHER)]))
        batch.newest = [NewestUpdate(ticker(NOON_MS + number)), NewestUpdate(ticker(NOON_MS + number, symbol=OTHER))]
        assert await filled.write(batch) == []

    assert list(filled.broken_keys) == [f"{PREFIX}{LATEST}"]
    assert reader.ids()[-1] == reader.ids(OTHER)[-1] == 16

    reader.client.delete(LATEST)
    await filled.write(Batch(newest=[NewestUpdate(ticker(NOON_MS + 20))]))
    assert not filled.broken_keys


async def test_garbage_as_time_of_a_ticker_stops_its_symbol_alone(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(newest=[NewestUpdate(ticker())]))
    reader.client.hset(LATEST, "event_ms", "soon")
    later = [NewestUpdate(ticker(NOON_MS + 5)), NewestUpdate(ticker(NOON_MS + 5, symbol=OTHER))]
    assert await sink.write(Batch(newest=later)) == []

    assert list(sink.broken_keys) == [f"{PREFIX}{LATEST}"]
    assert reader.latest(OTHER)["event_ms"] == str(NOON_MS + 5)


@pytest.mark.parametrize(("field", "text"), [("event_ms", str(NOON_MS + 7_200_000)), ("trade_id", "9007199254740000")])
async def test_latest_of_a_time_or_an_id_to_come_is_told(
    sink: RedisSink, reader: Reader, field: str, text: str
) -> None:
    """Nothing would be newer before that, and all would seem well."""
    await sink.write(Batch(newest=[NewestUpdate(ticker(last_id=500))]))
    reader.client.hset(LATEST, field, text)
    for number in (1, 2):
        await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS + number, last_id=500 + number))]))
        assert list(sink.broken_keys) == [f"{PREFIX}{LATEST}"]

    reader.client.delete(LATEST)
    await sink.write(Batch(newest=[NewestUpdate(ticker(NOON_MS + 3, last_id=503))]))
    assert not sink.broken_keys
    assert reader.latest()["trade_id"] == "503"


async def test_garbage_in_a_quote_stops_its_symbol_alone(sink: RedisSink, reader: Reader) -> None:
    reader.client.hset(f"{PREFIX}quote:{SYMBOL}", "update_id", "abc")
    assert await sink.write(Batch(newest=[NewestUpdate(quote())], trades=[run_of([trade(1)])])) == []

    assert list(sink.broken_keys) == [f"{PREFIX}quote:{SYMBOL}"]
    assert reader.ids() == [1]


@pytest.mark.parametrize(
    "text", ["", "abc", "1 2", "1 2 x", "1 2 3", "0 0 0", f"{NOON_MS + MINUTE_MS + 1} -1 -1", f"{10**17} -1 -1"]
)
async def test_garbage_as_state_of_a_series_stops_that_series_alone(sink: RedisSink, reader: Reader, text: str) -> None:
    """`HSET collector:klines:BTCUSDT 1m abc`: neither a write of the others nor a start ends with it."""
    await sink.write(klines(kline(0), kline(0, interval="5m")))
    reader.client.hset(CURSORS, "1m", text)
    five_ms = NOON_MS + 5 * MINUTE_MS
    batch = klines(kline(1), kline(1, closed=False), kline(5, interval="5m", closed=False))
    batch.trades = [run_of([trade(1)])]
    assert await sink.write(batch) == []

    field = f"{PREFIX}{CURSORS} field 1m"
    assert list(sink.broken_keys) == [field]
    assert reader.ids() == [1]
    assert reader.records(STREAM)[-1]["interval"] == "5m"
    assert await sink.kline_cursors([SYMBOL], ["1m", "5m"], five_ms) == {Key("kline", SYMBOL, "5m"): five_ms}
    assert list(sink.broken_keys) == [field]

    # What the sentence advises.
    reader.client.delete(CURSORS, STREAM)
    await sink.write(klines(kline(1)))
    assert not sink.broken_keys


@pytest.mark.parametrize("entry", ["", "9999999999999-0"], ids=["gone", "ahead"])
async def test_klines_of_which_the_state_does_not_know_are_not_written_again(
    sink: RedisSink, reader: Reader, entry: str
) -> None:
    """`DEL collector:klines:BTCUSDT`, and a last entry that the stream has never had."""
    await sink.write(klines(kline(0), kline(1)))
    if entry:
        reader.client.hset(CURSORS, "entry", entry)
    else:
        reader.client.delete(CURSORS)
    for _ in range(2):
        await sink.write(klines(kline(0), kline(1), kline(2)))
        assert list(sink.broken_keys) == [f"{PREFIX}{STREAM}"]
    assert [str(record["timestamp"])[14:16] for record in reader.records(STREAM)] == ["00", "01"]

    # What the sentence advises.
    reader.client.delete(STREAM)
    await sink.write(klines(kline(0), kline(1), kline(2)))
    assert not sink.broken_keys
    assert [str(record["timestamp"])[14:16] for record in reader.records(STREAM)] == ["00", "01", "02"]


async def test_state_of_a_series_that_names_a_time_before_what_is_stored_is_told(
    sink: RedisSink, reader: Reader
) -> None:
    """`HSET collector:klines:BTCUSDT 1m "-1 -1 -1"`: all that is there would be written again."""
    await sink.write(klines(kline(0), kline(1)))
    reader.client.hset(CURSORS, "1m", "-1 -1 -1")
    for _ in range(2):
        await sink.write(klines(kline(0), kline(1), kline(2)))
    assert list(sink.broken_keys) == [f"{PREFIX}{CURSORS} field 1m"]
    assert len(reader.records(STREAM)) == 2


async def test_state_that_goes_back_is_told_while_open_klines_are_stored_and_not_after_its_cure(
    sink: RedisSink, reader: Reader
) -> None:
    """An open one follows each closing frame at once: it says nothing of what is due."""
    await sink.write(klines(kline(0), kline(1)))
    reader.client.hset(CURSORS, "1m", f"{NOON_MS - 60 * MINUTE_MS} -1 -1")
    for number in (2, 3):
        await sink.write(klines(kline(number), kline(number + 1, closed=False)))
        assert list(sink.broken_keys) == [f"{PREFIX}{CURSORS} field 1m"]

    reader.client.delete(CURSORS, STREAM)
    await sink.write(klines(kline(5, closed=False)))
    assert not sink.broken_keys


@pytest.mark.parametrize("back", [1, 2])
async def test_state_that_goes_back_behind_many_other_entries_doubles_no_kline(
    sink: RedisSink, reader: Reader, back: int
) -> None:
    """Whether what is missing is told first or the next kline, of a series whose newest one is far from the end."""
    await sink.write(klines(*(kline(number) for number in range(4))))
    for _ in range(6_000):
        reader.client.xadd(STREAM, {"data": '{"interval":"1h","is_closed":false}'})
    state = str(reader.client.hget(CURSORS, "1m"))
    due, _, rest = state.partition(" ")
    reader.client.hset(CURSORS, "1m", f"{int(due) - back * MINUTE_MS} {rest}")
    for records in ([kline(4 - back), kline(4)], [kline(4), kline(5)]):
        await sink.write(klines(*records))
        assert list(sink.broken_keys) == [f"{PREFIX}{CURSORS} field 1m"]
    assert [str(record["timestamp"])[14:16] for record in reader.records(STREAM) if "timestamp" in record] == [
        "00", "01", "02", "03",
    ]  # fmt: skip


async def test_state_that_is_one_kline_ahead_passes_over_none(sink: RedisSink, reader: Reader) -> None:
    """The kline that runs would count as written when it closes."""
    await sink.write(klines(kline(0), kline(1)))
    due, _, rest = str(reader.client.hget(CURSORS, "1m")).partition(" ")
    reader.client.hset(CURSORS, "1m", f"{int(due) + MINUTE_MS} {rest}")
    for records in ([kline(2, closed=False)], [kline(2)], [kline(2), kline(3)]):
        await sink.write(klines(*records))
    assert list(sink.broken_keys) == [f"{PREFIX}{CURSORS} field 1m"]
    assert [str(record["timestamp"])[14:16] for record in reader.records(STREAM)] == ["00", "01"]


async def test_kline_that_was_written_and_comes_again_is_known(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0), kline(1)))
    reader.client.delete(f"kline:{SYMBOL}:1m:2024-01-01T12:01:00+00:00")
    reader.client.function_flush()
    with pytest.raises(SinkUnavailable):
        await sink.write(klines(kline(1)))
    await sink.write(klines(kline(1)))
    await sink.write(klines(kline(1), kline(2)))
    assert not sink.broken_keys
    assert [str(record["timestamp"])[14:16] for record in reader.records(STREAM)] == ["00", "01", "02"]


@pytest.mark.parametrize("minute", [1, 2])
async def test_closed_kline_of_a_stranger_is_told_until_it_is_gone(
    sink: RedisSink, reader: Reader, minute: int
) -> None:
    """A copy of one that is there, and of the one that runs."""
    await sink.write(klines(kline(0), kline(1)))
    copy = reader.entries(STREAM)[-1][1]["data"].replace("12:01:00", f"12:0{minute}:00")
    entry = str(reader.client.xadd(STREAM, {"data": copy}))
    for number in (2, 3):
        await sink.write(klines(kline(number)))
        assert list(sink.broken_keys) == [f"{PREFIX}{STREAM}"]
        assert entry in sink.broken_keys[f"{PREFIX}{STREAM}"]
    reader.client.xdel(STREAM, entry)
    await sink.write(klines(kline(2), kline(3)))
    assert not sink.broken_keys
    assert [str(record["timestamp"])[14:16] for record in reader.records(STREAM)] == ["00", "01", "02", "03"]


@pytest.mark.parametrize("field", [0, 1])
async def test_state_of_a_series_that_names_a_time_to_come_is_told(sink: RedisSink, reader: Reader, field: int) -> None:
    """Nothing would close before that, and all would seem well."""
    await sink.write(klines(kline(0)))
    state = [NOON_MS + MINUTE_MS, NOON_MS, NOON_MS + MINUTE_MS]
    state[field] += 3 * 60 * MINUTE_MS
    reader.client.hset(CURSORS, "1m", " ".join(map(str, state)))

    for record in (kline(1, closed=False), kline(1), kline(2, closed=False)):
        await sink.write(klines(record))
    assert list(sink.broken_keys) == [f"{PREFIX}{CURSORS} field 1m"]


async def test_start_does_not_wait_for_a_kline_of_the_future(sink: RedisSink, reader: Reader) -> None:
    due_ms = NOON_MS + 60 * MINUTE_MS
    reader.client.hset(CURSORS, "1m", f"{due_ms} {due_ms - MINUTE_MS} {due_ms}")

    assert await sink.kline_cursors([SYMBOL], ["1m"], NOON_MS) == {}
    assert list(sink.broken_keys) == [f"{PREFIX}{CURSORS} field 1m"]


@pytest.mark.parametrize("key", [STREAM, f"quarantine:{SYMBOL}", f"late:{SYMBOL}"])
async def test_stream_whose_last_id_is_taken_stops_that_alone(filled: RedisSink, reader: Reader, key: str) -> None:
    """`XADD … 18446744073709551615-18446744073709551615`: the server takes no entry behind it."""
    reader.client.xadd(key, {"data": "mine"}, id="18446744073709551615-18446744073709551615")
    for number, trade_id in ((1, 20), (3, 30)):
        batch = klines(kline(number // 2))
        batch.trades = [
            run_of([trade(trade_id)], refused=[trade_id - 1], after=max(14, trade_id - 10)),
            run_of([trade(trade_id, symbol=OTHER)], after=max(14, trade_id - 10)),
        ]
        batch.side = [
            SideEntry("quarantine", SYMBOL, ("data", "x", "why", "[]"), number),
            SideEntry("late", SYMBOL, ("data", "x", "why", "[]"), number + 1),
        ]
        assert await filled.write(batch) == []

    assert list(filled.broken_keys) == [f"{PREFIX}{key}"]
    assert reader.ids()[-2:] == reader.ids(OTHER)[-2:] == [20, 30]


async def test_key_of_another_type_is_told_before_anything_is_written_to_it(
    filled: RedisSink, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "CLAIM_S", 0.0)
    filled.sides = lambda: [f"{PREFIX}{kind}:{SYMBOL}" for kind in ("gaps", "late", "quarantine")]
    reader.client.set(GAPS, "mine")

    await filled.write(trades(15, 15))

    assert list(filled.broken_keys) == [f"{PREFIX}{GAPS}"]


async def test_key_that_is_gone_is_told_no_longer_though_nothing_is_written_to_it(
    filled: RedisSink, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "CLAIM_S", 0.0)
    entry = SideEntry("quarantine", SYMBOL, ("data", "x", "why", "[]"), 1)
    reader.client.set(f"quarantine:{SYMBOL}", "mine")
    await filled.write(Batch(side=[entry]))
    await filled.write(trades(15, 15))
    assert list(filled.broken_keys) == [f"{PREFIX}quarantine:{SYMBOL}"]

    reader.client.delete(f"quarantine:{SYMBOL}")
    await filled.write(trades(16, 16))

    assert not filled.broken_keys


@pytest.mark.parametrize("is_full", [True, False])
async def test_no_hole_is_passed_over_that_cannot_be_declared(
    filled: RedisSink, reader: Reader, *, is_full: bool
) -> None:
    """`SET gaps:BTCUSDT mine`: the trades behind the hole were stored, and nothing explained it any more."""
    if is_full:
        reader.client.xadd(GAPS, {"data": "mine"}, id="18446744073709551615-18446744073709551615")
    else:
        reader.client.set(GAPS, "mine")
    batch = klines(kline(0), kline(2), gaps=[minutes(1, 1, "lost")])
    batch.trades = [run_of([trade(20)], after=14), run_of([trade(15, symbol=OTHER)])]

    assert await filled.write(batch) == [Behind(KEY, 20, blocked=True)]
    assert list(filled.broken_keys) == [f"{PREFIX}{GAPS}"]
    assert (reader.ids()[-1], reader.ids(OTHER)[-1], reader.minutes()) == (14, 15, [("12:00", True)])

    reader.client.delete(GAPS)
    await filled.write(batch)
    assert (reader.ids()[-1], reader.minutes()[-1]) == (20, ("12:02", True))
    assert reader.gaps()[0][:2] == (15, 19)
    assert len(reader.gaps()) == 2
    assert not filled.broken_keys


async def test_marker_that_is_none_of_ours_loses_no_side_entry(sink: RedisSink, reader: Reader) -> None:
    for number, text in enumerate(("abc", "9007199254740991", "1e300")):
        reader.client.set("collector:writer:writer1", text)
        await sink.write(Batch(side=[SideEntry("late", SYMBOL, ("data", str(number)), number + 1)]))

    assert [fields["data"] for _, fields in reader.entries(f"late:{SYMBOL}")] == ["0", "1", "2"]
