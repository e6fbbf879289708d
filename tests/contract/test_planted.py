"""A bad record of every rule: refused or marked by the gate, found by real Great Expectations, shown by the API.

The real parts in a row but for the socket: decoder, gate, intake, store, audit worker, and the API's reader.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec import structs

from data_collector.api.quarantine import newest_refusals
from data_collector.api.store_reading import StoreReading
from data_collector.model.calendar import UtcCalendar
from data_collector.model.keys import Key, StoreKeys
from data_collector.model.records import Record
from data_collector.model.store_url import StoreAddress
from data_collector.model.venue import SymbolRules
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.wanted_klines import WantedKlines
from data_collector.sinks.redis.sink import RedisSink
from data_collector.validation.auditing.auditor import Auditor
from data_collector.validation.auditing.ports import EmbeddedPort
from data_collector.validation.rules.columns import KINDS, Checked, Kind
from data_collector.validation.rules.suite import shipped_suite
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.speaker.frames import encode
from data_collector.venues.binance.venue import VENUE
from tests.contract.stores import Reader
from tests.judging import Notebook, shipped_gate
from tests.market import NOON_MS, SYMBOL, kline, quote, ticker, trade
from tests.planted import PLANTED
from tests.receiving import receive
from tests.retaining import in_memory

CODEC = BinanceCodec()
LATER_MS = 10_000
SEVERE = [(kind, rule.id) for kind in KINDS for rule in shipped_suite(kind).rules if rule.id in PLANTED[kind]]
LISTED = {SYMBOL: SymbolRules(SYMBOL, "TRADING", "BTC", "USDT", 0.01, 0.00001)}


class Way:
    """From the exchange's frames to the store and the audit."""

    def __init__(self, sink: RedisSink, notebook: Notebook | Auditor) -> None:
        self.outlet = Outlet([SYMBOL], in_memory(SYMBOL))
        self.sink = sink
        self.counters = Counters()
        # Interval `7m` is subscribed to, so that only the rules stand in its way.
        wanted = WantedKlines(UtcCalendar(), [*VENUE.intervals, "7m"])
        self.intake = Intake(shipped_gate(), self.outlet, wanted, self.counters, notebook)
        self.intake.add(Key("quote", SYMBOL))

    async def send(self, *records: Record) -> None:
        """Receive them as frames; then time passes, and everything is written."""
        for record in records:
            receive(self.intake, encode(record), 1_000_000 * (NOON_MS + 100))
        self.intake.release_held(everything=True)
        await self.sink.write(self.outlet.take())

    async def begin(self) -> None:
        """A good message of each kind."""
        first = ticker(NOON_MS - LATER_MS, first_id=1, last_id=123_456_700)
        await self.send(first, trade(123_456_788), kline(-1), kline(0, closed=False))


@pytest.fixture
async def worker() -> AsyncIterator[EmbeddedPort]:
    """A real one."""
    port = EmbeddedPort()
    yield port
    await port.close()


@pytest.mark.parametrize(("kind", "rule_id"), SEVERE)
async def test_bad_record_is_kept_apart_or_marked(
    sink: RedisSink, reader: Reader, store_address: StoreAddress, kind: Kind, rule_id: str
) -> None:
    (rule,) = [rule for rule in shipped_suite(kind).rules if rule.id == rule_id]
    way = Way(sink, Notebook())
    await way.begin()
    before = good_keys(reader)

    await way.send(PLANTED[kind][rule_id])

    if rule.severity == "critical":
        store = StoreReading()
        page = await newest_refusals(store, f"unix://{store_address.unix_path}", StoreKeys(), [SYMBOL], 10)
        store.close()
        (entry,) = page.errors
        assert (rule_id, rule.sentence) in [(why.rule, why.message) for why in entry.reasons]
        assert good_keys(reader) == before
        assert way.counters.value("data_collector_records_refused_total", channel=kind, rule=rule_id) == 1
    else:
        labels = {"channel": kind, "rule": rule_id, "severity": rule.severity}
        assert reader.entries(f"quarantine:{SYMBOL}") == []
        assert good_keys(reader) != before
        assert way.counters.value("data_collector_records_marked_total", **labels) == 1
        assert (rule_id in marks(reader, kind)) is (rule.severity == "warning")


