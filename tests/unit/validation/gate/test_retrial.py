"""Reading entries of quarantine and judging them anew."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest

from data_collector.model.records import Record
from data_collector.model.verdict import Verdict
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.refusals import Refusals
from data_collector.validation.gate.compiler import CompiledSuite
from data_collector.validation.gate.retrial import Passing, StillRefused, Unfit, judge_anew, refused_for
from data_collector.validation.rules.columns import Kind
from tests.judging import gate_with, shipped_gate
from tests.market import NOON_MS, SYMBOL, kline, ticker, trade
from tests.retaining import in_memory

SHIPPED = shipped_gate().suites
CAPPED = gate_with("trade", {"max_value": 100}).suites
MARKED = gate_with("trade", {"max_value": 100}, severity="warning").suites
SENT_BY_NOON = gate_with("kline", {"max_value": NOON_MS}, column="event_ms").suites
NO_COLUMNS = ("columns",)


def entry_of(record: Record, *rules: str, without: tuple[str, ...] = (), readable: bool = True) -> dict[str, str]:
    """What the pipeline writes of a refused record."""
    gate = shipped_gate()
    refusals = Refusals(Outlet([SYMBOL], in_memory(SYMBOL), side_max=1), gate, Counters())
    words = refusals.refusal(record, Verdict(critical=rules or ("price_cap",), readable=readable)).fields
    return {name: value for name, value in zip(words[::2], words[1::2], strict=True) if name not in without}


def judged(
    entry: Mapping[str, str], suites: Mapping[Kind, CompiledSuite] = SHIPPED, *, pardoned: str | None = None
) -> object:
    """The verdict without the record."""
    verdict = judge_anew(SYMBOL, entry, suites, pardoned=pardoned)
    return verdict.warnings if isinstance(verdict, Passing) else verdict


@pytest.mark.parametrize("without", [(), NO_COLUMNS])
@pytest.mark.parametrize("record", [trade(), trade(sub_ms_us=999), kline(), kline(closed=False)])
def test_record_that_breaks_nothing_now_passes(record: Record, without: tuple[str, ...]) -> None:
    assert judged(entry_of(record, without=without)) == ()


def test_what_passes_tells_its_keys() -> None:
    verdict = judge_anew(SYMBOL, entry_of(kline()), SHIPPED)

    assert isinstance(verdict, Passing)
    assert verdict.is_kline
    named = ("interval", "timestamp", "is_closed")
    assert [verdict.record[name] for name in named] == ["1m", "2024-01-01T12:00:00+00:00", True]


def test_rule_that_is_still_broken_refuses_and_a_warning_marks() -> None:
    entry = entry_of(trade())

    assert judged(entry, CAPPED) == StillRefused(("price_cap",))
    assert judged(entry, MARKED) == ("price_cap",)


def test_rule_about_columns_beside_the_record_is_asked_where_they_are_known() -> None:
    record = kline()

    assert judged(entry_of(record), SENT_BY_NOON) == StillRefused(("price_cap",))
    assert judged(entry_of(record, without=NO_COLUMNS), SENT_BY_NOON) == ()


@pytest.mark.parametrize("without", [(), NO_COLUMNS])
def test_ticker_is_stale(without: tuple[str, ...]) -> None:
    assert judged(entry_of(ticker(), without=without)) == Unfit("ticker")


@pytest.mark.parametrize(
    ("record", "readable"),
    [(trade(price="1,2"), False), (kline(low="x"), False), (trade(time_ms=2**60), True), (kline(open_ms=2**60), True)],
)
def test_record_that_could_not_be_written_as_one_is_unreadable(record: Record, readable: bool) -> None:
    assert judged(entry_of(record, readable=readable)) == Unfit("unreadable")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '{"stream":"btcusdt@trade","data":{"s":"BTCUSDT"}}',
        '{"symbol":"BTCUSDT"}',
        '{"symbol":"BTCUSDT","timestamp":"2024-01-01T12:00:00+00:00"}',
        '{"symbol":"BTCUSDT","timestamp":"2024-01-01T12:00:00+00:00","trade_id":1,"price":"text"}',
        '{"symbol":7,"timestamp":7}',
        "[" * 4000,
        "\ud800",
    ],
)
def test_raw_frame_is_no_record(text: str) -> None:
    assert judged({"data": text, "why": "[]"}) == Unfit("raw_frame")


def test_entry_without_anything_is_no_record() -> None:
    assert judged({}) == Unfit("raw_frame")


@pytest.mark.parametrize("columns", ["", "[]", "{", '{"kind":7}', "null"])
def test_columns_that_cannot_be_read_make_it_no_record(columns: str) -> None:
    assert judged(entry_of(trade()) | {"columns": columns}) == Unfit("raw_frame")


def test_record_in_another_symbols_stream_stays() -> None:
    assert judge_anew("ETHUSDT", entry_of(trade()), SHIPPED) == Unfit("other_symbol")


def test_what_was_refused_for_its_order_stays_unless_it_is_pardoned() -> None:
    entry = entry_of(trade(), "trade_id_jump", "price_cap")

    assert judged(entry) == StillRefused(("trade_id_jump",))
    assert judged(entry, pardoned="event_time_jump") == StillRefused(("trade_id_jump",))
    assert judged(entry, pardoned="trade_id_jump") == ()
    assert judged(entry, CAPPED, pardoned="trade_id_jump") == StillRefused(("price_cap",))


def test_row_of_an_entry_is_judged_as_the_record_was() -> None:
    for record in (trade(price="0"), trade(2**53), kline(low="-1"), kline(trades=0), kline(interval="7m")):
        verdict = shipped_gate().check(record)
        assert verdict is not None

        assert judged(entry_of(record)) == StillRefused(verdict.critical)


@pytest.mark.parametrize(
    ("why", "rules"),
    [
        (json.dumps([{"rule": "a", "message": "A."}, {"rule": "b", "message": "B."}]), ("a", "b")),
        ("[]", ()),
        ("", ()),
        ("{", ()),
        ('[{"message":"A."}]', ()),
    ],
)
def test_rules_that_an_entry_was_refused_for(why: str, rules: tuple[str, ...]) -> None:
    assert refused_for({"why": why}) == rules


def test_entry_of_the_pipeline_names_its_rules() -> None:
    entry = entry_of(trade(), "price_cap")

    assert refused_for(entry) == ("price_cap",)
    assert msgspec.json.decode(entry["columns"])["kind"] == "trade"
