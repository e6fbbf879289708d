"""What is told of a book: changes that bring its keeper to the same levels, and the checksum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from data_collector.decoding.book import Book
from data_collector.venues.kraken.speaker.book import changes, checksum

# From the exchange's page.
ASKS = {
    "45285.2": "0.00100000", "45286.4": "1.54571953", "45286.6": "1.54571109", "45289.6": "1.54560911",
    "45290.2": "0.15890660", "45291.8": "1.54553491", "45294.7": "0.04454749", "45296.1": "0.35380000",
    "45297.5": "0.09945542", "45299.5": "0.18772827",
}  # fmt: skip
BIDS = {
    "45283.5": "0.10000000", "45283.4": "1.54582015", "45282.1": "0.10000000", "45281.0": "0.10000000",
    "45280.3": "1.54592586", "45279.0": "0.07990000", "45277.6": "0.03310103", "45277.5": "0.30000000",
    "45277.3": "1.54602737", "45276.6": "0.15445238",
}  # fmt: skip


def test_checksum_is_that_of_the_exchanges_page() -> None:
    assert checksum(BIDS, ASKS) == 3310070434


def side(best: int, quantities: list[int], *, step: int) -> dict[str, str]:
    return {f"{best + place * step}.0": f"{quantity}.00000000" for place, quantity in enumerate(quantities)}


@given(
    moves=st.lists(
        st.tuples(st.integers(100, 120), st.lists(st.integers(1, 3), min_size=10, max_size=10)), min_size=1, max_size=8
    )
)
def test_whoever_obeys_the_changes_has_the_book(moves: list[tuple[int, list[int]]]) -> None:
    keeper = Book(10)
    bids: dict[str, str] = {}
    asks: dict[str, str] = {}
    for best, quantities in moves:
        bids_now, asks_now = side(best, quantities, step=-1), side(best + 1, quantities, step=1)

        keeper.change(changes(bids, bids_now, falls=True).items(), changes(asks, asks_now, falls=False).items())

        bids, asks = bids_now, asks_now
        assert keeper.top == (next(iter(bids.items())), next(iter(asks.items())))
        assert keeper.digits == "".join(
            text.replace(".", "") for level in (*asks.items(), *bids.items()) for text in level
        )


def test_levels_that_fall_out_behind_are_not_told() -> None:
    before, after = side(100, [1] * 10, step=-1), side(101, [1] * 10, step=-1)

    assert changes(before, after, falls=True) == {"101.0": "1.00000000"}


def test_levels_that_are_gone_in_front_are_told_as_nothing() -> None:
    before, after = side(101, [1] * 10, step=-1), side(100, [1] * 10, step=-1)

    assert changes(before, after, falls=True) == {"101.0": "0", "91.0": "1.00000000"}
