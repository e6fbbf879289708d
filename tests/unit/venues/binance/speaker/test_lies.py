"""Questions that are answered in place of those that were asked."""

from __future__ import annotations

from data_collector.simulator.control.faults import RestFault
from data_collector.venues.binance.speaker.lies import filling_query, lying_query

ROWS: list[object] = [{"id": number, "price": "1.0"} for number in range(10, 16)]

NOW_MS = 1_700_000_000_000


def test_overlap_asks_for_rows_from_before() -> None:
    fault = RestFault(kind="overlap", span=3)

    assert lying_query({"symbol": "A", "fromId": "10"}, fault, NOW_MS) == {"symbol": "A", "fromId": "7"}
    assert lying_query({"fromId": "2"}, fault, NOW_MS) == {"fromId": "0"}
    minutes = {"startTime": "600000", "interval": "1m"}
    assert lying_query(minutes, fault, NOW_MS) == {"startTime": "420000", "interval": "1m"}
    assert lying_query({"startTime": "1700000000000000"}, fault, NOW_MS) == {"startTime": "1699999997000000"}
    assert lying_query({"startTime": "nonsense"}, fault, NOW_MS) == {"startTime": "nonsense"}


def test_newest_serves_no_older_rows() -> None:
    fault = RestFault(kind="newest", span=2)

    assert lying_query({"startTime": "0", "interval": "1m"}, fault, NOW_MS) == {
        "startTime": str(NOW_MS - 120_000), "interval": "1m",
    }  # fmt: skip
    late = {"startTime": str(NOW_MS - 60_000), "interval": "1m"}
    assert lying_query(late, fault, NOW_MS) == late


def test_missing_asks_for_what_fills_the_page_up() -> None:
    fault = RestFault(kind="missing", span=2)

    assert filling_query({"fromId": "10", "limit": "6"}, ROWS, fault) == {"fromId": "16", "limit": "2"}
    assert filling_query({"fromId": "1"}, [{"a": 3}, {"a": 4}], fault) == {"fromId": "5", "limit": "2"}
    assert filling_query({"startTime": "1"}, [[0, "1.0"], [60, "1.0"]], fault) == {"startTime": "61", "limit": "2"}
    assert filling_query({"fromId": "10"}, [], fault) is None
    assert filling_query({"fromId": "10"}, ROWS, RestFault(kind="short")) is None


def test_missing_within_a_range_asks_for_as_many() -> None:
    fault = RestFault(kind="missing", within=(12, 13))

    assert filling_query({"fromId": "10"}, ROWS, fault) == {"fromId": "16", "limit": "2"}
    assert filling_query({"fromId": "14"}, ROWS[4:], fault) is None
