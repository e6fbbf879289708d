"""The witness sees what stands in the store and is not the market's."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.model.wire import json_text, trade_json
from tests.soak.adversary.witness import wrong_trades
from tests.soak.test_oracle import FIRST, TAPE
from tests.soak.truth import Truth

LAST = TAPE[-1].trade_id
Entries = list[tuple[str, dict[str, str]]]


def stored(*positions: int, **changes: str) -> Entries:
    """Trades of the tape, the last of them changed."""
    records = [TAPE[position] for position in positions]
    records[-1] = structs.replace(records[-1], **changes)
    return [(f"{each.time_ms}-{each.trade_id}", {"data": trade_json(each, json_text(each.symbol))}) for each in records]


def seen(entries: Entries, *, declared: tuple[int, ...] = (), due: int = -1) -> list[str]:
    truth = Truth(TAPE[0].symbol)
    truth.add(TAPE)
    return wrong_trades(truth, entries, set(declared), head=LAST, due=due)


def test_what_was_traded_is_right_and_a_declared_hole_too() -> None:
    assert seen(stored(0, 1, 2, 3, 4, 5), due=LAST) == []
    assert seen(stored(0, 1, 4, 5), declared=(FIRST + 2, FIRST + 3)) == []


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (stored(0, 1, 2, price="1.5"), "is not what was traded"),
        ([*stored(0, 1), ("5-7", {"data": "{}"})], "is not what was traded"),
        ([*stored(0, 1), ("5-0", {"zz": ""})], "is not what was traded"),
        (stored(0, 1, 4), "misses 2 trades from 1002 on"),
        (stored(0, 1, 2, 1), "entries do not rise by one"),
    ],
)
def test_what_was_not_traded_is_seen(entries: Entries, words: str) -> None:
    assert any(words in each for each in seen(entries))


def test_feed_that_stands_still_is_seen_behind_an_entry_of_a_stranger_too() -> None:
    assert seen([], due=LAST) == [f"the newest due is {LAST}, and nothing is stored"]
    stands = seen([*stored(0, 1), (f"9-{LAST + 10**9}", {"data": "{}"})], due=LAST)
    assert f"the newest is {FIRST + 1}, and {LAST} was traded 8 s ago" in stands
