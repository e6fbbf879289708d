"""The format of a recording: every byte comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.recording.lines import Head, Line, line_of, own_line, parse


@given(st.binary(), st.integers(0, 2**31), st.integers(0, 2**63))
def test_any_bytes_come_back(content: bytes, number: int, ns: int) -> None:
    line = line_of("in", number, ns, content)

    assert line.count(b"\n") == 1
    assert parse(line[:-1]) == Line("in", number, ns, content)


def test_json_stays_readable() -> None:
    assert line_of("in", 3, 17, b'{"p":"1.50"}') == b'["in",3,17,{"p":"1.50"}]\n'
    assert line_of("in", 3, 17, b'{"p":\n1}').startswith(b'["in64",3,17,"')
    assert own_line("head", 0, 1, Head(exchange="kraken")).startswith(b'["head",0,1,{"format":1,"exchange":"kraken"')


@pytest.mark.parametrize(
    "line", [b"", b"[", b'["in",1,2', b'["in",1,2,{"cut":', b'["in",x,2,{}]', b"{}", b'["in64",1,2,']
)
def test_what_is_no_line_of_ours_is_passed_over(line: bytes) -> None:
    assert parse(line) is None
