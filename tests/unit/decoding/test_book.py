"""A book that is told by its changes is the book."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.decoding.book import Book, Offer

PRICES = st.integers(1, 30).map(lambda price: f"{price / 10:.1f}")
OFFERS = st.lists(st.tuples(PRICES, st.sampled_from(["0.000", "0.010", "1.250", "3"])), max_size=6)


def best(offers: dict[Decimal, Offer], *, highest: bool) -> Offer | None:
    return offers[max(offers) if highest else min(offers)] if offers else None


@given(changes=st.lists(st.tuples(OFFERS, OFFERS), max_size=8))
def test_top_is_the_best_of_what_was_told(changes: list[tuple[list[Offer], list[Offer]]]) -> None:
    book = Book(depth=30)
    bids: dict[Decimal, Offer] = {}
    asks: dict[Decimal, Offer] = {}
    for change in changes:
        book.change(*change)
        for side, offers in zip((bids, asks), change, strict=True):
            side.update({Decimal(offer[0]): offer for offer in offers})
            for price in [price for price, offer in side.items() if not Decimal(offer[1])]:
                del side[price]

        expected = best(bids, highest=True), best(asks, highest=False)
        assert book.top == (None if None in expected else expected)


def test_levels_beyond_the_depth_are_forgotten() -> None:
    book = Book(depth=2)
    book.change([("1", "1"), ("2", "1"), ("3", "1")], [("4", "1")])

    book.change([("3", "0"), ("2", "0")], [])

    assert book.top is None


def test_number_without_an_end_is_refused() -> None:
    """Each checksum would write all levels with as many decimals."""
    with pytest.raises(ValueError, match="has no end"):
        Book(depth=2).change([(f"1.{'1' * 500_000}", "1")], [])


def test_digits_have_as_many_decimals_as_the_finest() -> None:
    book = Book(depth=2)
    book.change([("10.0", "0.5")], [("11", "0.00000010")])

    assert book.digits == "11010100" + "50000000"


def test_numbers_of_changes_grow_whatever_their_times() -> None:
    book = Book(depth=2)

    assert [book.number(time_us) for time_us in (100, 100, 90, 200)] == [100, 101, 102, 200]
