"""How `tail` looks: a screen for people, a line per candle or trade for programs."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_collector.cli.tail_source import Followed
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import open_time_text, trade_time_text
from data_collector.observe.escaping import escaped

_UP, _DOWN = "green", "red"


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
    return escaped(f"{symbol} {kline.interval} {open_time_text(kline.open_ms)} {numbers} trades={kline.trades} {state}")


def trade_line(symbol: str, trade: Trade) -> str:
    """`BTCUSDT trade 2024-01-01T12:00:00.123+00:00 id=… …`: one trade."""
    side = "sell" if trade.is_buyer_maker else "buy"
    return escaped(
        f"{symbol} trade {_time_of(trade)} id={trade.trade_id} price={trade.price} quantity={trade.quantity} {side}"
    )


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
    if not followed.klines:
        others = ", ".join(sorted(followed.other_intervals))
        there = f"; the stream has {others} (--interval chooses)" if others else ""
        return Text(f"no {followed.interval} candle yet{there}")
    table = Table("open time", "open", "high", "low", "close", "volume", "trades", "", box=None)
    for kline in sorted(followed.klines.values(), key=lambda kline: kline.open_ms, reverse=True):
        numbers = (kline.open, kline.high, kline.low, kline.close, kline.volume)
        rose = float(kline.close) >= float(kline.open)
        texts = [open_time_text(kline.open_ms), *numbers, str(kline.trades), "" if kline.is_closed else "open"]
        table.add_row(*(Text(escaped(text)) for text in texts), style=_UP if rose else _DOWN)
    return table


def _trade_table(followed: Followed) -> Table:
    table = Table("trade time", "id", "price", "quantity", "taker", box=None)
    for trade in reversed(followed.trades):
        side = "sell" if trade.is_buyer_maker else "buy"
        texts = (_time_of(trade), str(trade.trade_id), trade.price, trade.quantity, side)
        table.add_row(*(Text(escaped(text)) for text in texts), style=_DOWN if trade.is_buyer_maker else _UP)
    return table


def _time_of(trade: Trade) -> str:
    return trade_time_text(trade.time_ms, trade.sub_ms_us)
