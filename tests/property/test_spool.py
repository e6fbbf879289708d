"""A spool against the plainest model of one: every id that any run spoke of, over restarts and with all sizes."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from data_collector.observe.counters import Counters
from data_collector.pipeline.spool.spool import Spool, SpoolLimits
from tests.integration.waiting import until_async
from tests.spooling import ids_of, open_spool, run_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")
END = 45
"""Few ids, so that runs meet and overlap."""


ROUNDS = 2_000
WAIT_EVERY = 20
"""Rounds after which the disk is waited for: a slow one would keep up with nothing, and nothing be read from it."""
SEED = 4


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


async def test_what_is_read_while_it_is_written_and_deleted_is_always_right(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    limits = SpoolLimits(
        bytes_max=40_000, ring_bytes=20_000, segment_bytes=3_000, group_bytes=2_000, group_s=0.001, upkeep_s=0.01
    )
    spool = Spool(tmp_path, Counters(), symbols=SYMBOLS, limits=limits)
    await spool.open()
    running = asyncio.create_task(spool.run())
    next_ids = dict.fromkeys(SYMBOLS, 0)
    from_disk = 0
    for number in range(ROUNDS):
        if number % WAIT_EVERY == 0:
            await until_async(lambda: not spool._queue, "an empty queue", deadline_s=60.0)
        for symbol in SYMBOLS:
            # Now and then the store has lost its end, and the same ids come again.
            first_id = max(0, next_ids[symbol] - chance.choice((0, 0, 0, 0, 40)))
            next_ids[symbol] = first_id + chance.randint(1, 8)
            spool.append([run_of(first_id, next_ids[symbol] - first_id, symbol=symbol)])
        symbol = chance.choice(SYMBOLS)
        oldest_id = spool.oldest_id(symbol) or 0
        first_id = chance.randint(oldest_id, next_ids[symbol] + 5)
        in_memory = bool(spool._ring.read(symbol, first_id, 1))
        found = await spool.read(symbol, first_id, trades_max=chance.choice((1, 20, 1_000)))
        ids = ids_of(found, symbol)
        assert ids == list(range(first_id, first_id + len(ids)))
        from_disk += bool(ids) and not in_memory
        await asyncio.sleep(0)
    running.cancel()
    await spool.close()

    assert from_disk > ROUNDS / 10


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
