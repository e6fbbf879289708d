"""From a batch to commands: keys, arguments, what a hole is explained with."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Origin, Sourced
from data_collector.model.sink import Batch, KlineUpdate, NewestUpdate, Refusal, SideEntry, TradeRun
from data_collector.model.wire import json_text, kline_json, quote_json
from data_collector.sinks.redis.calls import KLINES_PER_CALL, SIDE_PER_CALL, Call, CallBuilder, StoreLimits
from data_collector.sinks.redis.functions import APPEND_KLINES, APPEND_ONCE, APPEND_TRADES, PUT_NEWEST
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, quote, ticker

LIMITS = StoreLimits(
    trades_maxlen=1_000, stream_maxlen=500, kline_ttl_s=lambda interval: 3600 if interval == "1s" else 7, side_maxlen=50
)
CALLS = CallBuilder(StoreKeys(), LIMITS, UtcCalendar(), "writer1")


def refusal(*rules: str) -> Refusal:
    return Refusal('{"bad": 1}', "[]", "2024-01-01T12:00:00.000+00:00", "{}", rules)


def run(
    first_id: int = 10, count: int = 2, refused: dict[int, Refusal] | None = None, gaps: list[Gap] | None = None
) -> TradeRun:
    entries: list[int | str] = []
    for offset in range(count):
        entries += [NOON_MS + offset, f'{{"trade_id": {first_id + offset}}}']
    return TradeRun(
        SYMBOL, first_id, entries, "45180.50", "2024-01-01T12:00:00.001+00:00", 1, 2, refused or {}, gaps or []
    )


def update(minute: int, *gaps: Gap, closed: bool = True) -> KlineUpdate:
    record = kline(minute, closed=closed)
    return KlineUpdate(record, record.open_ms + MINUTE_MS, gaps=list(gaps))


def minutes(first: int, last: int, reason: GapReason) -> Gap:
    return Gap(NOON_MS + first * MINUTE_MS, NOON_MS + last * MINUTE_MS, last - first + 1, reason)


def gaps_in(text: object) -> list[dict[str, object]]:
    assert isinstance(text, str)
    return [json.loads(entry) for entry in json.loads(text)]


def keys_of(call: Call) -> list[object]:
    count = call.command[2]
    assert isinstance(count, int)
    return list(call.command[3 : 3 + count])


def arguments_of(call: Call) -> list[object]:
    count = call.command[2]
    assert isinstance(count, int)
    return list(call.command[3 + count :])


def test_trades_name_their_keys_and_carry_their_entries() -> None:
    call = CALLS.trades(run())

    assert call.command[:2] == ("FCALL", APPEND_TRADES)
    assert keys_of(call) == [
        "trades:BTCUSDT",
        "latest:BTCUSDT",
        "gaps:BTCUSDT",
        "quarantine:BTCUSDT",
        "collector:epoch:BTCUSDT",
    ]
    assert arguments_of(call) == [
        10, 2, 1_000, 50, "45180.50", "2024-01-01T12:00:00.001+00:00", "", "", "", 0, 0, -1, 0,
        NOON_MS, '{"trade_id": 10}', NOON_MS + 1, '{"trade_id": 11}',
    ]  # fmt: skip
    assert call.gaps == [[]]


GAPS = [Gap(7, 7, 1, "absent"), Gap(8, 8, 1, "refused", ("price_positive",)), Gap(9, 9, 1, "lost")]


def test_bridge_names_the_tail_and_explains_the_hole() -> None:
    call = CALLS.trades(run(refused={8: refusal("price_positive")}, gaps=GAPS))

    bridged, gaps, refusals = arguments_of(call)[6:9]
    assert bridged == "6"
    assert [(gap["first"], gap["last"], gap["count"], gap["reason"], gap["rules"]) for gap in gaps_in(gaps)] == [
        (7, 7, 1, "absent", []),
        (8, 8, 1, "refused", ["price_positive"]),
        (9, 9, 1, "lost", []),
    ]
    assert isinstance(refusals, str)
    assert json.loads(refusals) == [
        [8, "data", '{"bad": 1}', "why", "[]", "at", "2024-01-01T12:00:00.000+00:00", "columns", "{}"]
    ]
    assert call.gaps == [GAPS]


def test_bridge_from_a_tail_that_another_writer_moved_tells_what_is_left() -> None:
    call = CALLS.trades(run(20, gaps=[Gap(12, 16, 5, "absent"), Gap(17, 19, 3, "lost")]), tail=14)

    assert arguments_of(call)[6] == "14"
    assert call.gaps == [[Gap(15, 16, 2, "absent"), Gap(17, 19, 3, "lost")]]


def test_run_without_trades_only_moves_the_tail() -> None:
    gaps = [Gap(11, 11, 1, "refused", ("price_positive",))]
    call = CALLS.trades(run(first_id=12, count=0, refused={11: refusal("price_positive")}, gaps=gaps))

    assert arguments_of(call)[:2] == [12, 0]
    assert [gap["reason"] for gap in gaps_in(arguments_of(call)[7])] == ["refused"]


def test_run_that_may_begin_a_stream_says_so() -> None:
    beginning = run()
    beginning.begins = True

    assert arguments_of(CALLS.trades(beginning))[9] == 1


def test_klines_name_one_key_each_and_carry_their_state() -> None:
    call = CALLS.klines([update(0), update(1, closed=False)])

    assert call.command[:2] == ("FCALL", APPEND_KLINES)
    assert keys_of(call) == [
        "stream:BTCUSDT",
        "collector:klines:BTCUSDT",
        "gaps:BTCUSDT",
        "kline:BTCUSDT:1m:2024-01-01T12:00:00+00:00",
        "kline:BTCUSDT:1m:2024-01-01T12:01:00+00:00",
        "collector:origin:BTCUSDT:1m:2024-01-01T12:00:00+00:00",
        "kline:BTCUSDT:1m:2024-01-01T12:01:00+00:00",
    ]
    first, second = kline(0), kline(1, closed=False)
    symbol_json = json_text(SYMBOL)
    assert arguments_of(call) == [
        500, 50, 2,
        "1m", first.open_ms, first.open_ms + MINUTE_MS, first.event_ms, 1, 7, "", "",
        0, kline_json(first, symbol_json), "", 0,
        "1m", second.open_ms, second.open_ms + MINUTE_MS, second.event_ms, 0, 7, "", "",
        0, kline_json(second, symbol_json), "", 0,
    ]  # fmt: skip


def test_time_to_live_is_that_of_the_interval() -> None:
    record = kline(interval="1s")

    assert arguments_of(CALLS.klines([KlineUpdate(record, record.open_ms + 1000)]))[8] == 3600


def explained(*updates: KlineUpdate, due: int | None = None) -> list[tuple[object, object]]:
    """First explained open time and gaps of every update; `due`: the minute that the store misses."""
    known = None if due is None else {"1m": NOON_MS + due * MINUTE_MS}
    arguments = arguments_of(CALLS.klines(list(updates), due=known))[3:]
    return list(zip(arguments[6::12], arguments[7::12], strict=True))


def times_of(gap: dict[str, object]) -> tuple[object, ...]:
    first, last = str(gap["first"]), str(gap["last"])
    return first[11:16], last[11:16], gap["count"], gap["reason"]


def test_closed_kline_tells_the_gaps_before_it() -> None:
    first, (start, text), last = explained(
        update(0), update(3, minutes(1, 1, "lost"), minutes(2, 2, "absent")), update(4)
    )

    assert first == last == ("", "")
    assert start == NOON_MS + MINUTE_MS
    assert [times_of(gap) for gap in gaps_in(text)] == [("12:01", "12:01", 1, "lost"), ("12:02", "12:02", 1, "absent")]
    assert {(gap["interval"], gap["channel"]) for gap in gaps_in(text)} == {("1m", "kline")}


def test_gaps_are_cut_to_what_the_store_misses() -> None:
    ((start, text),) = explained(update(5, minutes(1, 2, "refused"), minutes(3, 4, "lost")), due=2)

    assert start == NOON_MS + 2 * MINUTE_MS
    assert [times_of(gap) for gap in gaps_in(text)] == [("12:02", "12:02", 1, "refused"), ("12:03", "12:04", 2, "lost")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"warnings": ("a", "b")}, ["warnings", "a,b"]),
        ({"source": "built"}, ["src", "built"]),
        ({"check": "mismatch"}, ["check", "mismatch"]),
        ({"warnings": ("a",), "source": "rest", "check": "ok"}, ["warnings", "a", "src", "rest", "check", "ok"]),
    ],
)
def test_kline_carries_only_what_is_out_of_the_ordinary(changes: dict[str, object], words: list[str]) -> None:
    marked = structs.replace(update(0), **changes)

    assert arguments_of(CALLS.klines([marked]))[14:] == [len(words), *words]


def test_open_kline_that_comes_in_the_ordinary_way_names_no_further_key() -> None:
    key = f"kline:{SYMBOL}:1m:2024-01-01T12:00:00+00:00"

    assert keys_of(CALLS.klines([update(0, closed=False)]))[3:] == [key, key]
    assert keys_of(CALLS.klines([update(0)]))[3:] == [key, f"collector:origin:{key.partition(':')[2]}"]


def test_kline_of_before_the_beginning_spares_a_key_that_exists() -> None:
    call = CALLS.past(Sourced(kline(), Origin("rest", ("swing",))))

    assert arguments_of(call) == [kline_json(kline(), json_text(SYMBOL)), 7, "rest swing", 1]


def test_ticker_writes_statistics_and_price() -> None:
    call = CALLS.newest(NewestUpdate(ticker()))

    assert call.command[:5] == ("FCALL", PUT_NEWEST["ticker"], 1, "latest:BTCUSDT", NOON_MS)
    assert arguments_of(call)[1:4] == [500, "45180.50", "2024-01-01T12:00:00.000+00:00"]
    warnings, *statistics = arguments_of(call)[4:]
    assert warnings == ""
    assert statistics[:2] == ["symbol", "BTCUSDT"]
    assert len(statistics) % 2 == 0


def test_quote_writes_its_hash_and_an_entry() -> None:
    call = CALLS.newest(NewestUpdate(quote(received_ns=NOON_MS * 1_000_000), ("bid_tick_size",)))

    assert call.command[:5] == ("FCALL", PUT_NEWEST["quote"], 2, "quote:BTCUSDT", "quotes:BTCUSDT")
    update_id, _, words, text, *rest = call.command[5:]
    assert (update_id, words, rest[:2]) == (400_900_217, 2, ["warnings", "bid_tick_size"])
    assert text == quote_json(quote(received_ns=NOON_MS * 1_000_000))
    assert rest[2:4] == ["update_id", "400900217"]


def test_side_entries_carry_the_writers_numbers() -> None:
    entries = [
        SideEntry("quarantine", "BTCUSDT", ("data", "{}", "why", "[]"), 17),
        SideEntry("late", "BTCUSDT", ("data", "1"), 18),
    ]

    call = CALLS.side(entries)

    assert call.command[:2] == ("FCALL", APPEND_ONCE)
    assert set(keys_of(call)) == {"collector:writer:writer1", "quarantine:BTCUSDT", "late:BTCUSDT"}
    assert arguments_of(call)[:3] == [50, 17, 2]
    assert arguments_of(call)[4] == 0
    assert arguments_of(call)[5:] == [4, "data", "{}", "why", "[]", 2, "data", "1"]


def test_many_side_entries_are_cut_into_calls() -> None:
    entries = [SideEntry("late", "BTCUSDT", ("data", "1"), number) for number in range(1, 2 * SIDE_PER_CALL + 2)]

    counts = [arguments_of(call)[1:3] for call in CALLS.calls(Batch(side=entries))]

    assert counts == [[1, SIDE_PER_CALL], [SIDE_PER_CALL + 1, SIDE_PER_CALL], [2 * SIDE_PER_CALL + 1, 1]]


def test_only_explained_holes_are_bridged() -> None:
    first, second, third = CALLS.calls(Batch(trades=[run(10), run(15), run(20, gaps=[Gap(17, 19, 3, "lost")])]))

    assert [arguments_of(call)[6] for call in (first, second, third)] == ["", "", "16"]
    assert second.gaps == [[]]


def test_revision_replaces_the_key_and_its_expiry() -> None:
    (call,) = CALLS.calls(Batch(revisions=[Sourced(kline(0), Origin("ws"))]))

    assert keys_of(call)[0] == "kline:BTCUSDT:1m:2024-01-01T12:00:00+00:00"
    assert arguments_of(call) == [kline_json(kline(0), json_text(SYMBOL)), 7, "", 0]


def test_batch_becomes_calls_in_order() -> None:
    batch = Batch(
        trades=[run(10), run(12)],
        klines=[[update(0)]],
        newest=[NewestUpdate(ticker())],
        side=[SideEntry("late", "BTCUSDT", ("data", "{}"), 1)],
    )

    functions = [call.command[1] for call in CALLS.calls(batch)]

    assert functions == [APPEND_TRADES, APPEND_TRADES, APPEND_KLINES, PUT_NEWEST["ticker"], APPEND_ONCE]


def test_many_klines_are_cut_into_calls_that_do_not_block_the_server() -> None:
    updates = [update(minute) for minute in range(KLINES_PER_CALL + 1)]

    sizes = [call.command[2] for call in CALLS.calls(Batch(klines=[updates]))]

    assert sizes == [3 + 2 * KLINES_PER_CALL, 3 + 2]


def test_other_exchanges_have_their_prefix_on_every_key() -> None:
    calls = CallBuilder(StoreKeys("kraken:"), LIMITS, UtcCalendar(), "writer1")
    batch = Batch(
        trades=[run()],
        klines=[[update(0)]],
        newest=[NewestUpdate(ticker())],
        side=[SideEntry("late", "BTCUSDT", ("data", "{}"), 1)],
    )

    keys = [str(key) for call in calls.calls(batch) for key in keys_of(call)]

    assert len(keys) == 5 + 5 + 1 + 2
    assert [key for key in keys if not key.startswith("kraken:")] == []


def test_command_holds_only_what_the_packer_takes() -> None:
    batch = Batch(trades=[run(refused={8: refusal("a")})], klines=[[update(0)]], newest=[NewestUpdate(ticker())])

    kinds = {type(part) for call in CALLS.calls(batch) for part in call.command}

    assert kinds <= {str, int}
