"""Every sink: the same batch written twice is stored once, and what is broken stays where it is."""

from __future__ import annotations

import pkgutil
import random

import pytest

import data_collector.sinks
from data_collector.model.errors import Misconfigured
from data_collector.model.sink import Batch, NewestUpdate, SideEntry, Sink, TradeRun
from data_collector.model.store_url import StoreAddress
from data_collector.observe.counters import Counters
from data_collector.sinks.redis.sink import RedisSink
from tests.contract.stores import SOURCE, Entry, Reader, klines, limits, minutes, opened, redis_sink, run_of, trades
from tests.market import NOON_MS, SYMBOL, kline, ticker, trade

OTHER = "ETHUSDT"
STREAMS = [
    f"{kind}:{symbol}" for kind in ("trades", "stream", "gaps", "late", "quarantine") for symbol in (SYMBOL, OTHER)
]
STORED = "data_collector_records_stored_total"
KNOWN = "data_collector_records_known_total"


def everything() -> Batch:
    """A batch with something of each kind."""
    batch = klines(kline(0), kline(1), kline(2, closed=False))
    batch.trades = [
        run_of([trade(number) for number in range(10, 15)]),
        run_of([trade(20)], refused=[17], after=14),
        run_of([trade(number, symbol=OTHER) for number in range(1, 4)]),
    ]
    batch.newest = [NewestUpdate(ticker()), NewestUpdate(ticker(symbol=OTHER))]
    batch.side = [
        SideEntry("quarantine", "unknown", ("data", "x", "why", "[]", "at", "2024-01-01T12:00:00.000+00:00"), 1),
        SideEntry("late", SYMBOL, ("data", "{}", "why", "recovered"), 2),
    ]
    return batch


def contents(reader: Reader) -> tuple[list[list[Entry]], list[str], dict[str, str]]:
    keys = sorted(str(key) for key in reader.client.scan_iter())
    return [reader.entries(stream) for stream in STREAMS], keys, reader.latest()


def test_every_sink_that_is_shipped_is_tested_here() -> None:
    # A new sink adds its own tests of what stands below. `postgres` is none that the pump writes to: it is filled by
    # the history writer, and tests/integration/test_postgres_writing.py has its promises.
    assert {module.name for module in pkgutil.iter_modules(data_collector.sinks.__path__)} == {"redis", "postgres"}


def test_sink_keeps_the_protocol(sink: RedisSink) -> None:
    kept: Sink = sink
    assert kept is sink


async def test_same_batch_written_twice_is_stored_once(sink: RedisSink, reader: Reader) -> None:
    await sink.write(everything())
    before = contents(reader)
    await sink.write(everything())

    assert contents(reader) == before
    assert reader.ids() == [10, 11, 12, 13, 14, 20]
    assert reader.gaps() == [(15, 16, 2, "absent"), (17, 17, 1, "refused"), (18, 19, 2, "absent")]


async def test_two_processes_that_write_the_same_batch_store_its_records_once(
    sink: RedisSink, other: RedisSink, reader: Reader
) -> None:
    await sink.write(everything())
    before = contents(reader)
    again = everything()
    again.side = []
    await other.write(again)

    assert contents(reader)[0] == before[0]
    assert contents(reader)[2] == before[2]


async def test_same_batch_after_a_lost_connection_is_stored_once(sink: RedisSink, reader: Reader) -> None:
    await sink.write(everything())
    before = contents(reader)
    await sink.close()
    await sink.write(everything())

    assert contents(reader) == before


async def test_empty_batch_is_nothing(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch())

    assert contents(reader)[0] == [[] for _ in STREAMS]
    await sink.write(trades(1, 1))
    assert reader.ids() == [1]


async def test_batch_of_many_holes_is_written_at_once(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1, 1))
    runs = [run_of([trade(number)], after=number - 2) for number in range(3, 203, 2)]
    await sink.write(Batch(trades=runs))

    assert reader.ids() == [1, *range(3, 203, 2)]
    assert reader.gaps() == [(number, number, 1, "absent") for number in range(2, 202, 2)]


async def test_batch_of_many_kline_holes_is_written_at_once(sink: RedisSink, reader: Reader) -> None:
    await sink.write(klines(kline(0)))
    await sink.write(every_second(2, 400))

    assert len(reader.minutes()) == 1 + 199
    assert [gap[2:] for gap in reader.gaps()] == [(1, "lost")] * 199


async def test_counters_say_what_was_stored_and_what_was_known(
    sink: RedisSink, counters: Counters, reader: Reader
) -> None:
    await sink.write(trades(10, 14))
    await sink.write(trades(12, 16))
    await sink.write(trades(20, 20, refused=[18], after=16))

    assert counters.value(STORED, channel="trade") == len(reader.ids()) == 8
    assert counters.value(KNOWN, channel="trade") == 3
    assert counters.value("data_collector_gap_records_total", channel="trade", reason="absent") == 2
    assert counters.value("data_collector_gap_records_total", channel="trade", reason="refused") == 1


