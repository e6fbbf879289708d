"""`data-collector demo` as a newcomer runs it: it works without a network, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from functools import reduce
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil
import pytest

from data_collector.cli.demo import GENERATION, MARKET, DemoMarket
from data_collector.client import Client, Trade, WrongStore
from data_collector.embedded.lock import lock_directory
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.record import read_record
from data_collector.model.channels import CHANNELS
from data_collector.observe.logs import get_log
from tests.docs.tree import read
from tests.integration.demo import Demo, demo, first
from tests.integration.postgres_server import rows
from tests.integration.processes import ROOT, family, get_json, held_by, is_running
from tests.integration.store_reader import Store
from tests.integration.waiting import until

SYMBOL = "BTCUSDT"
PROGRAM = re.compile(r"\b(?<!\.)(curl|jq|redis-cli|watch)\b")
CHART = re.compile(
    r"The first chart can be looked at, \d+ s after the start: http://\S+/#BTCUSDT/1m  \(\d+ candles? of BTCUSDT 1m\)\n"
)
VALIDATION = r"Validation +(\S+)/suites"
KINDS = (f"trades:{SYMBOL}", f"stream:{SYMBOL}")


def grows(store: Store) -> None:
    """Records of all four kinds come in."""
    before = [store.length(key) for key in KINDS]
    until(lambda: all(store.length(key) > count for key, count in zip(KINDS, before, strict=True)), "more records")
    timestamp = until(lambda: store.hash(f"latest:{SYMBOL}").get("timestamp"), "the newest price")
    until(lambda: store.hash(f"latest:{SYMBOL}")["timestamp"] > timestamp, "a newer price")
    klines = len(store.keys(f"kline:{SYMBOL}:*"))
    until(lambda: len(store.keys(f"kline:{SYMBOL}:*")) > klines, "more klines")


def test_demo_fills_the_store_names_commands_that_work_and_ends_with_nothing_left(tmp_path: Path) -> None:
    with demo(tmp_path / "var") as running:
        grows(running.store)
        until(lambda: running.health()["status"] == "healthy", "health", output=running.screen)
        until(lambda: CHART.search(running.screen()), "a first chart", output=running.screen)
        assert_commands_work(running)
        assert_commands_of_operators_work(running)
        suites = get_json(first(r"Validation +(\S+/suites)", running.screen()))
        assert set(msgspec.convert(suites["suites"], dict[str, object])) == set(CHANNELS)
        moments = f"{running.url}/similar?symbol={SYMBOL}&window=16&horizons=5"
        until(lambda: get_json(moments).get("hits"), "moments like this", poll_s=0.5, output=running.screen)
        started = family(running.process.pid)
        assert len(started) >= 4, "collector, store, exchange and validation service"
        record = read_record(tmp_path / "var" / "demo")
        assert record is not None
        # Left behind by a demo that is killed, the store must not keep who reads its screen from coming to the end.
        assert str(running.screen_file) not in held_by(record.pid)
        password = urlsplit(first(r"psql (postgresql://\S+)", running.screen())).password
        assert password
        assert not any(password in word for pid in started for word in psutil.Process(pid).cmdline())

        code = running.interrupt()

        assert code in (0, 130)
        until(lambda: not any(map(is_running, started)), "the end of all that it started", output=running.screen)
        assert "Traceback" not in running.screen()
        assert not (tmp_path / "var" / "demo" / "valkey.json").exists()


def assert_broken_rule_is_told_and_validation_outlives_a_kill(running: Demo) -> None:
    """The rule by the demo's own health, and on the page, which is told the same."""
    file = running.screen_file.parent / "suites" / "trade.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"name": "trade", "expectations": [{"type": "expect_something"}]}')
    refusal = f"{first(VALIDATION, running.screen())}: {file} is refused:"
    until(lambda: refusal in str(running.health()["reasons"]), "the refusal", output=running.screen)
    with urllib.request.urlopen(f"{running.url}/live", timeout=10) as events:  # noqa: S310 - our own address
        until(lambda: refusal in events.readline().decode(), "the refusal on the page")
    file.unlink()

    ports = running.screen_file.parent / "demo" / "validation-service.json"
    os.kill(msgspec.convert(msgspec.json.decode(ports.read_bytes())["pid"], int), signal.SIGKILL)
    until(lambda: "The validation service runs again." in running.screen(), "a new one", output=running.screen)
    before = checked(running)
    until(lambda: checked(running) > before, "more trades that are checked", output=running.screen)

    assert "The validation service has ended (killed by signal 9); it is started again in 0.5 s." in running.screen()
    assert '"event": "program_restarts"' in running.screen()
    assert refusal not in str(running.health()["reasons"]), "it was mended"


