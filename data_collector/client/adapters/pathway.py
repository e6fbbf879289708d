"""Pathway's tables of what the collector writes: importing this makes `pw.io.redis.read` exist.

    import data_collector.client.adapters.pathway
    table = pw.io.redis.read(rdxclient, stream="stream:BTCUSDT", format="json")

Pathway is not ours and comes with the extra `[pathway]`. Its licence is the Business Source License 1.1, which allows
production on one machine and no service that processes streams for others; read it before you build on it.

Exactly once over a restart needs names of it that are not public (`_disable_commits`, `_enable_commits`,
`_report_offset`, `_seek`): a row is saved with the offset that was reported before it, so rows and the position behind
them have to lie within one commit. `_buffer` is one that costs less, and never blocks.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from queue import SimpleQueue
from typing import Final, Literal, get_args, get_type_hints

from msgspec import Struct, structs

from data_collector.client.adapters.feeding.asked import Asked, Kind, asked_of
from data_collector.client.adapters.feeding.feeds import DeclaredGap, Feed, GapsFeed, RecordsFeed, Rows
from data_collector.client.answering.store import StoreClient
from data_collector.client.errors import Away, NotInstalled, WrongQuestion
from data_collector.client.live import WAIT_S
from data_collector.client.reading.delivery import PATIENCE_S, Patience
from data_collector.client.records import Kline, Origin, Trade
from data_collector.client.terms.times import Time

try:
    import pathway as pw
except ImportError as error:
    raise NotInstalled("Pathway is not installed: pip install 'btc-data-collector[pathway]'.") from error

Mode = Literal["streaming", "static"]
Numbers = Literal["float", "text"]

Row = dict[str, object]

QUEUED_MAX = 20_000
"""Rows that wait for Pathway: reading is faster than it, and a long history would fill the memory."""

PAUSE_S = 0.01
"""While they are more."""

_KEYS: Final[Mapping[Kind, Sequence[str]]] = {
    "stream": ("symbol", "interval", "timestamp"),
    "trades": ("symbol", "epoch", "trade_id"),
    "gaps": ("symbol", "channel", "interval", "epoch", "first"),
}


def read(
    client: str | StoreClient, stream: str, *,
    format: Literal["json"] = "json",  # noqa: A002
    schema: type[pw.Schema] | None = None, mode: Mode = "streaming", start: Time = "0", closed_only: bool = False,
    revisions: bool = False, numbers: Numbers = "float", autocommit_duration_ms: int | None = 100,
    name: str | None = None, max_backlog_size: int | None = None, api: str | None = None, database: str | None = None,
) -> pw.Table:  # fmt: skip
    """A stream as a table; `client` is an address, a `redis.Redis` or a `valkey.Valkey`.

    `stream:` gives one row a candle, of which the newest state stands (`closed_only`: only closed ones); `trades:` one
    row a trade, to which nothing is done any more; `gaps:` one row a range of records that are missing for good. With
    `revisions`, what came late or was corrected replaces what was there, or is added.

    `start` counts where persistence has no position: "0" is the oldest entry, "$" the newest; a time begins in history.
    `mode="static"` ends with the newest entry. `schema` names the columns that are wanted. `numbers="text"` gives
    the exchange's own digits. `api` and `database` are as the client has them. Raises `WrongQuestion`.
    """
    asked = asked_of(client, stream, start, closed_only=closed_only, revisions=revisions, api=api, database=database)
    _check_choice("format", format, ("json",))
    _check_choice("mode", mode, get_args(Mode))
    _check_choice("numbers", numbers, get_args(Numbers))
    columns = _columns(asked.kind, numbers)
    wanted = list(columns) if schema is None else _wanted(columns, schema)
    keys = _KEYS[asked.kind]
    sent = {column: hint for column, hint in columns.items() if column in wanted or column in keys}
    is_appended = asked.kind == "trades" and not revisions
    subject = Subject(asked, _shaping(asked.kind, sent, numbers), is_appended=is_appended, is_static=mode == "static")
    table = pw.io.python.read(
        subject, schema=_schema(sent, keys, is_appended=is_appended), name=name or f"redis:{stream}",
        autocommit_duration_ms=autocommit_duration_ms, max_backlog_size=max_backlog_size,
    )  # fmt: skip
    return table if wanted == list(sent) else table.select(**{column: table[column] for column in wanted})


class Subject(pw.io.python.ConnectorSubject):
    """Hands rows to Pathway, each read of them together with its position."""

    def __init__(
        self, asked: Asked, shape: Callable[[Struct], Row], *, is_appended: bool, is_static: bool
    ) -> None:  # fmt: skip
        super().__init__(datasource_name="redis", session_type="native" if is_appended else "upsert")
        self._buffer = SimpleQueue()
        self._queued_max = QUEUED_MAX
        self._asked = asked
        self._shape = shape
        self._is_static = is_static
        self._position: str | None = None

    def run(self) -> None:
        """In a thread of Pathway's own, which does not end it: it ends with the programme's main thread."""
        opened: Callable[[Asked, str | None], Feed] = GapsFeed if self._asked.kind == "gaps" else RecordsFeed
        feed: Feed | None = None
        patience = Patience(PATIENCE_S)
        try:
            while threading.main_thread().is_alive():
                try:
                    feed = feed or opened(self._asked, self._position)
                    rows = feed.poll(0 if self._is_static else WAIT_S)
                except Away as away:
                    pause_s = patience.pause_s(time.monotonic(), away)
                    if pause_s is None:
                        raise
                    time.sleep(pause_s)
                    continue
                patience.answered()
                self._hand_on(rows)
                if self._is_static and feed.is_caught_up:
                    break
        finally:
            if feed is not None:
                feed.close()

    def _seek(self, state: bytes) -> None:
        self._position = state.decode()

    def _set_max_backlog_size(self, max_backlog_size: int) -> None:
        """Pathway's own queue would block for ever the thread that fills it, when nobody takes from it any more."""
        self._queued_max = max_backlog_size

    def _hand_on(self, rows: Rows) -> None:
        if not rows.records and rows.position == self._position:
            return
        while self._buffer.qsize() > self._queued_max and threading.main_thread().is_alive():
            time.sleep(PAUSE_S)
        self._disable_commits()
        for record in rows.records:
            self.next(**self._shape(record))
        self._report_offset(rows.position.encode())
        self._enable_commits()
        self._position = rows.position


