"""What `doctor` asks PostgreSQL, where `DATABASE_URL` is set: version, tables, TimescaleDB, rights and clock."""

from __future__ import annotations

import time

from data_collector.cli.doctor.finding import Finding
from data_collector.cli.surroundings.found_database import running_embedded_dsn
from data_collector.model.errors import CollectorError
from data_collector.observe.escaping import escaped
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED
from data_collector.sinks.postgres.forgetting import tables_to_forget
from data_collector.sinks.postgres.hypertables import Layout
from data_collector.sinks.postgres.rights import Rights, rights_to_forget, rights_to_write
from data_collector.sinks.postgres.suitability import Facts, facts_of
from data_collector.venues.discovery import find_venue

OLDEST = 13
"""The oldest release that its makers looked after when this was written."""

CLOCK_WARN_S = 2.0

_ALL_NAMES = frozenset({"UTF8", "SQL_ASCII"})
"""Encodings that hold any name, or do not look."""

UTF8 = "Use a database whose encoding is UTF8."

CURE = "Start that PostgreSQL, or mend DATABASE_URL. Until then the store keeps what waits; unset, nothing is kept."


async def check_database(settings: Settings) -> list[Finding]:
    """All findings about the database; none where there is to be none."""
    if settings.database_url is None:
        return []
    dsn: str | None = settings.database_url.get_secret_value()
    try:
        if dsn == EMBEDDED:
            dsn = running_embedded_dsn(settings.var_dir / find_venue(settings.exchange).folder)
        if dsn is None:
            return [Finding("database", "ok", "the embedded PostgreSQL starts with the collector")]
        facts = await facts_of(dsn, *_rights(settings), symbols=settings.symbols)
    except CollectorError as error:
        return [Finding("database", "fail", escaped(str(error)), CURE)]
    return [
        _judge_version(facts), _judge_tables(facts), *_judge_encoding(facts), *_judge_timescale(facts.layout),
        *_judge_clock(facts),
    ]  # fmt: skip


def _rights(settings: Settings) -> tuple[Rights, Rights]:
    """What the collector will do there."""
    tables = tables_to_forget(
        settings.retention_days_klines, settings.retention_days_trades, settings.retention_days_tickers
    )
    to_write = rights_to_write(trades=settings.postgres_trades, tickers=settings.postgres_tickers)
    return to_write, rights_to_forget(*tables)


def _judge_version(facts: Facts) -> Finding:
    seen = escaped(f"PostgreSQL {facts.version} at {facts.place}")
    if facts.major < OLDEST:
        return Finding("database", "fail", seen, f"Use PostgreSQL {OLDEST} or newer.")
    if facts.is_standby:
        return Finding("database", "fail", f"{seen} is a standby, which takes no rows", "Name the primary.")
    return Finding("database", "ok", seen)


def _judge_tables(facts: Facts) -> Finding:
    if facts.fault is not None:
        cure = "Do what the sentence says, or name another user or database in DATABASE_URL."
        return Finding("database tables", "fail", escaped(facts.fault), cure)
    seen = "they are there" if facts.tables_version else "they are made at the first start"
    if facts.tables_version and facts.due_steps:
        steps = ", ".join(map(str, facts.due_steps))
        seen = f"step {steps} is due: the next start brings them up to date, which may take an hour for a large table"
    return Finding("database tables", "ok", seen)


def _judge_encoding(facts: Facts) -> list[Finding]:
    """Nothing where all names fit for ever."""
    if facts.unfit:
        names = ", ".join(facts.unfit)
        return [Finding("database encoding", "fail", escaped(f"{names}: {next(iter(facts.unfit.values()))}"), UTF8)]
    if facts.encoding in _ALL_NAMES:
        return []
    seen = f"it is {facts.encoding}, which holds the symbols of today"
    cure = f"The exchange lists names such as 币安人生USDT. {UTF8}"
    return [Finding("database encoding", "warn", escaped(seen), cure)]


def _judge_timescale(layout: Layout) -> list[Finding]:
    """Nothing where there is none. Partitions do as well, so none of it is a warning."""
    if layout.version is not None:
        use = "candles will lie in a hypertable" if not layout.has_table else "candles lie in a hypertable"
        if layout.has_table and not layout.is_hypertable:
            use = "not used, since the tables were made before it was installed"
        seen = f"{layout.version}, licence {layout.license}: {use}"
    elif layout.is_available and not layout.has_table:
        seen = "not installed here: `create extension timescaledb` before the first start makes candles a hypertable"
    else:
        return []
    return [Finding("database timescaledb", "ok", escaped(seen))]


def _judge_clock(facts: Facts) -> list[Finding]:
    ahead_s = facts.clock_s - time.time()
    if abs(ahead_s) <= CLOCK_WARN_S:
        return []
    seen = f"its clock is {abs(ahead_s):,.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    return [Finding("database clock", "warn", seen, "Let both follow NTP: `recorded_at` and revisions use its clock.")]