def checked(running: Demo) -> int:
    """Trades that real Great Expectations has looked at."""
    audit = msgspec.convert(get_json(f"{running.url}/validation")["audit"], dict[str, object])
    return msgspec.convert(audit["rows"], dict[str, int])["trade"]


def assert_commands_work(running: Demo) -> None:
    """What the screen proposes, but for what waits."""
    (curl,) = re.findall(r"^ +curl (\S+)$", running.screen(), re.MULTILINE)
    (command,) = re.findall(r"^ +\S*python -m data_collector (redis .*?)(?:  .*)?$", running.screen(), re.MULTILINE)
    folder = str(running.screen_file.parent)
    environment = {**os.environ, "REDIS_URL": running.store.url, "PYTHONPATH": str(ROOT), "VAR_DIR": folder}

    (backfill,) = re.findall(r"^ +\S*python -m data_collector (backfill .*?)  .*$", running.screen(), re.MULTILINE)

    ran, planned, changed = (
        subprocess.run(
            [sys.executable, "-m", "data_collector", *shlex.split(words)],
            env=environment, capture_output=True, text=True, timeout=60, check=True,
        ) for words in (command, f"{backfill} --plan-only", f"plan --symbols {SYMBOL}")
    )  # fmt: skip

    dsn = first(r"psql (postgresql://\S+)", running.screen())
    until(lambda: rows(dsn, "select 1 from market_data_ohlcv limit 1"), "a candle in PostgreSQL", output=running.screen)
    assert get_json(curl)["service"] == "data-collector"
    assert "price" in ran.stdout
    assert planned.stderr.startswith("As the collector in demo that runs: PostgreSQL at 127.0.0.1:")
    assert "rows missing" in planned.stdout
    assert f"As the collector in demo that runs: API at {running.url}, exchange at http://" in changed.stderr
    assert "streams removed: 8 " in changed.stdout


MONITORING = {
    "curl http://localhost:8001/health": '"status":"healthy"',
    "curl http://localhost:8001/status": '"running":true',
    "watch -n 1 'curl -s http://localhost:8001/metrics | jq'": '"messages_received": ',
    "redis-cli --json HGETALL latest:BTCUSDT": '"price":"',
    "redis-cli GET latest:BTCUSDT": "WRONGTYPE",
    "redis-cli XREAD BLOCK 0 STREAMS stream:BTCUSDT $": '"is_closed":',
    "redis-cli XLEN stream:BTCUSDT": "\n",
    "curl http://localhost:8001/metrics/prometheus": "data_collector_messages_received_total ",
    "curl https://api.binance.com/api/v3/ping": "{}",
    "curl http://localhost:8000/health": '"status":"',
    "curl http://localhost:8001/metrics | jq '.validation_errors'": "0\n",
    "redis-cli -u $REDIS_URL ping": "PONG",
    "redis-cli INFO memory": "used_memory:",
}
"""What people type to look at it and when something is wrong, and what must be among the answer."""