def _check_choice(parameter: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        told = " or ".join(f'"{choice}"' for choice in choices)
        raise WrongQuestion(f"{parameter}={value!r} is none that there is: write {told}.")


def _columns(kind: Kind, numbers: Numbers) -> dict[str, object]:
    """Their types in Pathway, which has no decimals."""
    number = float if numbers == "float" else str
    types: dict[object, object] = {
        Decimal: number, Decimal | None: number | None, datetime: pw.DateTimeUtc, Origin | None: str | None,
        tuple[str, ...]: list[str],
    }  # fmt: skip
    return {name: types.get(hint, hint) for name, hint in get_type_hints(_RECORDS[kind]).items()}


_RECORDS: Final[Mapping[Kind, type[Struct]]] = {"stream": Kline, "trades": Trade, "gaps": DeclaredGap}


def _wanted(columns: Mapping[str, object], schema: type[pw.Schema]) -> list[str]:
    """Raises `WrongQuestion` for what is not there, or is of another type."""
    wanted = schema.typehints()
    there = _schema(columns, (), is_appended=False).typehints()
    for name, hint in wanted.items():
        if name not in there:
            raise WrongQuestion(f"schema= names {name!r}, and there is no such column; there are {', '.join(there)}.")
        if hint != there[name]:
            raise WrongQuestion(f"schema= gives {name!r} the type {hint}, and the column is of {there[name]}.")
    return list(wanted)


def _schema(columns: Mapping[str, object], keys: Sequence[str], *, is_appended: bool) -> type[pw.Schema]:
    return pw.schema_builder(
        {name: pw.column_definition(dtype=hint, primary_key=name in keys) for name, hint in columns.items()},
        properties=pw.SchemaProperties(append_only=is_appended),
    )


def _shaping(kind: Kind, columns: Mapping[str, object], numbers: Numbers) -> Callable[[Struct], Row]:
    """What makes a row of a record. A float is the one that is nearest to the exchange's digits."""
    hints = get_type_hints(_RECORDS[kind])
    decimals = [name for name in columns if hints[name] in (Decimal, Decimal | None)]
    left_out = [name for name in hints if name not in columns]
    converted: Callable[[Decimal], object] = float if numbers == "float" else "{:f}".format

    def shape(record: Struct) -> Row:
        row: Row = structs.asdict(record)
        for name in decimals:
            value = row[name]
            if isinstance(value, Decimal):
                row[name] = converted(value)
        for name in left_out:
            del row[name]
        return row

    return shape


pw.io.redis = sys.modules[__name__]
