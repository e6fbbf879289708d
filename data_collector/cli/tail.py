"""`data-collector tail`: live prices and candles in the terminal, straight from the store."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from data_collector.cli.tail_screen import kline_line, screen, trade_line
from data_collector.cli.tail_source import Followed, follow_once, open_followed
from data_collector.model.records import Kline, Trade
from data_collector.sinks.redis.connection import StoreConnection

SCREEN_PAUSE_S = 0.2


def tail(
    symbol: Annotated[str, typer.Argument(help="The exchange's own name, such as BTCUSDT; case does not matter.")],
    interval: Annotated[str, typer.Option(help="Which candles to show; case matters (1m minute, 1M month).")] = "1m",
    trades: Annotated[bool, typer.Option("--trades", help="Show every trade too.")] = False,
) -> None:
    """Show live prices and candles of SYMBOL: a screen on a terminal, plain lines in a pipe. Ctrl-C ends it."""
    asyncio.run(_follow(symbol.strip().upper(), interval, with_trades=trades))


async def _follow(symbol: str, interval: str, *, with_trades: bool) -> None:
    # Its settings are the longer half of an import, and `--help` has no use for them.
    from data_collector.cli.found_store import find_store, opened  # noqa: PLC0415

    address = await find_store()
    async with opened(address) as connection:
        followed = await open_followed(connection, address, symbol, interval, with_trades=with_trades)
        if sys.stdout.isatty():
            await _show_screen(connection, followed)
        else:
            await _print_lines(connection, followed)


async def _show_screen(connection: StoreConnection, followed: Followed) -> None:
    with Live(screen(followed), console=Console(), auto_refresh=False, transient=False) as live:
        while True:
            await follow_once(connection, followed)
            live.update(screen(followed), refresh=True)
            # Nobody reads faster, and the store has better things to do.
            await asyncio.sleep(SCREEN_PAUSE_S)


async def _print_lines(connection: StoreConnection, followed: Followed) -> None:
    if not followed.klines:
        others = ", ".join(sorted(followed.other_intervals)) or "none of any interval"
        typer.echo(f"No {followed.interval} candle yet; the stream has {others}.", err=True)
    _print(followed.symbol, list(followed.klines.values()), list(followed.trades))
    while True:
        news = await follow_once(connection, followed)
        _print(followed.symbol, news.klines, news.trades)


def _print(symbol: str, klines: list[Kline], trades: list[Trade]) -> None:
    for kline in klines:
        print(kline_line(symbol, kline))
    for trade in trades:
        print(trade_line(symbol, trade))
    # A pipe would keep the lines back otherwise.
    sys.stdout.flush()
