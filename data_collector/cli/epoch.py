"""`data-collector epoch`: in which life a market's trade ids are, and letting the next one begin."""

from __future__ import annotations

import asyncio

import typer

from data_collector.cli.chosen_exchange import chosen_settings, symbol_of
from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.model.keys import StoreKeys
from data_collector.settings import Settings
from data_collector.sinks.redis.connection import ReplyError, StoreConnection
from data_collector.sinks.redis.entries import entries_of
from data_collector.sinks.redis.stored_records import epoch_or_first
from data_collector.venues.discovery import find_venue

ORDER_LIFE_S = 600
"""An order that no collector has carried out by then is forgotten."""

WAIT_S = 30.0
LOOK_S = 0.25


def epoch(*, symbol: str, new: bool, exchange: str | None) -> None:
    """What it takes and does stands in `cli.arguments.live`."""
    asyncio.run(_run(symbol, chosen_settings(exchange, symbol), is_ordered=new))


async def _run(named: str, settings: Settings, *, is_ordered: bool) -> None:
    venue = find_venue(settings.exchange)
    symbol, keys = symbol_of(named, venue), venue.store_keys
    async with opened(await find_store(settings=settings)) as connection:
        present = await _present(connection, keys, symbol)
        if present is None:
            raise Misconfigured(f"The store has no trades of {symbol}.")
        if not is_ordered:
            typer.echo(f"{symbol}: epoch {present}")
            return
        await _ask(connection, "SET", keys.epoch_order(symbol), str(present), "EX", str(ORDER_LIFE_S))
        # It begins with its first stored trade.
        for _ in range(round(WAIT_S / LOOK_S)):
            if (await _present(connection, keys, symbol) or 0) > present:
                typer.echo(f"{symbol}: epoch {present + 1} has begun; what was stored before is epoch {present}.")
                return
            await asyncio.sleep(LOOK_S)
    raise Unavailable(
        f"{symbol} is still in epoch {present}: no collector on this store sees ids that begin anew, or none runs "
        f"(/health tells). One that sees them within {ORDER_LIFE_S // 60} minutes begins epoch {present + 1}."
    )


async def _present(connection: StoreConnection, keys: StoreKeys, symbol: str) -> int | None:
    """None where there are no trades."""
    told = await _ask(connection, "GET", keys.epoch(symbol))
    if told is not None and str(told).isdecimal():
        return int(str(told))
    key = keys.key("trades", symbol)
    newest = entries_of(await _ask(connection, "XREVRANGE", key, "+", "-", "COUNT", "1"), symbol, key)
    return epoch_or_first(newest[0].fields) if newest else None


async def _ask(connection: StoreConnection, *command: str) -> object:
    (reply,) = await connection.execute([command])
    if isinstance(reply, ReplyError):
        raise Unavailable(f"The store refuses {command[0]} {command[1]}: {reply}")
    return reply
