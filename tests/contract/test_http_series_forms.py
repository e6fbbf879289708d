"""The forms in which GET /klines and /trades answer, and the fields that are there when asked for."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pyarrow

from data_collector.model.sink import Batch, RecordSource
from data_collector.model.wire import open_time_text
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.http_service import HttpService
from tests.contract.test_http_series import (
    MINUTES,
    TRADES,
    cell,
    one_service,
    page,
    put_klines,
    put_trades,
    records,
    rows_of,
    service,
    writer_of,
)
from tests.market import MINUTE_MS, NOON_MS, kline, trade

__all__ = ["one_service", "service"]
"""Fixtures, which are used here too."""


async def test_csv_has_the_columns_of_the_json(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_klines(dsn, [0])
    await sink.write(stores.klines(kline(1)))
    await put_trades(dsn, [1])

    for path in (MINUTES, TRADES):
        asked = service.get(path, Accept="text/csv")
        table = list(csv.reader(io.StringIO(asked.text)))
        rows = [json.loads(text, parse_float=str, parse_int=str) for text in records(service.get(path))]
        assert asked.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert table == [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]


async def test_arrow_has_exact_decimals_and_times(service: HttpService, sink: RedisSink, dsn: str) -> None:
    await put_klines(dsn, [0], volume="123456789012.12345678")
    await sink.write(stores.klines(kline(1)))
    await put_trades(dsn, [1], sub_ms_us=456)

    minutes = pyarrow.ipc.open_stream(service.get(f"{MINUTES}&format=arrow").body).read_all()
    ticks = pyarrow.ipc.open_stream(service.get(f"{TRADES}&format=arrow").body).read_all()

    first, second = minutes.to_pylist()
    assert (first["volume"], second["volume"]) == (Decimal("123456789012.12345678"), Decimal("123.456"))
    assert [str(row["timestamp"]).replace(" ", "T") for row in (first, second)] == [
        open_time_text(NOON_MS), open_time_text(NOON_MS + MINUTE_MS)
    ]  # fmt: skip
    (tick,) = ticks.to_pylist()
    assert str(tick["timestamp"]).replace(" ", "T") == "2024-01-01T12:00:00.123456+00:00"
    assert (tick["trade_id"], tick["price"], tick["buyer_order_id"]) == (1, Decimal("45180.50"), None)


async def test_meta_tells_where_records_are_from_in_every_form_and_from_both_stores(
    service: HttpService, sink: RedisSink, dsn: str
) -> None:
    marks: list[tuple[RecordSource, tuple[str, ...]]] = [
        ("rest", ()),
        ("built", ()),
        ("ws", ("cap", "floor")),
        ("ws", ()),
    ]
    async with writer_of(dsn) as writer:
        for number, (source, rules) in enumerate(marks):
            await writer.put_klines([kline(number)], source=source, warnings={kline(number).open_ms: rules})
            await writer.put_trades([trade(number)], source=source, warnings={number: rules})
    batch = stores.klines(*(kline(4 + number) for number in range(4)))
    for update, (source, rules) in zip(batch.klines[0], marks, strict=True):
        update.source, update.warnings = source, rules
    batch.trades = [stores.run_of([trade(4 + number) for number in range(4)])]
    entries = batch.trades[0].entries
    for number, words in enumerate((" rest", " built", "cap,floor")):
        # As runs write it: the time, the rules, the source.
        entries[2 * number] = f"{entries[2 * number]} {words}"
    await sink.write(batch)
    expected = [{"source": source, "warnings": list(rules)} for source, rules in marks * 2]

    for path in (f"{MINUTES}&meta=1", f"{TRADES}&meta=1"):
        found = [json.loads(text) for text in records(service.get(path))]
        plain = rows_of(page(service, path.replace("meta=1", "meta=0")))
        assert [{name: row.pop(name) for name in ("source", "warnings")} for row in found] == expected
        assert found == plain
        arrow = pyarrow.ipc.open_stream(service.get(f"{path}&format=arrow").body).read_all().to_pylist()
        assert [{name: row[name] for name in ("source", "warnings")} for row in arrow] == expected
        table = list(csv.DictReader(io.StringIO(service.get(f"{path}&format=csv").text)))
        assert [(row["source"], row["warnings"]) for row in table] == [(s, ",".join(rules)) for s, rules in marks * 2]


async def test_what_an_exchange_does_not_tell_is_null_in_every_form(
    service: HttpService, sink: RedisSink, dsn: str
) -> None:
    lacking = dict.fromkeys(("trades", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume"))
    await put_klines(dsn, [0], **lacking)
    await sink.write(stores.klines(kline(1, **lacking)))
    await put_trades(dsn, [1], is_buyer_maker=None)
    await sink.write(Batch(trades=[stores.run_of([trade(2, is_buyer_maker=None)])]))

    for path, names in ((f"{MINUTES}&limit=9", lacking), (f"{TRADES}&limit=9", {"is_buyer_maker": None})):
        arrow = pyarrow.ipc.open_stream(service.get(f"{path}&format=arrow").body).read_all().to_pylist()
        table = list(csv.DictReader(io.StringIO(service.get(f"{path}&format=csv").text)))
        for rows, nothing in ((rows_of(page(service, path)), None), (arrow, None), (table, "")):
            assert [{name: row[name] for name in names} for row in rows] == [dict.fromkeys(names, nothing)] * 2


async def test_open_kline_tells_the_rules_that_mark_it(service: HttpService, sink: RedisSink) -> None:
    batch = stores.klines(kline(0), kline(1, closed=False))
    batch.klines[0][1].warnings = ("cap",)
    await sink.write(batch)

    found = rows_of(page(service, f"{MINUTES}&open=1&meta=1"))

    assert [(row["source"], row["warnings"]) for row in found] == [("ws", []), ("ws", ["cap"])]


async def test_number_that_arrow_cannot_hold_is_told(service: HttpService, sink: RedisSink) -> None:
    await sink.write(Batch(trades=[stores.run_of([trade(1, price="0.1234567890123456789")])]))

    answer = service.get(f"{TRADES}&format=arrow")

    assert (answer.status, "price: a number has more than 18 decimal places" in answer.text) == (422, True)
