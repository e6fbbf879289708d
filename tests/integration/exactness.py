"""What was stored, held against what the exchange says that it traded: exactly once, in order, digit by digit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from data_collector.model.calendar import LENGTHS_MS
from data_collector.model.records import Kline, Trade
from tests.integration.store_reader import Store, number, parsed
from tests.market import SYMBOL

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TRADE_KEYS = [
    "symbol", "timestamp", "trade_id", "price", "quantity", "buyer_order_id", "seller_order_id", "is_buyer_maker",
]  # fmt: skip
KLINE_KEYS = [
    "symbol", "timestamp", "interval", "open", "high", "low", "close", "volume", "trades", "is_closed", "quote_volume",
    "taker_buy_base_volume", "taker_buy_quote_volume",
]  # fmt: skip

Holes = list[tuple[int, int, str]]
"""First id, last id, reason."""


def iso(time_ms: int, *, digits: str = "milliseconds", sub_ms_us: int = 0) -> str:
    """The contract's time, made without the code that is tested."""
    return (EPOCH + timedelta(milliseconds=time_ms, microseconds=sub_ms_us)).isoformat(timespec=digits)


@dataclass(frozen=True)
class TradeForm:
    """What a stream tells of a trade; the exchange's own tape has all of it."""

    order_ids: bool = False
    microseconds: bool = False


PLAIN = TradeForm()


def expected_trade(trade: Trade, form: TradeForm) -> dict[str, object]:
    """The contract's record of a trade."""
    time = iso(trade.time_ms)
    if form.microseconds:
        time = iso(trade.time_ms, digits="microseconds", sub_ms_us=trade.sub_ms_us or 0)
    buyer, seller = (trade.buyer_order_id, trade.seller_order_id) if form.order_ids else (None, None)
    assert not form.order_ids or (buyer is not None and seller is not None)
    values = [
        trade.symbol,
        time,
        trade.trade_id,
        *map(number, (trade.price, trade.quantity)),
        buyer,
        seller,
        trade.is_buyer_maker,
    ]
    return dict(zip(TRADE_KEYS, values, strict=True))


def expected_kline(kline: Kline) -> dict[str, object]:
    """The contract's record of a kline."""
    values = [
        kline.symbol, iso(kline.open_ms, digits="seconds"), kline.interval, kline.open, kline.high, kline.low,
        kline.close, kline.volume, kline.trades, kline.is_closed, kline.quote_volume, kline.taker_buy_base_volume,
        kline.taker_buy_quote_volume,
    ]  # fmt: skip
    return dict(zip(KLINE_KEYS, values, strict=True))


def assert_trades_exact(store: Store, symbol: str, tape: Iterable[Trade], form: TradeForm = PLAIN) -> Holes:
    """Each stored trade is the exchange's, once, in order; what lies between is declared. Returns what is declared.

    What is stored begins where the collector began and ends at the exchange's newest trade.
    """
    truth = {trade.trade_id: trade for trade in tape}
    stored: list[int] = []
    before_ms = 0
    for entry in store.entries(f"trades:{symbol}"):
        time_ms, trade_id = map(int, entry["id"].split("-"))
        trade = truth[trade_id]
        record = parsed(entry["fields"]["data"])
        assert record == expected_trade(trade, form)
        assert list(record) == TRADE_KEYS
        before_ms = max(before_ms, trade.time_ms)
        assert time_ms == before_ms
        stored.append(trade_id)
    assert stored, f"no trade of {symbol} is stored"
    assert stored[-1] == max(truth)
    assert stored == sorted(set(stored))
    declared = [(int(gap["first"]), int(gap["last"]), gap["reason"]) for gap in store.gaps(symbol, "trade")]
    assert all(gap["count"] == int(gap["last"]) - int(gap["first"]) + 1 for gap in store.gaps(symbol, "trade"))
    missing = sorted(set(range(stored[0], stored[-1] + 1)) - set(stored))
    assert [number for first, last, _ in declared for number in range(first, last + 1)] == missing
    return declared