async def test_hole_is_counted_once_when_several_runs_follow_it(sink: RedisSink, counters: Counters) -> None:
    await sink.write(trades(10, 10))
    await sink.write(Batch(trades=[run_of([trade(15)], after=10), run_of([trade(16)]), run_of([trade(17)])]))

    assert counters.value("data_collector_gaps_total", channel="trade", reason="absent") == 1
    assert counters.value("data_collector_gap_records_total", channel="trade", reason="absent") == 4


@pytest.mark.parametrize(
    "key",
    [
        f"trades:{SYMBOL}",
        f"gaps:{SYMBOL}",
        f"latest:{SYMBOL}",
        f"stream:{SYMBOL}",
        f"quarantine:{SYMBOL}",
    ],
)
async def test_key_that_somebody_uses_for_something_else_is_named_and_other_symbols_go_on(
    sink: RedisSink, reader: Reader, key: str
) -> None:
    await sink.write(everything())
    reader.client.delete(key)
    reader.client.set(key, "mine")
    for number, trade_id in ((3, 30), (5, 40)):
        batch = klines(kline(trade_id))
        before = {30: (20, 3)}.get(trade_id, (30, 30))
        batch.trades = [
            run_of([trade(trade_id)], refused=[trade_id - 1], after=before[0]),
            run_of([trade(trade_id, symbol=OTHER)], after=before[1]),
        ]
        batch.newest = [NewestUpdate(ticker(NOON_MS + trade_id))]
        batch.side = [
            SideEntry("quarantine", SYMBOL, ("data", "x", "why", "[]"), number),
            SideEntry("late", OTHER, ("data", "x", "why", "[]"), number + 1),
        ]
        await sink.write(batch)

    assert reader.client.get(key) == "mine"
    assert list(sink.broken_keys) == [key]
    assert reader.ids(OTHER)[-2:] == [30, 40]


async def test_quarantine_of_another_type_does_not_stop_the_store(sink: RedisSink, reader: Reader) -> None:
    await sink.write(Batch(side=[SideEntry("late", SYMBOL, ("data", "1"), 1)]))
    reader.client.set(f"quarantine:{SYMBOL}", "mine")
    await sink.write(Batch(side=[SideEntry("quarantine", SYMBOL, ("data", "2"), 2)]))
    await sink.write(Batch(side=[SideEntry("late", SYMBOL, ("data", "3"), 3)], trades=[run_of([trade(1)])]))

    assert [fields["data"] for _, fields in reader.entries(f"late:{SYMBOL}")] == ["1", "3"]
    assert reader.ids() == [1]


async def test_failover_that_forgot_side_entries_does_not_stop_the_store(sink: RedisSink, reader: Reader) -> None:
    for number in (1, 2, 3):
        await sink.write(Batch(side=[SideEntry("late", SYMBOL, ("data", str(number)), number)]))
    reader.client.set("collector:writer:writer1", "1")
    reader.client.xtrim(f"late:{SYMBOL}", maxlen=1, approximate=False)

    await sink.write(Batch(side=[SideEntry("late", SYMBOL, ("data", "4"), 4)], trades=[run_of([trade(1)])]))

    assert [fields["data"] for _, fields in reader.entries(f"late:{SYMBOL}")][-1] == "4"
    assert reader.ids() == [1]


@pytest.mark.parametrize("seed", range(6))
async def test_collectors_that_write_different_parts_of_one_tape_in_any_order_make_it_whole(
    sink: RedisSink, other: RedisSink, reader: Reader, seed: int
) -> None:
    choice = random.Random(seed)
    tape = [number for number in range(100, 400) if number == 100 or choice.random() < 0.8]
    position = {sink: 0, other: 0}
    for _ in range(60):
        writer = choice.choice([sink, other])
        first = max(0, position[writer] - choice.randint(0, 3))
        position[writer] = min(first + choice.randint(1, 6), len(tape))
        batch = Batch()
        for index in range(first, position[writer]):
            # The exchange lacks what lies between; one of them tells the last of it as refused.
            before = tape[index - 1] if index else None
            is_refused = before is not None and before < tape[index] - 1 and choice.random() < 0.5
            refused = [tape[index] - 1] if is_refused else []
            batch.trades.append(run_of([trade(tape[index])], refused, after=before))
        for behind in await writer.write(batch):
            assert behind.due is not None
            position[writer] = sum(number < behind.due for number in tape)

    ids = [int(str(number)) for number in reader.ids()]
    told = [number for first, last, *_ in reader.gaps() for number in range(int(str(first)), int(str(last)) + 1)]
    assert ids == tape[: len(ids)]
    assert sorted(ids + told) == list(range(ids[0], ids[-1] + 1))
    assert len(reader.quarantined()) == len(set(reader.quarantined()))


