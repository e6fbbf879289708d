"""What is believed of an answer: nothing that contradicts the question. Pure.

Whether a record makes sense (prices, times, highs and lows) is the gate's business, as for the streams.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from data_collector.model.calendar import LATEST_MS, LENGTHS_MS
from data_collector.model.errors import VenueUnreachable
from data_collector.model.records import Kline
from data_collector.model.venue import KlinePage, SymbolRules

ID_BOUND = 2**53
"""Ids are kept in doubles by some of those who read them, and by the store's sorted sets."""

CLOSED_MARGIN_MS = 1000
"""A kline whose end is younger may still change: the exchange's parts do not share one clock."""


Row = TypeVar("Row")


class BadPage(VenueUnreachable):
    """An answer that contradicts the question or itself; asking again may bring a better one."""


def only_rows(asked: str, names: Collection[str], result: Mapping[str, list[Row] | str | int]) -> list[Row]:
    """The one list, under one of these names, beside what is said of it."""
    found = {name: rows for name, rows in result.items() if isinstance(rows, list)}
    if len(found) != 1:
        raise BadPage(f"{asked} came in {len(found)} lists")
    ((name, rows),) = found.items()
    if name not in names:
        raise BadPage(f"{asked} came as those of {name!r}")
    return rows


def some_listed(listed: dict[str, SymbolRules]) -> dict[str, SymbolRules]:
    """A symbol list, which is none without a symbol."""
    if not listed:
        raise BadPage("the exchange's symbol list came with no symbol in it")
    return listed


def check_rows(asked: str, rows: Sequence[object], limit: int) -> None:
    """No more than were asked for."""
    if len(rows) > limit:
        raise BadPage(f"{asked} were {len(rows)} rows where {limit} were asked for")


def check_ids(asked: str, from_id: int, ids: Iterable[int]) -> None:
    """Trade ids rise, from `from_id` on."""
    before = from_id - 1
    for trade_id in ids:
        if not before < trade_id < ID_BOUND:
            raise BadPage(f"{asked} came as {trade_id} after {before}")
        before = trade_id


def clock_ms(time_ms: int) -> int:
    """The exchange's clock, if it can be one."""
    if not 0 < time_ms <= LATEST_MS:
        raise BadPage(f"the exchange's clock was told as {time_ms} ms")
    return time_ms


def kline_page(
    asked: str, span: tuple[int, int], now_ms: int, rows: Iterable[Kline], *, tells_quiet: bool = True,
    reaches_ms: int | None = None,
) -> KlinePage:  # fmt: skip
    """Of klines that open within `span` (both ends included), in order: those that were closed at `now_ms`.

    Also those that are not whole (`model.calendar.is_whole`): an exchange's own past may have some. What lies between
    two rows is proven, whether they are closed or not; of an exchange that does not tell quiet ones nothing is, from
    the first one on that it leaves out.
    """
    first_ms, last_ms = span
    proven_from_ms, before = first_ms, first_ms - 1
    proven_to_ms = before
    proves, next_ms = True, first_ms
    klines: list[Kline] = []
    for kline in rows:
        if not before < kline.open_ms <= last_ms:
            raise BadPage(f"{asked} came as {kline.open_ms} after {before}")
        if before < first_ms:
            proven_from_ms = kline.open_ms
        elif not tells_quiet and kline.open_ms > next_ms:
            proves = False
        before, next_ms = kline.open_ms, kline.close_ms + 1
        is_closed = kline.close_ms < now_ms - CLOSED_MARGIN_MS
        if is_closed:
            klines.append(kline)
        if proves:
            proven_to_ms = before if is_closed else before - 1
    return KlinePage(klines, proven_from_ms, proven_to_ms, tells_quiet, reaches_ms)


def bare_kline(
    symbol: str, interval: str, open_ms: int, prices: tuple[str, str, str, str], *, volume: str, trades: int | None
) -> Kline:
    """A closed one of an exchange that tells no more of it: open, high, low, close, how much, in how many trades."""
    close_ms = open_ms + LENGTHS_MS[interval] - 1
    if trades is None and not volume.strip("0."):
        trades = 0
    return Kline(
        symbol, interval, open_ms, close_ms, *prices, volume, quote_volume=None, taker_buy_base_volume=None,
        taker_buy_quote_volume=None, trades=trades, is_closed=True, event_ms=close_ms + 1,
    )  # fmt: skip


def price_of(text: str) -> str | None:
    """None where zero says that there is none."""
    return text if text.strip("0.") else None


def step_of(text: str) -> float:
    """A step of prices or quantities, or 0.0 for one that is missing or no number: the rule about it is not applied."""
    try:
        return msgspec.json.decode(text, type=float)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return 0.0
