"""Runs found by symbol and id, cut to begin where they are asked for."""

from __future__ import annotations

from msgspec import structs

from data_collector.model.gaps import Gap
from data_collector.pipeline.spool.shelf import Shelf, covers_of, cut_run, run_bytes
from tests.market import SYMBOL
from tests.spooling import REFUSAL, ids_of, run_of

ALL = 1_000_000


def test_a_run_is_cut_between_its_trades_without_its_gaps_and_refusals() -> None:
    run = structs.replace(run_of(10, 5, gap=3), refused={8: REFUSAL})

    cut = cut_run(run, 12)

    assert (cut.first_id, cut.count, cut.gaps, cut.refused) == (12, 3, [], {})
    assert ids_of([cut]) == [12, 13, 14]
    assert (cut.price, cut.newest_ns) == (run.price, run.newest_ns)


def test_a_run_is_cut_within_its_gaps_and_keeps_the_refusals_that_are_left() -> None:
    gaps = [Gap(1, 4, 4, "lost"), Gap(5, 5, 1, "refused", ("rule",)), Gap(6, 9, 4, "absent")]
    run = structs.replace(run_of(10, 2), gaps=gaps, refused={2: REFUSAL, 5: REFUSAL})

    assert cut_run(run, 3).gaps == [Gap(3, 4, 2, "lost"), *gaps[1:]]
    assert cut_run(run, 3).refused == {5: REFUSAL}
    assert cut_run(run, 6).gaps == [gaps[2]]
    assert cut_run(run, 10).gaps == []
    assert cut_run(run, 10).refused == {}
    assert ids_of([cut_run(run, 8)]) == [10, 11]


def test_a_run_that_begins_there_is_given_as_it_is() -> None:
    run = run_of(10, 2, gap=3)

    assert cut_run(run, 7) is run


def test_a_run_in_the_middle_is_found_and_those_that_follow_until_there_are_enough() -> None:
    shelf = Shelf(run_of(first_id, 10) for first_id in range(0, 100, 10))

    assert ids_of(shelf.read(SYMBOL, 34, ALL)) == list(range(34, 100))
    assert ids_of(shelf.read(SYMBOL, 34, 7)) == list(range(34, 50))
    assert shelf.read(SYMBOL, 34, 0) == []


def test_what_is_not_there_is_not_found() -> None:
    shelf = Shelf([run_of(10, 10), run_of(30, 10, gap=3)])

    assert shelf.read(SYMBOL, 9, ALL) == []
    assert ids_of(shelf.read(SYMBOL, 10, ALL)) == list(range(10, 20)), "20 to 26 are not explained"
    assert shelf.read(SYMBOL, 26, ALL) == []
    assert ids_of(shelf.read(SYMBOL, 28, ALL)) == list(range(30, 40))
    assert shelf.read(SYMBOL, 40, ALL) == []
    assert shelf.read("ETHUSDT", 10, ALL) == []


def test_of_runs_that_overlap_the_newest_answers_and_the_older_ones_go_on() -> None:
    older = structs.replace(run_of(10, 20), price="older")
    newer = structs.replace(run_of(15, 5), price="newer")
    shelf = Shelf([older, newer])

    found = shelf.read(SYMBOL, 16, ALL)

    assert ids_of(found) == list(range(16, 30))
    assert [run.price for run in found] == ["newer", "older"]


def test_a_run_without_trades_carries_its_explanation() -> None:
    shelf = Shelf([run_of(10, 2), run_of(15, 0, gap=3), run_of(15, 1)])

    found = shelf.read(SYMBOL, 11, ALL)

    assert [(run.start_id, run.first_id, run.count) for run in found] == [(11, 11, 1), (12, 15, 0), (15, 15, 1)]


def test_covers_join_what_adjoins_by_symbol() -> None:
    runs = [run_of(10, 2), run_of(1, 1, symbol="ETHUSDT"), run_of(14, 2, gap=2), run_of(30, 1), run_of(31, 0)]

    covers = covers_of(runs)

    assert [(cover.start, cover.first_trade, cover.end) for cover in covers[SYMBOL]] == [(10, 10, 16), (30, 30, 31)]
    assert [(cover.start, cover.end) for cover in covers["ETHUSDT"]] == [(1, 2)]


def test_the_ring_forgets_what_came_first_whatever_its_symbol() -> None:
    size = run_bytes(run_of(1, 5))
    ring = Shelf(bytes_max=3 * size)
    for number in range(5):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            ring.add(run_of(number * 5, 5, symbol=symbol), size)

    assert ring.bytes == 3 * size
    assert [(cover.start, cover.end) for cover in ring.covers("BTCUSDT")] == [(20, 25)]
    assert [(cover.start, cover.end) for cover in ring.covers("ETHUSDT")] == [(15, 25)]
    assert ring.read("BTCUSDT", 19, ALL) == []
    assert ids_of(ring.read("ETHUSDT", 17, ALL), "ETHUSDT") == list(range(17, 25))


def test_the_ring_can_be_emptied_by_a_run_that_is_larger_than_it() -> None:
    ring = Shelf(bytes_max=100)

    ring.add(run_of(1, 5), 101)

    assert (ring.bytes, list(ring.covers(SYMBOL))) == (0, [])


def test_the_size_of_a_run_grows_with_its_texts_and_refusals() -> None:
    run = run_of(1, 1)
    longer = structs.replace(run, entries=[1, "x" * 1000])
    refusing = structs.replace(run, refused={0: structs.replace(REFUSAL, content="x" * 1000)})

    assert run_bytes(longer) - run_bytes(run) == 1000 - len(str(run.entries[1]))
    assert run_bytes(refusing) - run_bytes(run) > 1000
