"""Replies as text, in the three forms that redis-cli knows."""

from __future__ import annotations

import pytest

from data_collector.cli.redis import json_text, numbered_lines, raw_lines

STREAM = [["stream:BTCUSDT", [["1-1", ["data", '{"a": 1}']], ["1-2", ["data", "x"]]]]]


@pytest.mark.parametrize(
    ("reply", "lines"),
    [
        (None, [""]),
        (5, ["5"]),
        ("two\nlines", ["two\nlines"]),
        ([], []),
        (STREAM, ["stream:BTCUSDT", "1-1", "data", '{"a": 1}', "1-2", "data", "x"]),
        ({"price": "1.50"}, ["price", "1.50"]),
    ],
)
def test_pipe_gets_one_line_per_value(reply: object, lines: list[str]) -> None:
    assert raw_lines(reply) == lines


@pytest.mark.parametrize(
    ("reply", "lines"),
    [
        (None, ["(nil)"]),
        (5, ["(integer) 5"]),
        (True, ["(true)"]),
        ("a", ['"a"']),
        ("\x1b[31m\x7f\x9b", ['"\\u001b[31m\\u007f\\u009b"']),
        ([], ["(empty array)"]),
        (["a", ["b", 1]], ['1) "a"', '2) 1) "b"', "   2) (integer) 1"]),
        ({"k": "v"}, ['1) "k"', '2) "v"']),
    ],
)
def test_terminal_gets_typed_numbered_and_harmless_text(reply: object, lines: list[str]) -> None:
    assert numbered_lines(reply) == lines


def test_numbers_of_long_lists_are_aligned() -> None:
    lines = numbered_lines(list("abcdefghij"))

    assert lines[0] == ' 1) "a"'
    assert lines[9] == '10) "j"'


def test_json_keeps_objects_and_lists() -> None:
    assert json_text({"price": "1.50", "n": [1, None]}) == '{"price":"1.50","n":[1,null]}'
