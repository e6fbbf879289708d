"""Frames of records: floats that are those of the text, what is not told, and spans without a gap."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from msgspec import structs

from data_collector.client import Gap, GapFound, Kline, Table, Trade, WrongQuestion
from data_collector.client.records import Missing, time_of
from data_collector.model.keys import Key
from tests.market import MINUTE_MS, NOON_MS, SYMBOL

MINUTES, TRADES = Key("kline", SYMBOL, "1m"), Key("trade", SYMBOL)
HARD = Decimal("0.123")
"""What Arrow's own cast makes 0.12300000000000001 of."""


def kline(minute: int, **changes: object) -> Kline:
    price = Decimal("45123.45")
    made = Kline(
        SYMBOL, time_of(NOON_MS + minute * MINUTE_MS), "1m", price, price, price, price, HARD, 1234, True,
        Decimal("5567890.12"), Decimal("61.728"), None,
    )  # fmt: skip
    return structs.replace(made, **changes)


def trade(trade_id: int, **changes: object) -> Trade:
    time = time_of(NOON_MS) + timedelta(microseconds=trade_id)
    made = Trade(SYMBOL, time, trade_id, Decimal("45180.50"), HARD, None, None, is_buyer_maker=True)
    return structs.replace(made, **changes)


def gap(first: int, last: int, reason: Missing = "lost") -> Gap:
    begin, end = (time_of(NOON_MS + minute * MINUTE_MS) for minute in (first, last))
    return Gap(SYMBOL, "kline", "1m", begin, end, last - first + 1, reason)


def test_floats_are_those_of_the_text() -> None:
    chance = random.Random(1)
    texts = [f"{chance.randint(0, 999)}.{chance.randint(0, 10**5):05d}" for _ in range(2000)]
    table = Table(MINUTES, [kline(number, volume=Decimal(text)) for number, text in enumerate(texts)], [])
    expected = [float(text) for text in texts]

    assert table.to_numpy()["volume"].tolist() == expected
    assert table.to_pandas()["volume"].tolist() == expected
    assert [row["volume"] for row in table.to_arrow().to_pylist()] == expected


def test_what_is_not_told_is_no_number_and_no_zero() -> None:
    table = Table(MINUTES, [kline(0, trades=None, source=None, warnings=("odd",)), kline(1)], [])

    array, (row, _) = table.to_numpy(), table.to_arrow().to_pylist()

    assert array["trades"].tolist() == [-1, 1234]
    assert np.isnan(array["taker_buy_quote_volume"]).all()
    assert (row["trades"], row["taker_buy_quote_volume"], row["source"], row["warnings"]) == (None, None, None, ["odd"])
    assert str(table.to_pandas()["trades"].tolist()) == "[nan, 1234.0]"


def test_times_are_aware_and_have_the_digits_of_the_source() -> None:
    candles, trades = Table(MINUTES, [kline(0)], []), Table(TRADES, [trade(7)], [])

    assert candles.to_numpy()["timestamp"].tolist() == [time_of(NOON_MS).replace(tzinfo=None)]
    assert trades.to_numpy()["timestamp"].astype("int64").tolist() == [NOON_MS * 1000 + 7]
    assert str(candles.to_pandas(tz="Europe/Berlin").index).count("2024-01-01 13:00:00+01:00") == 1
    assert str(trades.to_arrow().to_pylist()[0]["timestamp"]) == "2024-01-01 12:00:00.000007+00:00"


def test_decimals_keep_every_digit() -> None:
    table = Table(TRADES, [trade(1, price=Decimal("123456789012.12345678"))], [])

    assert table.to_pandas(numbers="decimal")["price"].tolist() == [Decimal("123456789012.12345678")]
    assert table.to_arrow(numbers="decimal").to_pylist()[0]["price"] == Decimal("123456789012.12345678")


@pytest.mark.parametrize("frame", ["to_arrow", "to_pandas", "to_polars"])
def test_numbers_of_a_kind_that_is_none_are_refused(frame: str) -> None:
    with pytest.raises(WrongQuestion, match="numbers='floats' is none of float, decimal"):
        getattr(Table(TRADES, [trade(1)], []), frame)(numbers="floats")


def test_frames_of_nothing_have_their_columns() -> None:
    assert Table(TRADES, [], []).to_numpy().dtype.names == (
        "timestamp", "price", "quantity", "trade_id", "buyer_order_id", "seller_order_id", "epoch", "is_buyer_maker",
    )  # fmt: skip
    assert len(Table(MINUTES, [], []).to_pandas()) == 0


def test_spans_end_at_gaps_and_lives() -> None:
    candles = [kline(minute) for minute in (2, 3, 6, 7)]

    assert Table(MINUTES, candles, [gap(0, 1), gap(4, 5), gap(8, 9)]).spans() == [slice(0, 2), slice(2, 4)]
    assert Table(MINUTES, candles, []).spans() == [slice(0, 4)]
    assert Table(TRADES, [trade(8), trade(9), trade(1, epoch=1)], []).spans() == [slice(0, 2), slice(2, 3)]
    assert Table(MINUTES, [], []).spans() == []


def test_rows_are_counted_and_indexed_as_those_of_a_list() -> None:
    candles = [kline(minute) for minute in range(4)]
    table = Table(MINUTES, candles, [])

    assert (len(table), table[0], table[-1], table[1:3]) == (4, candles[0], candles[3], candles[1:3])
    assert list(table) == candles
    with pytest.raises(IndexError):
        table[4]


def test_whole_table_is_handed_back_and_another_raises_its_first_gap() -> None:
    whole = Table(MINUTES, [kline(0)], [])

    assert whole.require_whole() is whole
    with pytest.raises(GapFound) as raised:
        Table(MINUTES, [kline(0)], [gap(1, 2), gap(4, 4)]).require_whole()
    assert raised.value.gap == gap(1, 2)


@pytest.mark.parametrize(
    ("found", "cure"),
    [
        (gap(1, 2, "unknown"), "`data-collector backfill --from …` brings"),
        (gap(1, 2, "skipped"), "`data-collector backfill --from …` brings"),
        (Gap(SYMBOL, "trade", None, 5, 7, 3, "lost"), "`data-collector backfill --from … --trades` brings"),
        (gap(1, 2, "absent"), ""),
        (gap(1, 2, "refused"), ""),
    ],
)
def test_gap_that_is_raised_names_its_cure_where_there_is_one(found: Gap, cure: str) -> None:
    told = str(GapFound(found))

    assert told.startswith(found.sentence)
    assert told.count("backfill") == bool(cure)
    assert cure in told
