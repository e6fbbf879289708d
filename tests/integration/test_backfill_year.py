"""A year of minutes for three symbols beside a collector, killed twice: nothing is missing or different."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.postgres_server import rows
from tests.integration.processes import Ended, collecting, exchange, variables
from tests.integration.store_reader import Store
from tests.integration.waiting import until

SYMBOLS = "BTCUSDT,ETHUSDT,BNBUSDT"
YEAR_MINUTES = 365 * 1440
COMMAND = (sys.executable, "-m", "data_collector")
BACKFILL = (*COMMAND, "backfill", "--symbols", SYMBOLS, "--intervals", "1m", "--from", "-365d", "--json")
AUDIT = (*COMMAND, "audit", *BACKFILL[4:], "--against-exchange")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_year_is_whole_after_two_kills_beside_a_collector(tmp_path: Path, store: Store, database: str) -> None:
    options = ("--history-days", "367", "--history-trades", "4000")
    with exchange(tmp_path / "exchange", *options, symbols=SYMBOLS) as market:
        chosen = {"symbols": SYMBOLS, "redis_url": store.url, "database_url": database, "intervals": "1m"}
        with collecting(tmp_path / "collector", market, **chosen) as collector:
            until(lambda: store.tail_id("BTCUSDT"), "a first trade", output=collector.told)
            environment = variables(tmp_path / "backfill", market, **chosen)
            (tmp_path / "backfill").mkdir(exist_ok=True)
            for rows_at_least in (100_000, 400_000):
                _kill_after(tmp_path / "backfill", environment, rows_at_least)
            killed_at = _count(database)
            finished = _run(BACKFILL, tmp_path / "backfill", environment)
            until(lambda: _is_audited(store), "a closed candle that an audit looks at", deadline_s=240)
            # Whatever closed meanwhile is the collector's to write, or the next backfill's.
            last = _run(BACKFILL, tmp_path / "backfill", environment)
            verdict = _run(AUDIT, tmp_path / "backfill", environment)
            status = collector.status()
            live = int(str(rows(database, "select count(*) from market_data_ohlcv where source <> 'rest'")[0][0]))

    summary, judged = json.loads(finished.output.splitlines()[-1]), json.loads(verdict.output.splitlines()[-1])
    assert 500_000 < killed_at < 3 * YEAR_MINUTES
    assert (finished.code, summary["outcome"]) == (0, "complete"), finished.output[-2000:]
    assert summary["added"] < 3 * YEAR_MINUTES - 400_000
    assert last.code == 0
    assert (verdict.code, judged["equal"]) == (0, True), verdict.output[-4000:]
    compared = [check["compared"] for check in judged["checks"] if check["against"] == "exchange"]
    assert len(compared) == 3
    assert min(compared) >= YEAR_MINUTES - 3
    assert live > 0
    met = [check["note"] for check in judged["checks"] if check["against"] == "live store" and check["compared"]]
    assert any("without a seam" in note for note in met)
    assert all("with a hole" not in check["note"] for check in judged["checks"])
    refused = [
        sample
        for sample in status.samples
        if sample.name == "data_collector_rest_requests_total"
        and sample.labels.get("outcome") in {"limited", "banned"}
        and sample.value
    ]
    assert refused == []
    assert "HTTP 429" not in finished.output
    assert "HTTP 418" not in finished.output


def _kill_after(folder: Path, environment: dict[str, str], rows_at_least: int) -> None:
    process = subprocess.Popen(BACKFILL, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    done: dict[str, int] = {}
    with process.stdout:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "progress":
                done[event["series"]] = event["done"]
            if sum(done.values()) >= rows_at_least:
                break
        process.kill()
    process.wait()


def _is_audited(store: Store) -> bool:
    """Whether the live store has a candle that ended more than a minute ago: an audit leaves out younger ones."""
    limit = datetime.now(UTC) - timedelta(seconds=130)
    closed = [record for record in store.records("stream:BTCUSDT") if record["is_closed"]]
    return any(datetime.fromisoformat(str(record["timestamp"])) < limit for record in closed)


def _count(database: str) -> int:
    return int(str(rows(database, "select count(*) from market_data_ohlcv")[0][0]))


def _run(command: tuple[str, ...], folder: Path, environment: dict[str, str]) -> Ended:
    began = time.monotonic()
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    print(f"{command[3]}: {time.monotonic() - began:.1f} s")
    return Ended(ended.returncode, ended.stderr + ended.stdout)
