"""What the login of `DATABASE_URL` has to be allowed, and the GRANT that is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import asyncpg

from data_collector.model.errors import Misconfigured

Rights = Mapping[str, tuple[str, ...]]
"""Table to what is to be allowed on it."""

_WRITE = ("SELECT", "INSERT", "UPDATE")

_SERVER = """
select quote_ident(current_user) as login, quote_ident(current_database()) as database,
  quote_ident(current_schema()) as schema, current_setting('search_path') as search_path,
  has_schema_privilege(current_schema(), 'CREATE') as may_create,
  has_database_privilege(current_database(), 'TEMPORARY') as may_stage
"""

_MISSING = """
select table_name, string_agg(privilege, ', ' order by number) as privileges
from (
  select format('%I.%I', nspname, relname) as table_name, privilege, number
  from unnest($1::text[], $2::text[]) with ordinality as wanted(name, privilege, number)
  join pg_class on pg_class.oid = to_regclass(wanted.name) join pg_namespace on pg_namespace.oid = relnamespace
  where not has_table_privilege(pg_class.oid, privilege)
) as missing
group by table_name order by 2, 1
"""


_FOREIGN = """
select string_agg(format('%I.%I', nspname, relname), ', ' order by relname) as tables,
  quote_ident(pg_get_userbyid(relowner)) as owner
from unnest($1::text[]) as name
join pg_class on pg_class.oid = to_regclass(name) join pg_namespace on pg_namespace.oid = relnamespace
where not pg_has_role(relowner, 'USAGE')
group by relowner
"""


def rights_to_write(*, klines: bool = True, trades: bool = True, tickers: bool = False) -> Rights:
    """What keeping up with the store takes."""
    rights: dict[str, tuple[str, ...]] = {
        "market_data_cursors": _WRITE, "market_data_epochs": ("SELECT", "INSERT"), "market_data_gaps": _WRITE,
    }  # fmt: skip
    if klines:
        rights |= {"market_data_ohlcv": _WRITE, "market_data_ohlcv_revisions": ("SELECT", "INSERT")}
    if trades:
        rights |= {"market_data_trades": _WRITE}
    if tickers:
        rights |= {"market_data_tickers": ("SELECT", "INSERT")}
    return rights


def rights_to_load(*, trades: bool = True) -> Rights:
    """What bringing the past takes: what is refused is kept and declared, and let go when it is stored after all."""
    kept = dict.fromkeys(("market_data_quarantine", "market_data_gaps"), (*_WRITE, "DELETE"))
    return {**rights_to_write(trades=trades), **kept}


def rights_to_repair(*, trades: bool = True) -> Rights:
    """What a repair takes: it takes out candles of which the exchange proves to have none."""
    return {**rights_to_load(trades=trades), "market_data_ohlcv": (*_WRITE, "DELETE")}


def rights_to_forget(*tables: str) -> Rights:
    """What the retention takes."""
    return dict.fromkeys(tables, ("SELECT", "DELETE"))


async def demand_tables_can_be_made(connection: asyncpg.Connection) -> None:
    """For when a migration is due. Raises `Misconfigured`, and what the driver raises."""
    server = await connection.fetchrow(_SERVER)
    assert server is not None, "it has one row"
    if server["schema"] is None:
        raise Misconfigured(
            f"PostgreSQL has no schema that {server['login']} may use for the tables: make one of its search_path "
            f"({server['search_path']}), or GRANT USAGE, CREATE ON it TO {server['login']}"
        )
    if not server["may_create"]:
        raise Misconfigured(
            "The tables in PostgreSQL are to be made or brought up to date, and that takes "
            f"GRANT CREATE ON SCHEMA {server['schema']} TO {server['login']} by its owner"
        )


async def demand_ownership(connection: asyncpg.Connection, tables: Iterable[str]) -> None:
    """For when a migration changes tables that are there. Raises `Misconfigured`, and what the driver raises."""
    rows = await connection.fetch(_FOREIGN, list(tables))
    if rows:
        login = await connection.fetchval("select quote_ident(current_user)")
        owners = ", and ".join(f"{row['owner']} ({row['tables']})" for row in rows)
        grants = "; ".join(f"GRANT {row['owner']} TO {login}" for row in rows)
        raise Misconfigured(
            f"The tables in PostgreSQL are to be brought up to date, which their owner alone may: {owners}. Run "
            f"`data-collector backfill` or the collector once with that login in DATABASE_URL, or {grants}"
        )


async def demand_rights(connection: asyncpg.Connection, *rights: Rights) -> None:
    """Raise `Misconfigured` with the statements that are missing, if any; and what the driver raises.

    Tables that do not exist are passed over.
    """
    server = await connection.fetchrow(_SERVER)
    assert server is not None, "it has one row"
    wanted = dict.fromkeys((table, word) for each in rights for table, words in each.items() for word in words)
    tables: dict[str, list[str]] = {}
    for row in await connection.fetch(_MISSING, [table for table, _ in wanted], [word for _, word in wanted]):
        tables.setdefault(str(row["privileges"]), []).append(str(row["table_name"]))
    grants = [f"{missing} ON {', '.join(of)}" for missing, of in tables.items()]
    # Every batch goes into a temporary table first.
    if not server["may_stage"] and any(word == "INSERT" for _, word in wanted):
        grants.append(f"TEMPORARY ON DATABASE {server['database']}")
    if grants:
        statements = "; ".join(f"GRANT {grant} TO {server['login']}" for grant in grants)
        raise Misconfigured(f"PostgreSQL does not allow {server['login']} all it needs; the owner can: {statements}")
