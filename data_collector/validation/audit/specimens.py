"""Made-up good records, to try a suite on and to warm up with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from pandas import DataFrame

from data_collector.model.records import Kline, Quote, Ticker, Trade
from data_collector.validation.audit.frames import AuditBatch, frame_of_batch
from data_collector.validation.audit.memory import Memory
from data_collector.validation.auditing.messages import Chunk
from data_collector.validation.rules.columns import COLUMNS, Checked, Kind

ROWS = 5

_NOON_MS = 1_704_110_400_000
_MINUTE_MS = 60_000
_NS = 1_000_000


def specimen_frame(kind: Kind) -> DataFrame:
    """A frame of good records in which every column has a value in every row."""
    make: Mapping[Kind, Callable[[int], Checked]] = {
        "trade": _trade, "kline": _kline, "ticker": _ticker, "quote": _quote,
    }  # fmt: skip
    chunk = Chunk(kind, "", sizes={"BTCUSDT": (0.01, 0.001)})
    chunk.records = [make[kind](number) for number in range(ROWS)]
    batch = AuditBatch(kind, "")
    batch.add(chunk, msgspec.Raw())
    frame = frame_of_batch("", batch, Memory())
    for name in COLUMNS[kind]:
        source = name.removeprefix("previous_").removeprefix("typical_")
        if source != name:
            frame[name] = frame[source].to_numpy()
    return frame


def _trade(number: int) -> Trade:
    time_ms = _NOON_MS + number
    return Trade(
        "BTCUSDT", 1_000 + number, "45180.50", "0.123", time_ms, time_ms + 1, is_buyer_maker=number % 2 == 0,
        received_ns=(time_ms + 2) * _NS, buyer_order_id=2_000 + number, seller_order_id=3_000 + number,
    )  # fmt: skip


def _kline(number: int) -> Kline:
    open_ms = _NOON_MS + number * _MINUTE_MS
    return Kline(
        symbol="BTCUSDT",
        interval="1m",
        open_ms=open_ms,
        close_ms=open_ms + _MINUTE_MS - 1,
        open="45123.45",
        high="45200.00",
        low="45100.00",
        close="45180.50",
        volume="123.456",
        quote_volume="5567890.12",
        taker_buy_base_volume="61.728",
        taker_buy_quote_volume="2783945.06",
        trades=1_234,
        is_closed=number % 2 == 0,
        event_ms=open_ms + _MINUTE_MS,
        first_trade_id=100 + 1_234 * number,
        last_trade_id=100 + 1_234 * number + 1_233,
        received_ns=(open_ms + _MINUTE_MS + 1) * _NS,
    )


def _ticker(number: int) -> Ticker:
    event_ms = _NOON_MS + 1_000 * number
    return Ticker(
        symbol="BTCUSDT",
        price_change="-95.00",
        price_change_percent="-0.210",
        weighted_avg_price="45150.29628",
        prev_close_price="45100.00",
        last_price="45180.50",
        last_qty="0.5",
        bid_price="45180.49",
        bid_qty="1.1",
        ask_price="45180.51",
        ask_qty="2.2",
        open_price="45275.50",
        high_price="45900.00",
        low_price="44000.00",
        volume="8913.3",
        quote_volume="402438635.83",
        open_time=event_ms - 86_400_000,
        close_time=event_ms,
        first_id=1,
        last_id=500 + number,
        count=500 + number,
        event_ms=event_ms,
        received_ns=(event_ms + 1) * _NS,
    )


def _quote(number: int) -> Quote:
    return Quote("BTCUSDT", 500 + number, "45180.49", "1.1", "45180.51", "2.2", (_NOON_MS + number) * _NS)
