"""`data-collector tail`: live prices and candles in the terminal, straight from the store."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from data_collector.cli.chosen_exchange import chosen_settings, symbol_of
from data_collector.cli.surroundings.found_store import find_store, opened
from data_collector.cli.tail_source import Followed, follow_once, open_followed
from data_collector.model.calendar import INTERVALS
from data_collector.model.errors import Misconfigured
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import open_time_text, trade_time_text
from data_collector.observe.escaping import escaped
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.venues.discovery import find_venue

Line: TypeAlias = tuple[StoreConnection, Followed]

SCREEN_PAUSE_S = 0.2
_UP, _DOWN = "green", "red"


def tail(*, symbols: list[str], interval: str, trades: bool, exchange: str | None) -> None:
    """What it takes and does stands in `cli.arguments.live`."""
    asyncio.run(_follow(symbols, interval, exchange, with_trades=trades))


async def _follow(named: Sequence[str], interval: str, exchange: str | None, *, with_trades: bool) -> None:
    if interval not in INTERVALS:
        raise Misconfigured(f"--interval {interval!r} is none of a candle's: {', '.join(INTERVALS)}.")
    prefixes = dict.fromkeys(text.rpartition(":")[0] for text in named)
    settings = {prefix: chosen_settings(exchange, f"{prefix}:") for prefix in prefixes}
    are_several = len({each.exchange for each in settings.values()}) > 1
    lines: dict[str, Line] = {}
    async with AsyncExitStack() as stack:
        for text in named:
            own = settings[text.rpartition(":")[0]]
            venue = find_venue(own.exchange)
            symbol, keys = symbol_of(text, venue), venue.store_keys
            address = await find_store(settings=own)
            # A connection of its own: it waits for what comes next.
            connection = await stack.enter_async_context(opened(address))
            followed = await open_followed(connection, address, keys, symbol, interval, with_trades=with_trades)
            followed.prefix = keys.prefix if are_several else ""
            lines[followed.label] = connection, followed
        if sys.stdout.isatty():
            await _show_screen(list(lines.values()))
        else:
            await asyncio.gather(*(_print_lines(*line) for line in lines.values()))


async def _show_screen(lines: Sequence[Line]) -> None:
    shown = [followed for _, followed in lines]
    with Live(_screens(shown), console=Console(), auto_refresh=False, transient=False) as live:

        async def show(connection: StoreConnection, followed: Followed) -> None:
            while True:
                await follow_once(connection, followed)
                live.update(_screens(shown), refresh=True)
                # Nobody reads faster, and the store has better things to do.
                await asyncio.sleep(SCREEN_PAUSE_S)

        await asyncio.gather(*(show(*line) for line in lines))


def _screens(shown: Sequence[Followed]) -> RenderableType:
    return Group(*(part for each in shown for part in ("", screen(each)))) if len(shown) > 1 else screen(shown[0])


async def _print_lines(connection: StoreConnection, followed: Followed) -> None:
    if not followed.klines:
        others = ", ".join(sorted(followed.other_intervals)) or "none of any interval"
        typer.echo(f"No {followed.interval} candle yet; the stream has {others}.", err=True)
    _print(followed.label, list(followed.klines.values()), list(followed.trades))
    told = 0
    while True:
        if followed.strangers > told:
            told = followed.strangers
            typer.echo(f"{strangers_line(followed)}.", err=True)
        news = await follow_once(connection, followed)
        _print(followed.label, news.klines, news.trades)


def _print(symbol: str, klines: list[Kline], trades: list[Trade]) -> None:
    for kline in klines:
        print(kline_line(symbol, kline))
    for trade in trades:
        print(trade_line(symbol, trade))
    # A pipe would keep the lines back otherwise.
    sys.stdout.flush()


def strangers_line(followed: Followed) -> str:
    """How many entries were left out."""
    return f"Left out: {followed.strangers:,} entries that no collector has written"


def kline_line(symbol: str, kline: Kline) -> str:
    """`BTCUSDT 1m 2024-01-01T12:00:00+00:00 open=… …`: one candle."""
    numbers = " ".join(
        f"{name}={value}"
        for name, value in (
            ("open", kline.open),
            ("high", kline.high),
            ("low", kline.low),
            ("close", kline.close),
            ("volume", kline.volume),
        )
    )
    state = "closed" if kline.is_closed else "open"
    trades = "" if kline.trades is None else f" trades={kline.trades}"
    return escaped(f"{symbol} {kline.interval} {open_time_text(kline.open_ms)} {numbers}{trades} {state}")


def trade_line(symbol: str, trade: Trade) -> str:
    """`BTCUSDT trade 2024-01-01T12:00:00.123+00:00 id=… …`: one trade."""
    text = f"{symbol} trade {_time_of(trade)} id={trade.trade_id} price={trade.price} quantity={trade.quantity}"
    return escaped(f"{text} {_taker(trade)}".rstrip())


def screen(followed: Followed) -> RenderableType:
    """Everything that is known now."""
    parts: list[RenderableType] = [_headline(followed), _candle_table(followed)]
    if followed.with_trades:
        parts.append(_trade_table(followed))
    foot = f"from the store at {followed.place}; Ctrl-C ends"
    if followed.strangers:
        foot = f"{strangers_line(followed)}; {foot}"
    parts.append(Text(foot, style="dim"))
    return Group(*parts)


def _headline(followed: Followed) -> Text:
    latest = followed.latest
    change = latest.get("price_change_percent", "")
    line = Text(f"{followed.label}  ", style="bold")
    line.append(latest.get("price", "no price yet"), style="bold")
    if change:
        line.append(f"  {change} % in 24 h", style=_DOWN if change.startswith("-") else _UP)
    line.append(f"  volume {latest.get('volume', '?')}  at {latest.get('timestamp', '?')}", style="dim")
    return line


def _candle_table(followed: Followed) -> RenderableType:
    if not followed.klines:
        others = ", ".join(sorted(followed.other_intervals))
        there = f"; the stream has {others} (--interval chooses)" if others else ""
        return Text(f"no {followed.interval} candle yet{there}")
    table = Table("open time", "open", "high", "low", "close", "volume", "trades", "", box=None)
    for kline in sorted(followed.klines.values(), key=lambda kline: kline.open_ms, reverse=True):
        numbers = (kline.open, kline.high, kline.low, kline.close, kline.volume)
        rose = float(kline.close) >= float(kline.open)
        trades = "-" if kline.trades is None else str(kline.trades)
        texts = [open_time_text(kline.open_ms), *numbers, trades, "" if kline.is_closed else "open"]
        table.add_row(*(Text(escaped(text)) for text in texts), style=_UP if rose else _DOWN)
    return table


def _trade_table(followed: Followed) -> Table:
    table = Table("trade time", "id", "price", "quantity", "taker", box=None)
    for trade in reversed(followed.trades):
        texts = (_time_of(trade), str(trade.trade_id), trade.price, trade.quantity, _taker(trade) or "-")
        style = {True: _DOWN, False: _UP, None: ""}[trade.is_buyer_maker]
        table.add_row(*(Text(escaped(text)) for text in texts), style=style)
    return table


def _taker(trade: Trade) -> str:
    """Empty where the exchange does not tell."""
    return {True: "sell", False: "buy", None: ""}[trade.is_buyer_maker]


def _time_of(trade: Trade) -> str:
    return trade_time_text(trade.time_ms, trade.sub_ms_us)
