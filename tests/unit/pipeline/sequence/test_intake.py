"""From frames to the outlet: counts, copies, quarantine; what goes back to the line."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from data_collector.model.channels import CHANNELS, NewestRecord, key_of, number_of
from data_collector.model.errors import BadFrame
from data_collector.model.gate import Verdict
from data_collector.model.keys import UNKNOWN, Key
from data_collector.model.records import Record, Ticker
from data_collector.model.venue import Acknowledged, Closing, Head
from data_collector.pipeline.sequence.refusals import RAW_BYTES_MAX
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from data_collector.venues.binance.speaker.frames import encode
from tests.market import NOON_MS, SYMBOL, aggregate_trade, kline, mini_ticker, quote, ticker, trade
from tests.unit.pipeline.intake_scene import COPIES, Scene, fields, gap_of, rules, runs


def test_trade_ticker_and_kline_each_count_once(scene: Scene) -> None:
    scene.begin()
    scene.send(trade(11), kline(closed=False), kline())

    batch = scene.take()
    assert scene.counts == (5, 5, 0)
    assert runs(batch) == [(10, 2)]
    assert len(batch.newest) == 1
    assert [update.kline.is_closed for update in batch.klines[0]] == [True]
    assert scene.intake.tally.last_received_ns == 5


def test_copies_are_counted_apart(scene: Scene) -> None:
    scene.begin()
    records: list[Record] = [trade(11), kline(closed=False), kline(), ticker()]
    scene.send(*records, *records)

    assert scene.counts == (6, 6, 0)
    assert [scene.counters.value(COPIES, channel=name) for name in ("trade", "kline", "ticker")] == [1, 2, 1]


def test_refused_ticker_is_quarantined_and_a_good_one_of_the_same_time_passes(scene: Scene) -> None:
    scene.send(ticker(volume="-1"), ticker())

    batch = scene.take()
    assert [(entry.kind, entry.symbol) for entry in batch.side] == [("quarantine", "BTCUSDT")]
    (passed,) = batch.newest
    assert isinstance(passed.record, Ticker)
    assert passed.record.volume == "8913.30000000"
    assert scene.counts == (2, 1, 1)


@pytest.mark.parametrize(
    "record", [trade(quantity="-1"), kline(volume="-1"), kline(volume="-1", closed=False), ticker(volume="-1")]
)
def test_refused_record_is_heard_all_the_same(scene: Scene, record: Record) -> None:
    """A stream that is refused is not silent; what REST told is nothing that a stream brought."""
    scene.send(record, record)
    scene.intake.receive(structs.replace(record, received_ns=0))

    refused = scene.intake.tally.refused[key_of(record)]
    assert (refused.count, len(refused.rules) > 0) == (2, True)
    assert scene.intake.tally.last_received_ns > 0


@pytest.mark.parametrize("record", [trade(), kline(), ticker(), quote(), mini_ticker()])
def test_refused_record_says_its_kind_by_the_name_of_its_channel(scene: Scene, record: Record) -> None:
    refusal = scene.intake.refusals.refusal(record, Verdict(("event_time_jump",)))

    assert json.loads(refusal.columns)["kind"] == key_of(record).channel


def test_ticker_of_a_day_without_a_trade_leaves_the_last_trade_id_that_was_named(scene: Scene) -> None:
    """`"F":-1,"L":-1,"n":0`."""
    scene.begin()
    scene.send(ticker(NOON_MS, first_id=1, last_id=12), ticker(NOON_MS + 1_000, first_id=-1, last_id=-1, count=0))

    assert scene.sequence.reference_id == 12


def test_older_ticker_is_a_copy(scene: Scene) -> None:
    scene.send(ticker(NOON_MS + 2_000), ticker(NOON_MS + 1_000))

    assert [number_of(one.record) for one in scene.take().newest] == [NOON_MS + 2_000]
    assert scene.counters.value(COPIES, channel="ticker") == 1


def test_older_quote_is_a_copy_and_a_bad_one_is_quarantined(scene: Scene) -> None:
    scene.intake.add(Key("quote", SYMBOL))

    scene.send(quote(update_id=7), quote(update_id=6), quote(update_id=7), quote(update_id=8, bid="0"))

    batch = scene.take()
    assert [number_of(one.record) for one in batch.newest] == [7]
    assert [(entry.kind, entry.symbol) for entry in batch.side] == [("quarantine", SYMBOL)]
    assert scene.counters.value(COPIES, channel="quote") == 2
    assert scene.counts == (2, 1, 1)
    assert scene.intake.spoken == {Key("quote", SYMBOL): 7}


@pytest.mark.parametrize("record", [quote(update_id=8), ticker(NOON_MS + 1_000)])
def test_channel_that_was_taken_away_is_passed_over_until_it_comes_back(scene: Scene, record: NewestRecord) -> None:
    key = key_of(record)
    scene.intake.add(key)
    scene.send(quote(update_id=7), ticker())
    counts = scene.counts
    scene.take()

    scene.intake.tally.former.add(key)
    scene.intake.remove(key)
    scene.send(record)

    assert not scene.take()
    assert scene.counts == counts
    assert scene.counters.value("data_collector_records_former_total") == 1

    scene.intake.tally.former.discard(key)
    scene.intake.add(key)
    scene.send(record)
    assert [number_of(one.record) for one in scene.take().newest] == [number_of(record)]


def test_quote_has_no_time_of_the_exchange_and_moves_no_clock(scene: Scene) -> None:
    scene.intake.add(Key("quote", SYMBOL))

    scene.send(quote())

    assert scene.intake.tally.exchange_ms() == 0


def test_record_from_the_future_keeps_out_none_of_a_channel_whose_number_is_a_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHANNELS, "quote", structs.replace(CHANNELS["quote"], time="update_id"))
    scene.intake.add(Key("quote", SYMBOL))

    scene.send(*(quote(update_id=NOON_MS + days * 86_400_000) for days in (0, 7_300, 1)))

    batch = scene.take()
    assert [number_of(one.record) for one in batch.newest] == [NOON_MS + 86_400_000]
    assert [rules(entry) for entry in batch.side] == [["event_time_jump"]]
    assert scene.intake.tally.exchange_ms() == NOON_MS + 86_400_000


def test_quotes_are_conflated_to_the_newest_beside_the_ticker(scene: Scene) -> None:
    scene.intake.add(Key("quote", SYMBOL))

    scene.send(quote(update_id=1), ticker(), quote(update_id=2))

    assert [number_of(one.record) for one in scene.take().newest] == [2, NOON_MS]
    assert scene.outlet.conflated == {"kline": 0, "ticker": 0, "quote": 1}


def test_statistics_by_rest_are_no_message_of_the_feed(scene: Scene) -> None:
    scene.intake.take_statistics(ticker(received_ns=0))
    assert scene.intake.spoken == {}
    assert scene.counts == (0, 0, 0)
    assert scene.intake.tally.last_received_ns == 0
    assert [taken.record.symbol for taken in scene.outlet.take().newest] == [SYMBOL]

    scene.send(ticker(NOON_MS + 1_000))
    assert scene.intake.spoken.keys() == {Key("ticker", SYMBOL)}


def test_ticker_that_was_taken_away_comes_from_rest_alone(scene: Scene) -> None:
    scene.intake.tally.former.add(Key("ticker", SYMBOL))
    scene.intake.remove(Key("ticker", SYMBOL))

    scene.send(ticker())
    assert not scene.take()

    scene.intake.take_statistics(ticker(received_ns=0))
    assert [taken.record.symbol for taken in scene.take().newest] == [SYMBOL]


@pytest.mark.parametrize(
    "record", [trade(symbol="XRPUSDT"), kline(symbol="XRPUSDT"), kline(interval="5m"), ticker(symbol="XRPUSDT"),
               quote(symbol="XRPUSDT"), trade(symbol="btcusdt")],
)  # fmt: skip
def test_what_was_not_subscribed_goes_to_the_unknown(scene: Scene, record: Record) -> None:
    scene.send(record)

    (entry,) = scene.take_side()
    assert (entry.kind, entry.symbol) == ("quarantine", "unknown")
    assert rules(entry) == ["not_subscribed"]
    assert scene.counts == (1, 0, 1)


def test_bad_frame_of_a_known_symbol_goes_to_its_quarantine(scene: Scene) -> None:
    frame = encode(trade()).replace(b"123456789", b'"x"')
    scene.frame(frame)

    (entry,) = scene.take_side()
    assert (entry.kind, entry.symbol) == ("quarantine", "BTCUSDT")
    assert fields(entry)["data"] == frame.decode()
    assert rules(entry) == ["wrong_shape"]
    assert scene.counters.value("data_collector_frames_bad_total", reason="wrong_shape") == 1


def test_frame_whose_symbol_cannot_be_read_goes_to_the_unknown(scene: Scene) -> None:
    scene.frame(b"\xff\xfe not JSON")

    (entry,) = scene.take_side()
    assert (entry.kind, entry.symbol) == ("quarantine", UNKNOWN)
    assert rules(entry) == ["not_json"]
    assert "not JSON" in fields(entry)["data"]


@pytest.mark.parametrize(
    "frame",
    [
        b"x" * 1_000_000,
        encode(trade(symbol="X" * 1_000_000)),
        encode(trade(price="1" * 1_000_000)),
        encode(kline(interval="m" * 1_000_000)),
        encode(kline(low="9" * 1_000_000)),
        encode(ticker(volume="9" * 1_000_000)),
        encode(trade()).replace(b"123456789", b'"' + b"x" * 1_000_000 + b'"'),
    ],
    ids=["garbage", "symbol", "price", "interval", "kline", "ticker", "type"],
)
def test_quarantine_keeps_a_bounded_part_of_anything(scene: Scene, frame: bytes) -> None:
    scene.begin()
    scene.frame(frame)
    scene.send(trade(123_456_790))

    batch = scene.take()
    kept = [text for entry in batch.side for text in entry.fields]
    kept += [
        text for run in batch.trades for refusal in run.refused.values() for text in (refusal.content, refusal.why)
    ]
    assert kept
    assert max(map(len, kept)) <= RAW_BYTES_MAX


def test_unknown_kinds_are_counted_apart_and_are_no_messages(scene: Scene) -> None:
    scene.frame(b'{"stream":"btcusdt@avgPrice","data":{"e":"avgPrice","E":1,"s":"BTCUSDT"}}')

    assert scene.counts == (0, 0, 0)
    assert scene.counters.value("data_collector_events_unknown_total") == 1


def test_records_of_one_frame_count_like_those_of_many(scene: Scene) -> None:
    """One of them is refused, one was not subscribed, one is a copy: the others pass."""
    alone = Scene()
    records: list[Record] = [
        structs.replace(one, received_ns=5)
        for one in (
            trade(11), trade(12, price="-1"), trade(13), trade(11), kline(volume="-1"), kline(), quote(), ticker(),
            trade(7, symbol="XRPUSDT"), kline(interval="5m"),
        )
    ]  # fmt: skip
    for each in (scene, alone):
        each.begin()
    alone.send(*records)
    scene.intake.receive(records)

    assert scene.counts == alone.counts
    assert scene.counters.samples() == alone.counters.samples()
    for each in (scene, alone):
        each.wait(ARBITRATION_S)
    batches = scene.take(), alone.take()
    for batch in batches:
        assert runs(batch) == [(10, 2), (13, 1)]
        assert [refused for run in batch.trades for refused in run.refused] == [12]
        assert [(entry.kind, entry.symbol, rules(entry)) for entry in batch.side] == [
            (entry.kind, entry.symbol, rules(entry)) for entry in batches[0].side
        ]
        assert (len(batch.newest), len(batch.klines)) == (len(batches[0].newest), len(batches[0].klines))


def test_head_that_the_exchange_tells_beside_its_trades_shows_what_is_missing(scene: Scene) -> None:
    scene.begin()

    scene.intake.receive(Head(SYMBOL, 15))
    for _ in range(3):
        scene.now_s += 2.0
        scene.intake.trades.look_at_heads()

    assert gap_of(scene) == (11, 15)
    assert scene.counts == (2, 2, 0)


def test_head_that_jumps_or_is_of_another_symbol_is_not_believed(scene: Scene) -> None:
    scene.begin()

    scene.intake.receive(Head(SYMBOL, 10**12))
    scene.intake.receive(Head("XRPUSDT", 5))

    assert scene.sequence.reference_id == 10


def test_control_replies_and_notices_go_back_to_the_line_uncounted(scene: Scene) -> None:
    assert scene.frame(b'{"result":null,"id":3}') == Acknowledged(3)
    assert scene.frame(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":7}}') == Closing(7)
    assert scene.counts == (0, 0, 0)


def test_data_gives_the_line_nothing(scene: Scene) -> None:
    assert scene.frame(encode(trade())) is None


def test_bad_frame_is_told_to_the_line_that_counts_them(scene: Scene) -> None:
    assert isinstance(scene.frame(b"garbage"), BadFrame)


def test_array_is_taken_record_by_record(scene: Scene) -> None:
    payloads = [json.loads(encode(record, combined=False)) for record in (ticker(), trade(10), trade(11))]
    scene.frame(json.dumps(payloads).encode())
    scene.wait(ARBITRATION_S)

    assert scene.counts == (3, 3, 0)
    assert runs(scene.take()) == [(10, 2)]


def test_tap_sees_each_record_that_passed_and_only_those(scene: Scene) -> None:
    seen: list[Record] = []
    scene.intake.tally.tap = seen.append
    scene.begin()
    scene.send(trade(10), trade(11, price="0"), trade(12), trade(symbol="XRPUSDT"), aggregate_trade(), mini_ticker())
    scene.wait(ARBITRATION_S)

    assert [type(record).__name__ for record in seen] == ["Ticker", "Trade", "AggregateTrade", "MiniTicker", "Trade"]
    assert scene.counts == (7, 5, 2)


def test_channels_for_subclasses_are_not_stored(scene: Scene) -> None:
    scene.send(aggregate_trade(), mini_ticker(), quote(symbol=SYMBOL))

    assert scene.counts == (3, 3, 0)
    assert not scene.take()


def test_record_for_subclasses_that_breaks_a_rule_is_quarantined(scene: Scene) -> None:
    scene.send(quote(bid="0"))

    (entry,) = scene.take_side()
    assert (entry.kind, entry.symbol) == ("quarantine", SYMBOL)
    assert scene.counts == (1, 0, 1)
    ((_, verdict, accepted, _),) = scene.notebook.others
    assert verdict is not None
    assert (bool(verdict.critical), accepted) == (True, False)


def test_ticker_with_a_poisoned_last_id_is_refused(scene: Scene) -> None:
    scene.begin()
    scene.send(ticker(first_id=1, last_id=2**52, count=2**52))

    assert scene.counts == (3, 2, 1)
