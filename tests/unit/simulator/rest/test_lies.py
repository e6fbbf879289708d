"""Answers that are in order and not true."""

from __future__ import annotations

from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.rest.lies import lying_body

ROWS: list[object] = [{"id": number, "price": "1.0"} for number in range(10, 16)]


def ids(body: object) -> list[object]:
    assert isinstance(body, list)
    return [row["id"] for row in body]


def test_short_page_keeps_its_first_half() -> None:
    assert ids(lying_body(ROWS, RestFault(kind="short"))) == [10, 11, 12]
    assert ids(lying_body(ROWS[:1], RestFault(kind="short"))) == [10]


def test_shuffle_swaps_two_rows() -> None:
    assert ids(lying_body(ROWS, RestFault(kind="shuffle"))) == [10, 11, 13, 12, 14, 15]
    assert ids(lying_body(ROWS[:2], RestFault(kind="shuffle"))) == [11, 10]
    assert ids(lying_body(ROWS[:1], RestFault(kind="shuffle"))) == [10]


def test_missing_leaves_out_the_middle() -> None:
    fault = RestFault(kind="missing", span=2)

    assert ids(lying_body(ROWS, fault)) == [10, 11, 14, 15]


def test_missing_within_a_range_is_missing_on_every_page() -> None:
    fault = RestFault(kind="missing", within=(12, 13))

    assert ids(lying_body(ROWS, fault)) == [10, 11, 14, 15]
    assert ids(lying_body(ROWS[3:], fault)) == [14, 15]
    assert lying_body([[11, "1.0"], [12, "1.0"]], fault) == [[11, "1.0"]]


def test_rows_are_found_by_numbers_that_are_written_as_text_too() -> None:
    fault = RestFault(kind="missing", within=(12, 13))

    assert lying_body([{"tradeId": "11"}, {"tradeId": "12"}], fault) == [{"tradeId": "11"}]
    assert lying_body([["11", "1.0"], ["12", "1.0"]], fault) == [["11", "1.0"]]
    assert lying_body([["12", "1.0", 11], ["9", "1.0", 12]], fault) == [["12", "1.0", 11]]


def test_alter_changes_one_row_or_all_and_kline_rows_by_their_columns() -> None:
    assert ids(lying_body(ROWS, RestFault(kind="alter", row=-1, add={"id": 5}))) == [10, 11, 12, 13, 14, 20]
    assert ids(lying_body(ROWS, RestFault(kind="alter", set={"id": 1}))) == [1] * 6
    assert lying_body([[60, "1.0"]], RestFault(kind="alter", add={"0": 1}, set={"1": "2.0"})) == [[61, "2.0"]]
    assert lying_body({"serverTime": 5}, RestFault(kind="alter", add={"serverTime": 1}, set={"x": 2})) == {
        "serverTime": 6, "x": 2,
    }  # fmt: skip
    assert lying_body([], RestFault(kind="alter", row=0, set={"id": 1})) == []


def test_objects_and_other_faults_leave_the_answer_alone() -> None:
    assert lying_body({"a": 1}, RestFault(kind="shuffle")) == {"a": 1}
    assert lying_body(ROWS, RestFault(kind="overlap")) is ROWS