async def test_store_of_another_exchange_is_refused_naming_both(store_address: StoreAddress, reader: Reader) -> None:
    reader.client.set("collector:source", "https://elsewhere.example")

    with pytest.raises(Misconfigured, match=r"https://elsewhere\.example.*https://exchange\.example"):
        await redis_sink(store_address).open()


async def test_store_is_claimed_with_the_first_record(sink: RedisSink, reader: Reader) -> None:
    assert reader.client.get("collector:source") is None

    await sink.write(everything())

    assert reader.client.get("collector:source") == SOURCE


async def test_store_that_throws_keys_away_is_refused(store_address: StoreAddress, reader: Reader) -> None:
    reader.client.config_set("maxmemory", 100_000_000)
    reader.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(Misconfigured, match=r"maxmemory-policy.*noeviction"):
            await redis_sink(store_address).open()
    finally:
        reader.client.config_set("maxmemory", 0)
        reader.client.config_set("maxmemory-policy", "noeviction")


async def test_store_that_begins_to_throw_keys_away_is_told_until_it_is_set_back(
    sink: RedisSink, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`allkeys-lru` switched on while running: trades went without an error."""
    monkeypatch.setattr("data_collector.sinks.redis.sink.CLAIM_S", 0.0)
    reader.client.config_set("maxmemory", 100_000_000)
    reader.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        await sink.write(trades(1, 1))
        told = sink.unsuited
    finally:
        reader.client.config_set("maxmemory", 0)
        reader.client.config_set("maxmemory-policy", "noeviction")
    await sink.write(trades(2, 2))

    assert told is not None
    assert "maxmemory-policy allkeys-lru" in told
    assert sink.unsuited is None
    assert reader.ids() == [1, 2]


async def test_other_exchanges_keys_begin_with_their_name(store_address: StoreAddress, reader: Reader) -> None:
    async with opened(redis_sink(store_address, prefix="kraken:")) as sink:
        await sink.write(everything())

    assert [key for key in reader.client.scan_iter() if not str(key).startswith("kraken:")] == []


async def test_run_without_refusals_and_entries_changes_nothing(sink: RedisSink, reader: Reader) -> None:
    await sink.write(trades(1, 3))
    await sink.write(Batch(trades=[TradeRun(SYMBOL, 4, [], "", "", 0, 0)]))

    assert reader.ids() == [1, 2, 3]
    assert reader.gaps() == []


async def test_everything_is_trimmed_to_its_limit(store_address: StoreAddress, reader: Reader) -> None:
    bounded = limits(trades_maxlen=100, stream_maxlen=100, side_maxlen=100)
    async with opened(redis_sink(store_address, store_limits=bounded)) as sink:
        for step in range(30):
            batch = every_second(20 * step, 20 * step + 20)
            batch.trades = [
                run_of(
                    [trade(100 * step + number) for number in range(50)],
                    refused=range(100 * step - 30, 100 * step),
                    after=100 * step - 51 if step else None,
                )
            ]
            batch.side = [SideEntry("late", SYMBOL, ("data", "x" * 100), 40 * step + number) for number in range(40)]
            await sink.write(batch)

    # Trimming goes by whole nodes of about a hundred entries, or 4 KiB of them.
    lengths = {
        kind: reader.client.xlen(f"{kind}:{SYMBOL}") for kind in ("trades", "stream", "gaps", "quarantine", "late")
    }
    assert all(100 <= length <= 300 for length in lengths.values()), lengths


async def test_rights_on_quotes_are_asked_for_at_each_connection_once_quotes_have_begun(
    store_address: StoreAddress, reader: Reader
) -> None:
    kinds = ("trades", "stream", "latest", "kline", "quarantine", "gaps", "late", "collector")
    keys = [f"{kind}:*" for kind in kinds]

    def allow(*more: str) -> None:
        reader.client.acl_setuser(
            "collector", enabled=True, passwords="+secret", keys=[*keys, *more], commands=["+@all"], reset=True
        )

    allow()
    async with opened(
        redis_sink(StoreAddress(unix_path=store_address.unix_path, username="collector", password="secret"))
    ) as sink:
        with pytest.raises(Misconfigured, match=r"HSET quote:\*"):
            await sink.begin_channels(["ticker", "quote"])
        await sink.write(everything())

        allow("quote:*", "quotes:*")
        await sink.begin_channels(["ticker", "quote"])
        await sink.close()
        allow()
        with pytest.raises(Misconfigured, match=r"HSET quote:\*"):
            await sink.write(everything())
    reader.client.acl_deluser("collector")


def every_second(first: int, until: int) -> Batch:
    """Every second minute, each with the gap before it."""
    batch = klines(*(kline(minute) for minute in range(first, until, 2)))
    for minute, update in zip(range(first, until, 2), batch.klines[0], strict=True):
        update.gaps = [minutes(minute - 1, minute - 1, "lost")]
    return batch
