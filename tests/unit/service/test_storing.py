"""What operators are told of records that wait for the store."""

from __future__ import annotations

import pytest

from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.service.storing import kept_where
from tests.market import SYMBOL
from tests.retaining import in_memory


@pytest.mark.parametrize(
    ("records", "spool_refuses", "is_nowhere", "words"),
    [
        (5, True, False, "5 records wait in memory"),
        (10, False, False, "trades wait in the spool"),
        (10, True, True, "nothing can be spooled"),
    ],
)
def test_records_that_can_be_neither_stored_nor_spooled_are_worse_than_degraded(
    records: int, spool_refuses: bool, is_nowhere: bool, words: str
) -> None:
    outlet = Outlet([SYMBOL], in_memory(SYMBOL), records_max=10)
    outlet.records = records

    nowhere, sentence = kept_where(outlet, spool_refuses=spool_refuses)

    assert (nowhere, words in sentence) == (is_nowhere, True)
