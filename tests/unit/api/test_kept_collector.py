"""The collector of one exchange among several, which is started again when it ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from data_collector.api.collectors import KeptCollector
from data_collector.settings import load_settings
from tests.integration.waiting import until_async

NOTES = "import pathlib, sys; file = pathlib.Path(sys.argv[1]).open('a'); print(*sys.argv[2:], file=file)"


async def test_collector_that_began_empty_goes_on_when_it_is_started_again(tmp_path: Path) -> None:
    """As one of a demo does that is killed: what it had, its epochs among it, must not be thrown away again."""
    notes = tmp_path / "notes"
    notes.touch()
    command = [sys.executable, "-c", NOTES, str(notes), "--empty", "--folder", "demo"]
    collector = KeptCollector(load_settings({}, None), command, {}, None)

    keeping = asyncio.create_task(collector.keep({}, None))
    await until_async(lambda: len(notes.read_text().splitlines()) >= 2, "two starts")
    await collector.stop()
    await keeping

    first, second = notes.read_text().splitlines()[:2]
    assert first.startswith("--empty --folder demo --control-fd ")
    assert second.startswith("--folder demo --control-fd ")
