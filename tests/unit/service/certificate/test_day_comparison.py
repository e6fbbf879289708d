"""Two sides of a day are read side by side: what is equal, missing, unknown, different."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable

import pytest
from msgspec import structs

from data_collector.model.errors import VenueUnreachable
from data_collector.model.gaps import Gap
from data_collector.model.records import Trade
from data_collector.service.certificate.day_comparison import Comparison, canonical_line, compare, declare
from tests.market import trade


async def side(trades: Iterable[Trade]) -> AsyncIterator[Trade]:
    for each in trades:
        yield each


async def compared(theirs: Iterable[Trade], ours: Iterable[Trade], *, differences_max: int = 1000) -> Comparison:
    return await compare(side(theirs), side(ours), differences_max=differences_max)


def trades(*ids: int) -> list[Trade]:
    return [trade(number) for number in ids]


async def test_equal_sides_have_the_same_digest() -> None:
    found = await compared(trades(1, 2, 3), trades(1, 2, 3))

    assert (found.is_equal, found.exchange.count, found.store.count) == (True, 3, 3)
    assert found.exchange.sha256 == found.store.sha256
    lines = "".join(f"{canonical_line(each)}\n" for each in trades(1, 2, 3))
    assert found.store.sha256 == hashlib.sha256(lines.encode()).hexdigest()


async def test_side_that_the_exchange_does_not_tell_is_neither_of_both() -> None:
    lines = {canonical_line(trade(1, is_buyer_maker=maker)).rpartition(",")[2] for maker in (True, False, None)}

    assert lines == {"1", "0", ""}


async def test_days_without_trades_are_equal() -> None:
    assert (await compared([], [])).is_equal


async def test_missing_trades_are_told_as_ranges_with_their_place() -> None:
    found = await compared(trades(*range(1, 11)), trades(3, 4, 7, 8))

    assert not found.is_equal
    assert (found.missing, found.missing_before_first, found.missing_after_last) == (6, 2, 2)
    assert [(each.kind, each.first, each.last, each.count) for each in found.differences] == [
        ("missing", 1, 2, 2), ("missing", 5, 6, 2), ("missing", 9, 10, 2),
    ]  # fmt: skip
    assert not found.is_equal_within_held


async def test_day_of_which_the_middle_was_collected_is_equal_within_that() -> None:
    found = await compared(trades(*range(1, 11)), trades(3, 4, 5))

    assert (found.is_equal, found.is_equal_within_held) == (False, True)


async def test_empty_store_is_equal_to_nothing() -> None:
    found = await compared(trades(1, 2), [])

    assert (found.is_equal, found.is_equal_within_held, found.missing) == (False, False, 2)


async def test_trade_that_the_exchange_does_not_know_is_told() -> None:
    found = await compared(trades(1, 3), trades(1, 2, 3))

    assert found.unknown_to_exchange == 1
    assert [(each.kind, each.first) for each in found.differences] == [("unknown_to_exchange", 2)]


@pytest.mark.parametrize(
    "changed", [{"price": "45180.51"}, {"quantity": "0.124"}, {"time_ms": 1}, {"is_buyer_maker": False}]
)
async def test_trade_that_differs_is_shown_from_both_sides(changed: dict[str, object]) -> None:
    found = await compared(trades(1), [trade(1, **changed)])

    (difference,) = found.differences
    assert (found.differing, difference.kind) == (1, "differs")
    assert difference.exchange != difference.store


async def test_zeros_at_the_end_and_microseconds_are_no_difference() -> None:
    found = await compared(
        [trade(1, price="100.00000000", quantity="0.10", sub_ms_us=7)], [trade(1, price="100", quantity="0.1")]
    )

    assert found.is_equal


async def test_line_that_comes_twice_counts_once_and_one_that_falls_is_a_fault() -> None:
    found = await compared(trades(1, 1, 2), trades(1, 2))
    assert (found.is_equal, found.exchange.repeated) == (True, 1)

    with pytest.raises(VenueUnreachable, match="comes after 5"):
        await compared(trades(5, 4), [])


async def test_differences_are_bounded_and_counts_are_not() -> None:
    found = await compared(trades(*range(0, 200, 2)), [], differences_max=10)

    assert (len(found.differences), found.differences_left_out, found.missing) == (10, 90, 100)


async def test_missing_trades_get_the_reason_that_the_store_declares() -> None:
    found = await compared(trades(*range(1, 11)), trades(1, 2, 9, 10))

    declare(found, [Gap(1, 4, 4, "refused"), Gap(5, 6, 2, "lost"), Gap(20, 30, 11, "lost")])

    (difference,) = found.differences
    assert (difference.count, difference.declared) == (6, {"refused": 2, "lost": 2})


async def test_times_that_differ_by_what_a_float_leaves_are_equal() -> None:
    """The stream tells microsecond 999 of one millisecond, and REST, in floats, 0 of the next."""
    (ours,) = trades(1)
    ours = structs.replace(ours, sub_ms_us=999)
    theirs = structs.replace(ours, time_ms=ours.time_ms + 1, sub_ms_us=0)
    later = structs.replace(theirs, sub_ms_us=5)

    assert (await compared([theirs], [ours])).is_equal
    assert not (await compared([later], [ours])).is_equal
    assert not (await compared([structs.replace(theirs, price="1")], [ours])).is_equal
