"""A spool against the plainest model of one: every id that any run spoke of, over restarts and with all sizes."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from data_collector.pipeline.spool import SpoolLimits
from tests.spooling import ids_of, open_spool, run_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")
END = 45
"""Few ids, so that runs meet and overlap."""


class Given(Struct, frozen=True):
    """A run."""

    symbol: str
    start: int
    gap: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.gap + self.count


runs = st.builds(
    Given, st.sampled_from(SYMBOLS), st.integers(0, 30), st.sampled_from((0, 0, 0, 1, 4)), st.integers(0, 8)
)
lives = st.lists(st.lists(runs, max_size=12), min_size=1, max_size=4)
sizes = st.builds(
    SpoolLimits,
    ring_bytes=st.sampled_from((1, 5_000, 1_000_000)),
    segment_bytes=st.sampled_from((1, 1_000, 100_000)),
    group_bytes=st.sampled_from((1, 4_000, 100_000)),
)


@settings(deadline=None, max_examples=150)
@given(lives, sizes)
def test_every_id_that_was_kept_is_given_back_and_no_other(lives: list[list[Given]], limits: SpoolLimits) -> None:
    asyncio.run(live(lives, limits))


async def live(lives: list[list[Given]], limits: SpoolLimits) -> None:
    kept: list[Given] = []
    with tempfile.TemporaryDirectory() as folder:
        for life in lives:
            # Memory may have forgotten what is not yet on disk; only what is on disk or in memory is asked for.
            async with open_spool(Path(folder), symbols=SYMBOLS, limits=limits) as spool:
                for each in life:
                    spool.append([run_of(each.start + each.gap, each.count, symbol=each.symbol, gap=each.gap)])
            kept += life
            async with open_spool(Path(folder), symbols=SYMBOLS, limits=limits) as spool:
                for symbol in SYMBOLS:
                    mine = [each for each in kept if each.symbol == symbol and each.end > each.start]
                    traded = {trade_id for each in mine for trade_id in range(each.start + each.gap, each.end)}
                    spoken = {trade_id for each in mine for trade_id in range(each.start, each.end)}
                    assert spool.oldest_id(symbol) == min(traded, default=None)
                    assert spool.newest_id(symbol) == max(spoken, default=None)
                    for first_id in range(END):
                        found = await spool.read(symbol, first_id, trades_max=1_000)
                        assert bool(found) == (first_id in spoken)
                        assert set(ids_of(found, symbol)) <= traded
                        if found:
                            end = found[-1].first_id + found[-1].count
                            assert found[0].start_id == first_id
                            assert end not in spoken, "it goes on for as long as it can"
