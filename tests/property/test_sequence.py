"""Two lines that lose, double, reorder and spoil, an exchange and a store that go away: every trade once, in order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.chain import Chain

FIRST = 1_000

Sent = tuple[int, bool]
"""A trade id, and whether this copy is good."""

TROUBLES = (
    "wait", "wait", "pause", "answer", "flush", "flush", "flush twice", "exchange away", "exchange back",
    "store away", "store back", "roll back", "wipe", "verify", "stop", "kill",
)  # fmt: skip


@st.composite
def tapes(draw: st.DrawFn) -> tuple[list[int], set[int], list[Sent]]:
    """What was traded, what REST tells nonsense of, and what two lines bring of it, in the order in which it comes."""
    count = draw(st.integers(2, 30))
    absent = draw(st.sets(st.integers(1, count - 2), max_size=6)) if count > 2 else set()
    tape = [FIRST + index for index in range(count) if index not in absent]
    spoiled = {FIRST + index for index in draw(st.sets(st.integers(0, count - 1), max_size=2))}
    arrivals: list[tuple[float, Sent]] = []
    for _ in range(2):
        copies = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
        delays = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
        bad = draw(st.sets(st.integers(0, count - 1), max_size=5))
        lag = draw(st.integers(0, 10))
        for index in range(count):
            if FIRST + index in tape:
                for copy in range(copies[index]):
                    place = index + delays[index] + lag + 3 * copy
                    arrivals.append((place, (FIRST + index, index not in bad)))
    return tape, spoiled, [sent for _, sent in sorted(arrivals, key=lambda arrival: arrival[0])]


def befall(chain: Chain, trouble: str, steps: int) -> None:
    """One of them."""
    side = chain.exchange if trouble.startswith("exchange") else chain.store
    match trouble:
        case "wait" | "pause":
            chain.wait(0.1 if trouble == "wait" else 3.0)
        case "flush" | "flush twice":
            chain.flush(reply_lost=trouble.endswith("twice"))
        case "answer":
            chain.answer()
        case "roll back":
            chain.store.roll_back(steps)
        case "wipe":
            chain.store.wipe()
        case "verify":
            chain.verify()
        case "stop":
            chain.stop()
        case "kill":
            chain.kill(steps - 1)
        case _:
            side.up = trouble.endswith("back")


@given(
    tape=tapes(),
    troubles=st.lists(st.tuples(st.integers(0, 70), st.sampled_from(TROUBLES), st.integers(1, 4)), max_size=25),
    records_max=st.sampled_from([3, 10, 100_000]),
)
@settings(max_examples=300, deadline=None)
def test_every_trade_is_delivered_once_or_explained_once(
    tape: tuple[list[int], set[int], list[Sent]], troubles: list[tuple[int, str, int]], records_max: int
) -> None:
    ids, spoiled, sent = tape
    chain = Chain(records_max=records_max)
    chain.exchange.bad = spoiled
    chain.name_head(FIRST)
    by_place: dict[int, list[tuple[str, int]]] = {}
    for place, trouble, steps in troubles:
        by_place.setdefault(place, []).append((trouble, steps))
    traded = 0
    for place in range(max(len(sent), 71)):
        for trouble, steps in by_place.get(place, ()):
            befall(chain, trouble, steps)
        if place < len(sent):
            trade_id, good = sent[place]
            # What a line brings has been traded, and so has what comes before it.
            traded = max(traded, trade_id)
            chain.exchange.tape = [each for each in ids if each <= traded]
            chain.arrive(trade_id, good=good)

    chain.end()

    chain.check()
