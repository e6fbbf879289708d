"""Who reads what the service tells may be stuck, or gone: the feed does not notice."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import msgspec
import pytest

from data_collector.embedded.peer import free_port
from data_collector.embedded.record import read_record
from tests.integration.processes import ROOT, exchange, get_json, variables
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until

LEFT_OUT = re.compile(
    r"log: [\d,]+ lines of (?P<process>the \w+ process) were left out, the newest within the last 10 minutes: "
    r"who reads its output is stuck or gone"
)


@pytest.mark.parametrize("reader", ["stuck", "gone"])
def test_service_goes_on_when_who_reads_its_output_does_not(tmp_path: Path, reader: str) -> None:
    """As `python -m data_collector run 2>&1 | head -1`, or a log collector that hangs."""
    reading, writing = os.pipe()
    if reader == "gone":
        os.close(reading)
    else:
        _fill(writing)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with exchange(tmp_path / "market", "--trades-per-s", "20") as market:
        environment = variables(tmp_path / "var", market, port=str(port))
        process = subprocess.Popen(
            [sys.executable, "-m", "data_collector", "run"], cwd=ROOT, env=environment, stdout=writing, stderr=writing
        )
        try:
            os.close(writing)
            until(lambda: _is_well(url), "a service that is well")
            record = read_record(tmp_path / "var" / "live")
            assert record is not None
            store = Store(f"redis://{record.address.place}/0")
            tail = store.tail_id("BTCUSDT")
            # Each lost connection is a line of the log.
            for _ in range(3):
                market.act("shutdown", close_after_s=0.1)
                until(lambda: store.tail_id("BTCUSDT") > tail + 20, "newer trades")  # noqa: B023 - called at once
                tail = store.tail_id("BTCUSDT")
            if reader == "gone":
                until(lambda: _dropped(url, "output") > 0, "lines that are counted")
                until(lambda: _told(url) == {"the collector process", "the HTTP process"}, "both told")
                assert _dropped(url, "api_output") > 0
                assert get_json(f"{url}/health")["status"] == "degraded"
            else:
                assert get_json(f"{url}/health")["status"] == "healthy"
            assert _is_well(url)
        finally:
            process.terminate()
            code = process.wait(DEADLINE_S)
    if reader == "stuck":
        os.close(reading)
    assert code == 0


def _fill(writing: int) -> None:
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)


def _is_well(url: str) -> bool:
    """But for its log."""
    try:
        health = get_json(f"{url}/health")
    except OSError:
        return False
    reasons = msgspec.convert(health["reasons"], list[str])
    return health["collector_running"] is True and all(map(LEFT_OUT.fullmatch, reasons))


def _told(url: str) -> set[str]:
    """Processes whose log nobody reads."""
    found = map(LEFT_OUT.fullmatch, msgspec.convert(get_json(f"{url}/health")["reasons"], list[str]))
    return {match["process"] for match in found if match}


def _dropped(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics/prometheus", timeout=DEADLINE_S) as answer:  # noqa: S310 - our own address
        lines = answer.read().decode().splitlines()
    (told,) = (line for line in lines if line.startswith(f"data_collector_{name}_lines_dropped_total"))
    return float(told.split()[-1])
