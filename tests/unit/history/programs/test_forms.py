"""Which candles a program can open."""

from __future__ import annotations

import pytest

from data_collector.history.programs.forms import Program, demand_known
from data_collector.model.calendar import INTERVALS
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Key


@pytest.mark.parametrize(
    ("program", "unknown", "sentence"),
    [
        ("freqtrade", "1s", "--as freqtrade: it has no candles of less than a minute; leave out 1s."),
        ("nautilus", "45m", "--as nautilus: it has no candles of minutes that do not divide an hour; leave out 45m."),
    ],
)
def test_an_interval_that_a_program_cannot_open_is_refused_and_no_other(
    program: Program, unknown: str, sentence: str
) -> None:
    series = [Key("kline", "BTCUSDT", interval) for interval in INTERVALS]
    known = [key for key in series if key.interval != unknown]

    demand_known(program, [*known, Key("trade", "BTCUSDT")])
    with pytest.raises(Misconfigured) as told:
        demand_known(program, series)

    assert str(told.value) == sentence
