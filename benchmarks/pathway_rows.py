"""One run of Pathway over a stream, in an environment that has it. For `benchmarks.readers` alone.

    python -m benchmarks.pathway_rows URL STREAM WAY

Prints rows and the CPU seconds of `pw.run()`. WAY is `ours`, with all its columns; `own`: the shortest connector that a
user writes for the records themselves; or `ready`: the same with rows that are in memory before it begins.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from time import process_time
from typing import Literal

import pathway as pw
import redis

from data_collector.client.adapters import pathway as adapter

ENTRIES_PER_READ = 1000

Session = Literal["native", "upsert"]


class Own(pw.io.python.ConnectorSubject):
    """As Pathway's guide has it."""

    def __init__(self, rows: Callable[[], Iterable[dict[str, object]]], session_type: Session) -> None:
        super().__init__(session_type=session_type)
        self._rows = rows

    def run(self) -> None:
        for row in self._rows():
            self.next(**row)


def main(url: str, stream: str, way: str) -> None:
    """Count what comes out of the table."""
    ready = list(rows_of(url, stream)) if way == "ready" else []
    rows = 0

    def counted(key: object, row: dict[str, object], time: int, is_addition: bool) -> None:
        nonlocal rows
        rows += is_addition

    if way == "ours":
        table = adapter.read(url, stream, mode="static")
    else:
        columns, session = _TABLES[stream.partition(":")[0]]
        subject = Own(lambda: ready or rows_of(url, stream), session)
        table = pw.io.python.read(subject, schema=columns, autocommit_duration_ms=100)
    pw.io.subscribe(table, on_change=counted)
    begin = process_time()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    print(rows, process_time() - begin)


def rows_of(url: str, stream: str) -> Iterator[dict[str, object]]:
    """Of all entries."""
    last = "0"
    with redis.from_url(url) as store:
        while reply := store.xread({stream: last}, count=ENTRIES_PER_READ):
            assert isinstance(reply, list), "of protocol 2"
            ((_, entries),) = reply
            last = entries[-1][0]
            for _, fields in entries:
                row = json.loads(fields[b"data"])
                row["timestamp"] = datetime.fromisoformat(row["timestamp"])
                yield row


def schema(keys: Sequence[str], **types: object) -> type[pw.Schema]:
    """Of columns with these types."""
    return pw.schema_builder(
        {name: pw.column_definition(dtype=hint, primary_key=name in keys) for name, hint in types.items()}
    )


_TABLES: Mapping[str, tuple[type[pw.Schema], Session]] = {
    "trades": (
        schema(
            ("symbol", "trade_id"), symbol=str, timestamp=pw.DateTimeUtc, trade_id=int, price=float, quantity=float,
            buyer_order_id=int | None, seller_order_id=int | None, is_buyer_maker=bool | None,
        ),
        "native",
    ),
    "stream": (
        schema(
            ("symbol", "interval", "timestamp"), symbol=str, timestamp=pw.DateTimeUtc, interval=str, open=float,
            high=float, low=float, close=float, volume=float, trades=int | None, is_closed=bool,
            quote_volume=float | None, taker_buy_base_volume=float | None, taker_buy_quote_volume=float | None,
        ),
        "upsert",
    ),
}  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
