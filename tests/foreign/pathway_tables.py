"""Reads what a store holds as many tables at once, and prints a line of JSON for each row and each sentence.

python -m tests.foreign.pathway_tables SYMBOL
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

import pathway as pw
import redis
import valkey

from data_collector.client import WrongQuestion
from data_collector.client.adapters.pathway import read


class Few(pw.Schema):
    """Without a key."""

    price: float
    trade_id: int


class Wrong(pw.Schema):
    """Of another type than it is."""

    price: str


class Unknown(pw.Schema):
    """There is none."""

    colour: str


def main(symbol: str) -> None:
    """Ends with the newest entries."""
    url = os.environ["REDIS_URL"]
    new = redis.from_url(url, protocol=3, decode_responses=True)
    parts = urlsplit(url)
    other = valkey.Valkey(parts.hostname, parts.port)
    trades, candles, gaps = f"trades:{symbol}", f"stream:{symbol}", f"gaps:{symbol}"
    tables = {
        "text": read(new, trades, mode="static", numbers="text", name="text"),
        "few": read(other, trades, mode="static", schema=Few, name="few", max_backlog_size=1),
        "late": read(url, trades, mode="static", revisions=True),
        "candles": read(other, candles, mode="static", revisions=True),
        "closed": read(url, candles, mode="static", closed_only=True, name="closed"),
        "gaps": read(new, gaps, mode="static"),
    }
    for name, table in tables.items():
        pw.io.subscribe(table, on_change=telling(name))
    for schema in (Wrong, Unknown):
        try:
            read(url, trades, schema=schema)
        except WrongQuestion as error:
            tell("wrong", str(error))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


def telling(name: str) -> Callable[[object, dict[str, object], int, bool], None]:
    """Prints what becomes of rows of one table."""

    def told(key: object, row: dict[str, object], time: int, is_addition: bool) -> None:
        tell(name, ("+" if is_addition else "-", row))

    return told


def tell(name: str, what: object) -> None:
    print(json.dumps([name, what], default=str), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
