"""How `tail` looks: a screen for people, a line per candle or trade for programs."""

from __future__ import annotations

from msgspec import Raw
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_collector.cli.tail_source import Candle, Followed, TradeRow
from data_collector.observe.logs import escaped

_UP, _DOWN = "green", "red"


def candle_line(symbol: str, candle: Candle) -> str:
    """`BTCUSDT 1m 2024-01-01T12:00:00+00:00 open=… …`: one candle."""
    numbers = " ".join(
        f"{name}={digits(value)}"
        for name, value in (
            ("open", candle.open),
            ("high", candle.high),
            ("low", candle.low),
            ("close", candle.close),
            ("volume", candle.volume),
        )
    )
    state = "closed" if candle.is_closed else "open"
    return escaped(f"{symbol} {candle.interval} {candle.timestamp} {numbers} trades={candle.trades} {state}")


def trade_line(symbol: str, trade: TradeRow) -> str:
    """`BTCUSDT trade 2024-01-01T12:00:00.123+00:00 id=… …`: one trade."""
    side = "sell" if trade.is_buyer_maker else "buy"
    return escaped(
        f"{symbol} trade {trade.timestamp} id={trade.trade_id} price={digits(trade.price)} "
        f"quantity={digits(trade.quantity)} {side}"
    )


def digits(value: Raw) -> str:
    """The number as it stands in the record."""
    return bytes(value).decode()


def screen(followed: Followed) -> RenderableType:
    """Everything that is known now."""
    parts: list[RenderableType] = [_headline(followed), _candle_table(followed)]
    if followed.with_trades:
        parts.append(_trade_table(followed))
    parts.append(Text(f"from the store at {followed.place}; Ctrl-C ends", style="dim"))
    return Group(*parts)


def _headline(followed: Followed) -> Text:
    latest = followed.latest
    change = latest.get("price_change_percent", "")
    line = Text(f"{followed.symbol}  ", style="bold")
    line.append(latest.get("price", "no price yet"), style="bold")
    if change:
        line.append(f"  {change} % in 24 h", style=_DOWN if change.startswith("-") else _UP)
    line.append(f"  volume {latest.get('volume', '?')}  at {latest.get('timestamp', '?')}", style="dim")
    return line


def _candle_table(followed: Followed) -> RenderableType:
    if not followed.candles:
        others = ", ".join(sorted(followed.other_intervals))
        there = f"; the stream has {others} (--interval chooses)" if others else ""
        return Text(f"no {followed.interval} candle yet{there}")
    table = Table("open time", "open", "high", "low", "close", "volume", "trades", "", box=None)
    for candle in sorted(followed.candles.values(), key=lambda candle: candle.timestamp, reverse=True):
        numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        rose = float(digits(candle.close)) >= float(digits(candle.open))
        texts = [candle.timestamp, *map(digits, numbers), str(candle.trades), "" if candle.is_closed else "open"]
        table.add_row(*(Text(escaped(text)) for text in texts), style=_UP if rose else _DOWN)
    return table


def _trade_table(followed: Followed) -> Table:
    table = Table("trade time", "id", "price", "quantity", "taker", box=None)
    for trade in reversed(followed.trades):
        side = "sell" if trade.is_buyer_maker else "buy"
        texts = (trade.timestamp, str(trade.trade_id), digits(trade.price), digits(trade.quantity), side)
        table.add_row(*(Text(escaped(text)) for text in texts), style=_DOWN if trade.is_buyer_maker else _UP)
    return table
