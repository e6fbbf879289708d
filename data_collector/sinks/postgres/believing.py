"""What a write is believed on: columns that keep every digit, and rows that are counted.

A column that somebody altered rounds in silence, and a trigger or a rule may keep rows out and say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from data_collector.model.errors import Misconfigured, RowsRefused
from data_collector.sinks.postgres import statements

_TIME = "timestamp with time zone"

_KLINE = {
    "timestamp": _TIME, "trades": "bigint",
    **dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), "numeric"),
    **dict.fromkeys(("taker_buy_base_volume", "taker_buy_quote_volume"), "numeric"),
}  # fmt: skip

_COLUMNS: Final = {
    "market_data_ohlcv": _KLINE,
    "market_data_ohlcv_revisions": {**_KLINE, "known_from": _TIME, "known_until": _TIME},
    "market_data_trades": {
        "timestamp": _TIME, "price": "numeric", "quantity": "numeric",
        **dict.fromkeys(("trade_id", "buyer_order_id", "seller_order_id"), "bigint"),
    },
    "market_data_tickers": {
        **dict.fromkeys(("timestamp", "open_time", "close_time"), _TIME),
        **dict.fromkeys(statements.TICKER_IDS, "bigint"),
        **dict.fromkeys(statements.TICKER_STATISTICS, "numeric"),
    },
    "market_data_gaps": dict.fromkeys(("first", "last", "count"), "bigint"),
}  # fmt: skip
"""Of each table those columns that could take another value than they were given, and the type that does not. Texts
are not among them: what does not fit there is refused."""

_WRONG = """
select wanted."table" as of, wanted.name, wanted.kind, format_type(found.atttypid, found.atttypmod) as found
from unnest($1::text[], $2::text[], $3::text[]) as wanted("table", name, kind)
join pg_attribute as found
  on found.attrelid = to_regclass(wanted."table") and found.attname = wanted.name and not found.attisdropped
where format_type(found.atttypid, found.atttypmod) <> wanted.kind
order by 1, 2
"""


async def demand_columns(connection: asyncpg.Connection, *tables: str) -> None:
    """See that the columns (of all tables without `tables`) are of the types that they were made with.

    After a write in its transaction nobody can alter them before it is over. Raises `Misconfigured`, and what the
    driver raises.
    """
    wanted = [
        (table, name, kind) for table in tables or tuple(_COLUMNS) for name, kind in _COLUMNS.get(table, {}).items()
    ]
    rows = await connection.fetch(_WRONG, *(list(column) for column in zip(*wanted, strict=True)))
    if rows:
        wrong = ", ".join(f"{row['of']}.{row['name']} is {row['found']}" for row in rows)
        cure = "; ".join(f'ALTER TABLE {row["of"]} ALTER COLUMN "{row["name"]}" TYPE {row["kind"]}' for row in rows)
        raise Misconfigured(
            f"columns were altered, and digits or times would be lost, so nothing is written: {wrong}. Undo that "
            f"({cure}); `data-collector audit --repair` mends what was rounded before it was found"
        )


def demand_all(given: int, stored: int, table: str) -> None:
    """See that rows that were given are there. Raises `RowsRefused`."""
    if stored < given:
        raise RowsRefused(
            f"{given - stored:,} of {given:,} rows did not get into {table}, and PostgreSQL said nothing: a trigger or "
            "a rule of that table keeps them out. Drop it"
        )


async def put_gaps(connection: asyncpg.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Record ranges. Raises `RowsRefused`, and what the driver raises."""
    if not rows:
        return
    await connection.executemany(statements.PUT_GAP, rows)
    keys = [list(column) for column in zip(*((*row[:5], row[9]) for row in rows), strict=True)]
    demand_all(len(rows), int(str(await connection.fetchval(statements.COUNT_GAPS, *keys))), "market_data_gaps")
    await demand_columns(connection, "market_data_gaps")
