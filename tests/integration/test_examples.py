"""The programs of `examples/`, and what docs/reading.md tells people to read with, against one running demo."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from data_collector.embedded.peer import free_port
from tests.docs.tree import ROOT, read
from tests.integration.demo import Demo, demo, first
from tests.integration.postgres_server import rows
from tests.integration.waiting import until

SYMBOL = "BTCUSDT"
EXAMPLES = ROOT / "examples"
START_S = 60.0
"""Until a program has printed what it is for: pandas alone takes a second to load, and the machine may be busy."""

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS = FENCE.findall(read("docs/reading.md"))
OWN_TESTS = "pathway"
OWN_PROGRAMS = {"backtest_with_vectorbt.py", "candles_with_duckdb.py", "pathway_vwap.py", "train_ppo.py"}
"""What needs an environment of its own is run there."""

ASKED_FOR = """\
import redis
import json

# Connect to Redis
r = redis.from_url("redis://localhost:6379")

# Get latest price
latest = r.hgetall("latest:BTCUSDT")
print(f"BTC Price: ${latest['price']}")

# Subscribe to real-time stream
for message in r.xread({"stream:BTCUSDT": "$"}, block=0):
    stream_name, messages = message
    for msg_id, data in messages:
        market_data = json.loads(data['data'])
        print(f"New candle: {market_data}")
"""
"""The client of Redis that the collector was asked for with."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo with an hour of candles in its database."""
    folder = tmp_path_factory.mktemp("demo") / "var"
    with demo(folder) as running:
        until(lambda: running.store.length(f"stream:{SYMBOL}"), "candles", output=running.screen)
        filled = subprocess.run(
            [sys.executable, "-m", "data_collector", "backfill", "--from", "-1h", "--symbols", SYMBOL],
            env={**os.environ, "PYTHONPATH": str(ROOT), "VAR_DIR": str(folder), "GX_AUDIT": "0"},
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert filled.returncode == 0, filled.stdout + filled.stderr
        yield running


class Program:
    """A program of a reader, with what it prints in a file."""

    def __init__(self, process: subprocess.Popen[bytes], screen: Path) -> None:
        self.process = process
        self._screen = screen

    def said(self, pattern: str) -> None:
        """Wait until it has printed this; it may have ended then, but not failed."""
        until(
            lambda: re.search(pattern, self.text()) or self.process.poll() is not None, pattern, deadline_s=START_S,
            output=self.text,
        )  # fmt: skip
        assert self.process.poll() in (None, 0), self.text()
        assert re.search(pattern, self.text()), self.text()

    def interrupt(self) -> None:
        """Ctrl-C, at which it ends without many words."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(START_S) == 0, self.text()
        assert "Traceback" not in self.text()

    def text(self) -> str:
        return self._screen.read_text()


@contextmanager
def program(served: Demo, folder: Path, *words: str | Path) -> Iterator[Program]:
    """Python as a reader of the demo starts it; killed at the end, as readers may be."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "MPLBACKEND": "agg"}
    environment |= {"REDIS_URL": served.store.url, "DATA_COLLECTOR_API": served.url, "DATABASE_URL": ""}
    screen = folder / "screen.txt"
    with screen.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *words], env=environment, cwd=folder, stdout=output, stderr=output
        )  # fmt: skip
    try:
        yield Program(process, screen)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("candles_to_pandas.py", SYMBOL, "1s"),
            r"\d candles of BTCUSDT 1s\n.*close +volume(\n.*)+\n[-\d]+ [:\d]+00:00\+00:00 +[\d.]+",
        ),
        (("parquet_with_polars.py", "ETHUSDT"), r"ETHUSDT: .* trades\.parquet.*\nshape: \(\d, 6\)\n(.*\n)+│ .* UTC "),
        (
            ("asyncio_strategy.py", SYMBOL, "1s"),
            r"^BTCUSDT:1s: the last hour first.*\n(.*\n)*[\d.]+ (long|flat) -> (long|flat)\n",
        ),
        (
            ("backtrader_sma_cross.py", SYMBOL, "1s"),
            r"^BTCUSDT 1s.*\n(.*missing.*\n)?Older bars(.*\n)+(bought|sold) at .*\n(.*\n)*Live: ",
        ),
        (("moments_like_now.py", SYMBOL, "1s"), r"candles added, \d+ known\n(.*\n)*5 candles later: .*; at random: "),
        (
            ("backtrader_gaps.py", SYMBOL, "1m"),
            r"klines of BTCUSDT are missing .*\n(.*\n)*\d+ bars of BTCUSDT 1m, [1-9]",
        ),
    ],
)
def test_example_reads_the_demo(served: Demo, tmp_path: Path, words: tuple[str, ...], line: str) -> None:
    with program(served, tmp_path, EXAMPLES / words[0], *words[1:]) as running:
        running.said(line)


