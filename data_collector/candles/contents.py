"""What two states of one kline say: alike, or one a revision of the other. Pure."""

from __future__ import annotations

from decimal import Decimal

from data_collector.model.records import Kline


def is_revision(kline: Kline, before: Kline) -> bool:
    """Whether a kline is a later state with other contents."""
    is_later = kline.event_ms > before.event_ms or (before.trades == 0 and bool(kline.trades))
    return is_later and content(kline) != content(before)


def content(kline: Kline) -> tuple[str | int | None, ...]:
    """What a revision changes."""
    return (
        kline.open, kline.high, kline.low, kline.close, kline.volume, kline.quote_volume, kline.taker_buy_base_volume,
        kline.taker_buy_quote_volume, kline.trades,
    )  # fmt: skip


def says_alike(kline: Kline, theirs: Kline) -> bool:
    """Whether REST's row has the same numbers, as far as it tells any; digits may differ."""
    pairs = zip(content(kline), content(theirs), strict=True)
    return all(told is None or (ours is not None and Decimal(ours) == Decimal(told)) for ours, told in pairs)
