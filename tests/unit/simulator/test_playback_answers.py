"""The REST side of a recording: which answer of then a question gets now."""

from __future__ import annotations

from data_collector.recording.lines import Asked
from data_collector.recording.packing import Packed
from data_collector.recording.reading import Answer
from data_collector.simulator.playback.answers import RecordedAnswers


def answer(ns: int, path: str, **query: str) -> Answer:
    return Answer(ns, Asked(path=path, query=query, status=200, asked_ns=ns - 1), Packed.of(b"%d" % ns))


TRADES = answer(15, "/trades", symbol="BTCUSDT", limit="5")
ANSWERS = RecordedAnswers([answer(10, "/time"), answer(20, "/time"), TRADES])


def test_newest_answer_of_before_is_given_and_the_first_where_none_was_before() -> None:
    found = [ANSWERS.find("/time", {}, now_ns) for now_ns in (0, 10, 19, 20, 99)]

    assert [each.ns if each is not None else None for each in found] == [10, 10, 10, 20, 20]


def test_question_is_the_same_in_any_order_of_its_parameters_and_no_other_one() -> None:
    assert ANSWERS.find("/trades", {"limit": "5", "symbol": "BTCUSDT"}, 0) is not None
    assert ANSWERS.find("/trades", {"limit": "6", "symbol": "BTCUSDT"}, 0) is None
    assert ANSWERS.find("/trades", {"symbol": "BTCUSDT"}, 0) is None
    assert ANSWERS.find("/klines", {}, 0) is None
