"""What a certificate says, for people."""

from __future__ import annotations

from collections.abc import Iterator

from data_collector.observe.escaping import escaped
from data_collector.service.backup.certificate import Certificate

SYMBOLS_SHOWN = 20


def sentences(certificate: Certificate, *, without_database: bool = False) -> list[str]:
    """A line for each symbol, table and what else there is; rows may be told to stay in the backup."""
    return [escaped(line) for line in _lines(certificate, without_database=without_database)]


def _lines(certificate: Certificate, *, without_database: bool) -> Iterator[str]:
    store, database = certificate.store, certificate.database
    if store is not None:
        for held in store.symbols[:SYMBOLS_SHOWN]:
            trades, klines = held.streams.get("trades"), held.streams.get("stream")
            told = [] if trades is None else [f"{trades.entries:,} trades"]
            told += [] if trades is None or trades.last is None else [f"up to id {trades.last.partition('-')[2]}"]
            told += [] if trades is None else ["none missing" if not trades.missing else f"{trades.missing:,} missing"]
            told += [] if klines is None else [f"{klines.entries:,} updates of candles"]
            yield f"{held.exchange} {held.symbol}: {', '.join(told) or 'no trades and no candles'}"
        if len(store.symbols) > SYMBOLS_SHOWN:
            yield f"… and {len(store.symbols) - SYMBOLS_SHOWN:,} more symbols"
        yield f"Store: {store.klines:,} candles under keys of their own"
        for key in store.left_out:
            yield f"Left out: {key}, which somebody else uses"
    if database is not None:
        rows = f"{sum(table.rows for table in database.tables):,} rows, tables of version {database.version}"
        yield f"PostgreSQL: {rows}" if not without_database else f"Left in the backup: {rows}, of PostgreSQL"
    rules = sum(file.name.startswith("rules/") for file in certificate.files)
    spools = sum(file.name.startswith("spool/") for file in certificate.files)
    yield f"Rules: {rules} files; spool: {spools} files"