def assert_commands_of_operators_work(running: Demo) -> None:
    """Of those whose programs this machine has."""
    validation = first(r"Validation +(\S+)/suites", running.screen())
    rest = first(r"Exchange +\S+, (\S+)", running.screen())
    places = {
        "http://localhost:8001": running.url,
        "http://localhost:8000": validation,
        "https://api.binance.com": rest,
        "redis-cli ": f"redis-cli -p {urlsplit(running.store.url).port} ",
    }
    environment = {**os.environ, "REDIS_URL": running.store.url, "TERM": "xterm", "COLUMNS": "200", "LINES": "60"}
    for command, expected in MONITORING.items():
        if not all(map(shutil.which, PROGRAM.findall(command))):
            continue
        line = reduce(lambda text, place: text.replace(*place), places.items(), command)
        # `watch` goes on until it is told to end.
        line = f"timeout 3 {line}" if line.startswith("watch") else line
        ran = subprocess.run(
            ["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert expected in ran.stdout, f"{command}\n{ran.stdout}{ran.stderr}"


def test_demo_that_lacks_or_loses_parts_says_so_on_its_screen(tmp_path: Path) -> None:
    (tmp_path / "var" / "demo").mkdir(parents=True)
    folder = EmbeddedPostgres(tmp_path / "var" / "demo" / "postgres", log=get_log()).folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.touch()
    try:
        with demo(tmp_path / "var") as running:
            until(lambda: "Not well: history: " in running.screen(), "a line about it", output=running.screen)
            assert_broken_rule_is_told_and_validation_outlives_a_kill(running)
            ports = msgspec.json.decode((tmp_path / "var" / "demo" / "simulator.json").read_bytes())
            os.kill(ports["pid"], signal.SIGKILL)
            over = "The simulated exchange has ended (killed by signal 9). Nothing comes any more: end the demo"
            until(lambda: over in running.screen(), "the end of the exchange", output=running.screen)
            running.interrupt()

            assert re.search(r"PostgreSQL +embedded \(The folder .* cannot be used for PostgreSQL", running.screen())
    finally:
        folder.unlink()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_answer_of_the_operators_guide_comes(tmp_path: Path) -> None:
    with demo(tmp_path / "var") as running:
        grows(running.store)
        assert_commands_print_something(running, tmp_path)
        running.interrupt()


def assert_commands_print_something(running: Demo, folder: Path) -> None:
    """With them docs/operations.md answers what an operator asks."""
    section = read("docs/operations.md").partition("## Questions that an operator asks")[2].partition("\n## ")[0]
    commands = [
        line
        for block in re.findall(r"<!-- run -->\n```sh\n(.*?)```", section, re.DOTALL)
        for line in block.splitlines()
    ]
    shim = folder / "bin" / "data-collector"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m data_collector "$@"\n')
    shim.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "URL": running.url,
        "REDIS_URL": running.store.url,
    }  # fmt: skip

    assert len(commands) >= 15
    for command in commands:
        ran = subprocess.run(
            ["sh", "-ec", command], env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert (ran.returncode, bool(ran.stdout + ran.stderr)) == (0, True), f"{command}\n{ran.stdout}{ran.stderr}"
        assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_kept_demo_goes_on_with_the_same_market_and_a_plain_one_starts_empty(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    with demo(folder, "--past-days", "1") as running:
        grows(running.store)
        brought = "Candles of the past (1d) have been brought."
        until(lambda: brought in running.screen(), "a past", output=running.screen)

        def candles() -> int:
            """A page without them says why: a busy PostgreSQL that was not read counts as away for seconds."""
            page = get_json(f"{running.url}/klines/{SYMBOL}?interval=1m&limit=1000")
            found = msgspec.convert(page["records"], list[object])
            assert len(found) == 1_000 or page["warnings"], page
            return len(found)

        until(lambda: candles() == 1_000, "candles of the past", output=running.screen)
        position, read = trades_behind(running, None)
        running.interrupt()
    with demo(folder, "--keep") as running:
        tail = running.store.tail_id(SYMBOL)
        assert tail > 0
        until(lambda: running.store.tail_id(SYMBOL) > tail + 20, "newer trades", output=running.screen)
        ids = [int(entry["id"].partition("-")[2]) for entry in running.store.entries(f"trades:{SYMBOL}")]
        assert ids == list(range(ids[0], ids[-1] + 1))
        assert running.store.gaps(SYMBOL, "trade") == []
        position, newer = trades_behind(running, position)
        assert newer[0] == read[-1] + 1
        running.interrupt()
    with demo(folder) as running:
        grows(running.store)
        with pytest.raises(WrongStore, match=r"simulated market \d+, .* simulated market \d+: .* Begin anew"):
            trades_behind(running, position)
        assert running.store.gaps(SYMBOL, "trade") == []
        running.interrupt()


def trades_behind(running: Demo, position: str | None) -> tuple[str, list[int]]:
    """Ids that a reader gets at first, and its position behind them."""
    with Client(running.store.url, api=running.url, database="") as client:
        batch = next(client.live(f"{SYMBOL}:trades", start="earliest", position=position).batches())
        return batch.position, [item.trade_id for item in batch.items if isinstance(item, Trade)]


@pytest.mark.slow
def test_demo_of_several_exchanges_tells_one_market_at_prices_that_differ(tmp_path: Path) -> None:
    exchanges = "binance,coinbase,kraken"
    with demo(tmp_path / "var", "--exchanges", exchanges, intervals="1m") as running:
        until(lambda: running.health()["status"] == "healthy", "health", output=running.screen)
        assert "Collecting     BTCUSDT, ETHUSDT, BNBUSDT, coinbase:BTC-USD" in running.screen()
        (spread,) = re.findall(r"^ +curl '(\S+/spread\S+)'$", running.screen(), re.MULTILINE)

        def apart() -> list[float]:
            rows = msgspec.convert(get_json(spread)["rows"], list[dict[str, object]])
            return [float(str(row["difference_bp"])) for row in rows if not row["stale"]]

        until(lambda: len(apart()) == 3 and any(abs(each) > 0.1 for each in apart()), "differences", output=str)
        assert all(abs(each) < 60 for each in apart()), "they revert"
        trades = {"trades:BTCUSDT", "coinbase:trades:BTC-USD", "kraken:trades:BTC/USD"}
        until(lambda: trades <= set(running.store.keys("*trades:*")), "trades of all", output=running.screen)
        dsn = first(r"psql (postgresql://\S+)", running.screen())
        asked = "select distinct exchange from market_data_trades order by 1"
        until(lambda: rows(dsn, asked) == [(name,) for name in exchanges.split(",")], "rows", output=running.screen)
        started = family(running.process.pid)

        code = running.interrupt()

        assert code in (0, 130)
        until(lambda: not any(map(is_running, started)), "the end of all that it started", output=running.screen)
        assert "Traceback" not in running.screen()


@pytest.mark.parametrize("name", ["demo.lock", "lock"], ids=["demo", "collector"])
@pytest.mark.parametrize("words", [[], ["--keep"]], ids=["anew", "kept"])
def test_second_demo_on_a_folder_touches_nothing_of_the_first(tmp_path: Path, name: str, words: list[str]) -> None:
    """Its market was written over before it was refused, and the first could never be kept again."""
    folder = tmp_path / "var" / "demo"
    held = lock_directory(folder, name)
    market = DemoMarket(start_ms=1_700_000_000_000, ws_port=1, rest_port=2, generation=GENERATION)
    (folder / MARKET).write_bytes(msgspec.json.encode(market))
    before = {path.name for path in folder.iterdir()} | {"demo.lock", "lock"}

    ran = subprocess.run(
        [sys.executable, "-m", "data_collector", "demo", *words], capture_output=True, text=True, timeout=60,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT), "VAR_DIR": str(tmp_path / "var"), "PORT": "0"},
    )  # fmt: skip

    held.release()
    assert ran.returncode == 78
    assert f"The folder {folder} is in use by process {os.getpid()} (" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert msgspec.json.decode((folder / MARKET).read_bytes(), type=DemoMarket) == market
    assert {path.name for path in folder.iterdir()} <= before


def test_demo_that_was_never_run_cannot_be_kept(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VAR_DIR": str(tmp_path / "var"), "PORT": "0"}

    ran = subprocess.run(
        [sys.executable, "-m", "data_collector", "demo", "--keep"], env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip

    assert ran.returncode == 78
    assert "leave out --keep" in ran.stderr
    assert "Traceback" not in ran.stderr