def assert_closed_klines_exact(store: Store, symbol: str, interval: str, closed: Sequence[Kline]) -> None:
    """From the first stored one on, every closed kline is in `stream:` once, in order, and in `kline:`."""
    records = [record for record in store.records(f"stream:{symbol}") if record["interval"] == interval]
    stored = [record for record in records if record["is_closed"]]
    assert stored, f"no closed kline of {symbol} {interval} is stored"
    expected = [expected_kline(kline) for kline in closed]
    start = [record["timestamp"] for record in expected].index(stored[0]["timestamp"])
    assert stored == expected[start:]
    for record in stored:
        assert list(record) == KLINE_KEYS
        newest = store.text(f"kline:{symbol}:{interval}:{record['timestamp']}")
        assert newest is not None
        assert parsed(newest) == record
    assert_updates_in_order(records)


def assert_updates_in_order(records: Sequence[dict[str, object]]) -> None:
    """Open updates grow and none follows the close of its kline."""
    closed: set[object] = set()
    trades: dict[object, int] = {}
    for record in records:
        timestamp, count = record["timestamp"], record["trades"]
        assert timestamp not in closed
        assert isinstance(count, int)
        assert count >= trades.get(timestamp, 0)
        trades[timestamp] = count
        if record["is_closed"]:
            closed.add(timestamp)


def assert_latest_is_newest(store: Store, symbol: str, tape: Sequence[Trade]) -> None:
    """`latest:` shows the exchange's newest trade, and the statistics beside it."""
    latest = store.hash(f"latest:{symbol}")
    assert latest["symbol"] == symbol
    assert latest["price"] == tape[-1].price
    assert float(latest["volume"]) > 0


def closed(store: Store, symbol: str = SYMBOL, interval: str = "1m") -> list[dict[str, object]]:
    """The closed klines of the stream, with the fields beside the record."""
    return [
        parsed(entry["fields"]["data"]) | {name: text for name, text in entry["fields"].items() if name != "data"}
        for entry in store.entries(f"stream:{symbol}")
        if f'"interval":"{interval}"' in entry["fields"]["data"] and '"is_closed":true' in entry["fields"]["data"]
    ]


def assert_all_of(store: Store, symbol: str, interval: str, klines: Sequence[Kline]) -> set[object]:
    """Every open time from the first to the last once, with the market's numbers; where they are from."""
    assert closed(store, symbol, interval)
    assert_klines_accounted(store, symbol, interval)
    assert_klines_true(store, symbol, interval, klines)
    assert store.gaps(symbol, "kline") == []
    return {record.get("src", "ws") for record in closed(store, symbol, interval)}


def assert_klines_accounted(store: Store, symbol: str, interval: str) -> None:
    """Every open time from the first to the last once, in order, but for those that are declared."""
    length_ms = LENGTHS_MS[interval]
    held = [ms_of(str(record["timestamp"])) for record in closed(store, symbol, interval)]
    declared = {
        open_ms
        for gap in store.gaps(symbol, "kline")
        if gap["interval"] == interval
        for open_ms in range(ms_of(str(gap["first"])), ms_of(str(gap["last"])) + 1, length_ms)
    }
    places = range(held[0], held[-1] + 1, length_ms) if held else range(0)
    assert held == [place for place in places if place in held or place not in declared]


def assert_klines_true(store: Store, symbol: str, interval: str, klines: Sequence[Kline]) -> None:
    """The market's numbers; where it has none, nothing was traded."""
    truth = {record["timestamp"]: record for record in map(expected_kline, klines)}
    for record in closed(store, symbol, interval):
        plain = {name: value for name, value in record.items() if name not in {"src", "check", "warnings"}}
        if plain["trades"]:
            assert plain == truth[plain["timestamp"]]
        else:
            assert plain["timestamp"] not in truth
            assert plain["open"] == plain["high"] == plain["low"] == plain["close"]
            assert float(str(plain["volume"])) == float(str(plain["quote_volume"])) == 0


def ms_of(timestamp: str) -> int:
    """Of a time of the contract."""
    return (datetime.fromisoformat(timestamp) - EPOCH) // timedelta(milliseconds=1)