def test_words_that_an_example_does_not_know_are_refused_with_those_that_its_text_names(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = {
        path: subprocess.Popen(
            [sys.executable, path, *"abcde"], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) for path in EXAMPLES.glob("*.py") if path.name not in OWN_PROGRAMS
    }  # fmt: skip

    for path, process in started.items():
        _, told = process.communicate(timeout=START_S)
        assert process.returncode == 2, told
        usage = told.partition("\n")[0].replace(" [-h]", "")
        assert f"\nU{usage[1:]}\n" in read(path)


def test_trades_are_stored_once_by_an_example_that_is_killed_again_and_again(served: Demo, tmp_path: Path) -> None:
    for _ in range(3):
        with program(served, tmp_path, EXAMPLES / "resume_after_kill.py") as running:
            running.said(r"(?s)trades stored.*[1-9]\d* trades stored")

    count, oldest, newest = trades_of(tmp_path / "trades-BTCUSDT.sqlite")
    held = served.store.entries(f"trades:{SYMBOL}")
    assert count == newest - oldest + 1
    assert str(oldest) == held[0]["id"].partition("-")[2]


def test_client_of_redis_that_was_asked_for_reads_the_demo(served: Demo, tmp_path: Path) -> None:
    """With what redis-py itself needs, texts in place of bytes and no end to waiting, and no other change."""
    made = 'from_url("redis://localhost:6379"'
    changed = f'from_url("{served.store.url}", decode_responses=True, socket_timeout=None'
    assert made in ASKED_FOR

    with program(served, tmp_path, "-c", ASKED_FOR.replace(made, changed)) as running:
        running.said(r"BTC Price: \$[\d.]+\nNew candle: \{'symbol': 'BTCUSDT', 'timestamp': '\d{4}-.*'is_closed': ")


def trades_of(file: Path) -> tuple[int, int, int]:
    """How many an example has stored, the first id and the last one."""
    with closing(sqlite3.connect(file)) as store:
        found: tuple[int, int, int] = store.execute(
            "select count(*), min(trade_id), max(trade_id) from trades"
        ).fetchone()  # fmt: skip
        return found


def test_late_records_are_alerted_also_where_nobody_takes_an_alert(
    served: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_URL", f"http://127.0.0.1:{free_port()}")
    with program(served, tmp_path, EXAMPLES / "alert_on_late.py") as running:
        running.said("Watching 6 series")
        for late in served.store.entries(f"trades:{SYMBOL}")[:2]:
            served.store.ask("XADD", f"late:{SYMBOL}", "*", "data", late["fields"]["data"], "why", "recovered")

            trade_id = json.loads(late["fields"]["data"])["trade_id"]
            running.said(rf"{SYMBOL}: trade {trade_id} at [\d.]+ came late \(recovered\)\nALERT_URL did not take it: ")


@pytest.mark.parametrize(
    ("notebook", "shown", "line"),
    [
        ("candles_to_pandas.ipynb", "frame", r"\[\d+ rows x \d+ columns\]"),
        ("candle_env.ipynb", "info", r"'log_equity': -?\d.*'turnover': \d"),
    ],
)
def test_notebook_runs_and_holds_nothing_of_an_earlier_run(
    served: Demo, tmp_path: Path, notebook: str, shown: str, line: str
) -> None:
    cells = json.loads(read(EXAMPLES / notebook))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]

    text = "\n".join("".join(cell["source"]) for cell in code)
    with program(served, tmp_path, "-c", f"{text}\nprint({shown})") as running:
        running.said(line)

    assert [cell["outputs"] for cell in code] == [[]] * len(code)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_what_the_guide_reads_with_reads_the_demo(served: Demo, tmp_path: Path, number: int) -> None:
    language, text = SNIPPETS[number]
    if language == "python" and OWN_TESTS not in text:
        with program(served, tmp_path, "-c", text) as running:
            running.said(r"\S")
            if "KeyboardInterrupt" in text:
                running.interrupt()
    elif language == "sql":
        assert rows(first(r"psql (postgresql://\S+)", served.screen()), text.rstrip().rstrip(";"))
    elif language == "sh":
        for line in text.splitlines():
            assert_prints(served, line)


@pytest.mark.parametrize(("document", "blocks"), [("docs/client.md", 2), ("docs/backtrader.md", 1)])
def test_first_blocks_of_a_guide_read_the_demo(served: Demo, tmp_path: Path, document: str, blocks: int) -> None:
    texts = [text for language, text in FENCE.findall(read(document)) if language == "python"]
    with program(served, tmp_path, "-c", "".join(texts[:blocks])) as running:
        running.said(r"\d")


def assert_prints(served: Demo, line: str) -> None:
    """A command of whose program this machine has something to say."""
    program = line.split(maxsplit=1)[0]
    if program not in {"curl", "redis-cli"} or shutil.which(program) is None:
        return
    line = line.replace("http://127.0.0.1:8001", served.url)
    line = line.replace('"$REDIS_URL"', served.store.url)
    ran = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=START_S, check=False)
    assert ran.returncode == 0, line + ran.stderr
    assert ran.stdout.strip(), line
    assert '"error"' not in ran.stdout, ran.stdout
