"""What becomes of files of an epoch that is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec import structs

from data_collector.model.sink import place_of
from data_collector.observe.counters import Counters
from data_collector.pipeline.spool.spool import Spool
from tests.integration.waiting import until_async
from tests.market import SYMBOL
from tests.spooling import open_spool, run_of
from tests.unit.pipeline.spool.test_spool import TINY, files, running


async def test_files_of_an_epoch_go_when_the_store_is_in_a_later_one(tmp_path: Path) -> None:
    """After a restart in between nobody confirms the ids of the epoch before."""
    async with open_spool(tmp_path, limits=TINY) as spool:
        spool.append([run_of(first_id, 5) for first_id in range(5_000, 5_100, 5)])
        spool.append([structs.replace(run_of(first_id, 5), epoch=1) for first_id in range(0, 100, 5)])
    written = len(files(tmp_path))

    spool = Spool(tmp_path, Counters(), symbols=[SYMBOL], limits=structs.replace(TINY, keep_s=0.0))
    async with running(spool):
        spool.confirm(place_of(SYMBOL, 1), 99)
        spool.confirm(SYMBOL, 5_010)
        await asyncio.sleep(0.05)
        kept_while_wanted = spool.newest_id(SYMBOL)
        spool.confirm(place_of(SYMBOL, 1), 99)
        await until_async(lambda: len(files(tmp_path)) == 1, "the newest file alone")

        assert written > 2
        assert kept_while_wanted == 5_099
        assert spool.newest_id(SYMBOL) is None