async def test_great_expectations_finds_each_of_them_and_agrees_with_the_gate(
    sink: RedisSink, reader: Reader, worker: EmbeddedPort
) -> None:
    auditor = Auditor(shipped_gate(), worker, every_s=0.0)
    way = Way(sink, auditor)
    await way.begin()
    for kind, rule_id in SEVERE:
        await way.send(PLANTED[kind][rule_id])

    await auditor.drain(60)

    assert not auditor.disagreements
    assert not auditor.failures
    found = {(kind, rule) for kind, rule in auditor.broken}
    judged = set(SEVERE) - unread(way)
    assert judged - found == set()
    assert auditor.coverage == 1.0
    assert auditor.checked.total() == way.intake.tally.judged == way.intake.tally.validated + way.intake.tally.errors


def unread(way: Way) -> set[tuple[Kind, str]]:
    """Planted records that came to the intake as copies of others: told from the gate's own counts."""
    names = ("data_collector_records_refused_total", "data_collector_records_marked_total")
    counted = {
        (sample.labels["channel"], sample.labels["rule"]) for sample in way.counters.samples() if sample.name in names
    }
    return {(kind, rule) for kind, rule in SEVERE if (kind, rule) not in counted}


def planted_for_the_audit() -> dict[tuple[Kind, str], list[Checked]]:
    """What only the audit can find: messages after twenty-five ordinary ones of each kind."""
    after = structs.replace(trade(200), received_ns=(NOON_MS + 200) * 1_000_000)
    candle, statistics = kline(100), ticker(NOON_MS + 100_000)
    best = quote(update_id=200, bid="45180.49", bid_quantity="1.1", ask="45180.51", ask_quantity="2.2")
    clock = {"received_ns": (NOON_MS - 60_000) * 1_000_000}
    slow = {"received_ns": (NOON_MS + 86_400_000) * 1_000_000}
    long_name, odd_name = {"symbol": "B" * 65}, {"symbol": "BTC USDT"}
    plant: dict[tuple[Kind, str], list[Checked]] = {
        ("trade", "price_ceiling"): [structs.replace(after, price="1000000000001")],
        ("trade", "quantity_ceiling"): [structs.replace(after, quantity="1000000000000001")],
        ("trade", "tick_size"): [structs.replace(after, price="45180.505")],
        ("trade", "lot_size"): [structs.replace(after, quantity="0.1234567")],
        ("trade", "trade_unique"): [after, after],
        ("trade", "trade_order"): [after, structs.replace(after, trade_id=199)],
        ("trade", "time_order"): [after, structs.replace(after, trade_id=201, time_ms=NOON_MS - 5_000)],
        ("trade", "price_outlier"): [structs.replace(after, price="90400.00")],
        ("trade", "quantity_outlier"): [structs.replace(after, quantity="123001")],
        ("kline", "close_tick_size"): [structs.replace(candle, close="45180.505")],
        ("kline", "high_tick_size"): [structs.replace(candle, high="45200.005")],
        ("kline", "low_tick_size"): [structs.replace(candle, low="45099.995")],
        ("kline", "update_unique"): [candle, candle],
        ("kline", "open_time_order"): [candle, kline(99, closed=False)],
        ("kline", "volume_outlier"): [structs.replace(candle, volume="123457", quote_volume="5567890123.12")],
        ("kline", "close_outlier"): [
            structs.replace(candle, open="9000.00", high="9000.00", low="9000.00", close="9000.00")
        ],
        ("ticker", "last_price_tick_size"): [structs.replace(statistics, last_price="45180.505")],
        ("ticker", "ticker_unique"): [statistics, statistics],
        ("ticker", "ticker_order"): [statistics, ticker(NOON_MS + 99_999)],
        ("ticker", "last_id_order"): [statistics, ticker(NOON_MS + 100_001, last_id=499)],
        ("quote", "bid_tick_size"): [structs.replace(best, bid="45180.485")],
        ("quote", "ask_tick_size"): [structs.replace(best, ask="45180.515")],
        ("quote", "bid_lot_size"): [structs.replace(best, bid_quantity="0.1234567")],
        ("quote", "ask_lot_size"): [structs.replace(best, ask_quantity="0.1234567")],
        ("quote", "quote_unique"): [best, best],
        ("quote", "quote_order"): [best, structs.replace(best, update_id=199)],
    }
    sent: tuple[tuple[Kind, Checked], ...] = (("trade", after), ("kline", candle), ("ticker", statistics))
    for kind, good in sent:
        plant |= {
            (kind, "clock_skew"): [structs.replace(good, **clock)],
            (kind, "delivery_delay"): [structs.replace(good, **slow)],
        }
    for kind, good in (*sent, ("quote", best)):
        plant |= {
            (kind, "symbol_length"): [structs.replace(good, **long_name)],
            (kind, "symbol_form"): [structs.replace(good, **odd_name)],
        }
    return plant


def ordinary(kind: Kind) -> list[Checked]:
    """Twenty-five good messages, so that there is something usual."""
    match kind:
        case "trade":
            return [trade(number, received_ns=(NOON_MS + 200) * 1_000_000) for number in range(100, 125)]
        case "kline":
            return [kline(minute) for minute in range(25)]
        case "ticker":
            return [ticker(NOON_MS + 1_000 * number) for number in range(25)]
        case "quote":
            prices = {"bid": "45180.49", "bid_quantity": "1.1", "ask": "45180.51", "ask_quantity": "2.2"}
            return [quote(update_id=number, **prices) for number in range(25)]


PLANTED_FOR_THE_AUDIT = planted_for_the_audit()


def test_every_rule_of_the_audit_alone_has_planted_records() -> None:
    alone = {(kind, rule.id) for kind in KINDS for rule in shipped_suite(kind).rules if not rule.gated}

    assert alone == PLANTED_FOR_THE_AUDIT.keys()


@pytest.mark.slow
async def test_audit_finds_what_no_single_record_shows(worker: EmbeddedPort) -> None:
    missed: list[tuple[Kind, str]] = []
    for (kind, rule), records in PLANTED_FOR_THE_AUDIT.items():
        # Another source has another history.
        worker._source += "x"
        auditor = Auditor(shipped_gate(), worker, every_s=0.0)
        auditor.learn(LISTED)
        note(auditor, ordinary(kind))
        await auditor.drain(60)
        assert not auditor.broken, f"{dict(auditor.broken)} before {rule}"
        note(auditor, records)
        await auditor.drain(60)
        assert not auditor.disagreements
        assert not auditor.failures
        if not auditor.broken[kind, rule]:
            missed.append((kind, rule))
    assert missed == []


def note(auditor: Auditor, records: Sequence[Checked]) -> None:
    for record in records:
        auditor.note(record, shipped_gate().check(record))


def good_keys(reader: Reader) -> dict[str, object]:
    """All that readers take for good."""
    found: dict[str, object] = {}
    for key in sorted(map(str, reader.client.keys("*"))):
        if key.startswith(("trades:", "stream:")):
            found[key] = reader.entries(key)
        elif key.startswith("kline:"):
            found[key] = reader.client.get(key)
        elif key.startswith("latest:"):
            found[key] = reader.latest()
        elif key.startswith(("quotes:", "quote:")):
            found[key] = reader.client.dump(key)
    return found


def marks(reader: Reader, kind: Kind) -> str:
    """The `warnings` of the newest entry."""
    if kind == "ticker":
        return reader.latest()["warnings"]
    stream = f"{'trades' if kind == 'trade' else 'stream'}:{SYMBOL}"
    return reader.entries(stream)[-1][1].get("warnings", "")


async def test_marked_records_are_stored_with_their_digits(sink: RedisSink, reader: Reader) -> None:
    way = Way(sink, Notebook())
    await way.begin()

    await way.send(structs.replace(kline(0), trades=1233))

    _, fields = reader.entries(f"stream:{SYMBOL}")[-1]
    assert fields["warnings"] == "trades_match_ids"
    assert json.loads(fields["data"])["trades"] == 1233


async def test_ticker_that_is_no_longer_odd_is_no_longer_marked(sink: RedisSink, reader: Reader) -> None:
    way = Way(sink, Notebook())
    odd = ticker(NOON_MS, ask_price="45180.48")

    await way.send(odd)
    assert reader.latest()["warnings"] == "spread_not_negative"

    await way.send(ticker(NOON_MS + 1_000))
    assert reader.latest()["warnings"] == ""
