"""Everything that takes part in a soak run, started and ended together."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec import json as msgspec_json

from tests.integration.processes import ROOT, Exchange, exchange
from tests.proxy import Proxy
from tests.soak.collectors import Collector
from tests.soak.findings import Findings
from tests.soak.gap_oracle import GapOracle
from tests.soak.kline_oracle import KlineOracle
from tests.soak.market import Market
from tests.soak.plan import INTERVALS, Plan
from tests.soak.servers import Pair
from tests.soak.trade_oracle import TradeOracle
from tests.soak.truth import Truth

HISTORY_TRADES = 200
"""From before the start; nobody collects them."""

KEPT_TRADES = 1_000_000
"""Of a symbol, where REST still has them: the exchange itself never forgets."""

EARLY_EVERY = 997
"""Each so many-th trade is told with an earlier time than the one before: times of Binance go back too."""


class ReaderReport(Struct):
    """What `tests.soak.reader` writes."""

    entries: int = 0
    again: int = 0
    reconnects: int = 0
    faults: list[str] = []


@dataclass
class Scene:
    """Handed to every fault."""

    plan: Plan
    folder: Path
    pair: Pair
    market: Market
    socket: Proxy
    """Between the collectors and the streams of the exchange."""
    collectors: list[Collector]
    findings: Findings
    trades: dict[str, TradeOracle]
    klines: dict[str, list[KlineOracle]]
    gaps: dict[str, GapOracle]
    read: ReaderReport = field(default_factory=ReaderReport)


@asynccontextmanager
async def staged(plan: Plan, folder: Path) -> AsyncIterator[Scene]:
    """A scene in which everything runs and nothing has gone wrong yet."""
    rate = plan.rate / plan.symbols / plan.speed
    options = [
        "--seed", str(plan.seed), "--speed", f"{plan.speed:g}", "--trades-per-s", f"{rate:g}",
        "--history-trades", str(HISTORY_TRADES), "--kept-trades", str(KEPT_TRADES), "--early-every", str(EARLY_EVERY),
        *([] if plan.limits else ["--no-limits"]),
    ]  # fmt: skip
    with exchange(folder / "exchange", *options, symbols=",".join(plan.names)) as told:
        port = urlsplit(told.ws_url).port
        assert port is not None, "the simulator tells its ports"
        pair, socket = Pair(plan.server, folder), Proxy(port)
        async with Market(told.rest_url) as market:
            try:
                await pair.start()
                await socket.start()
                scene = _assembled(plan, folder, pair, market, socket, told.rest_url)
                async with _collecting(scene), _reading(scene):
                    yield scene
            finally:
                socket.stop()
                pair.stop()


def _assembled(plan: Plan, folder: Path, pair: Pair, market: Market, socket: Proxy, rest_url: str) -> Scene:
    seen = Exchange(f"ws://127.0.0.1:{socket.port}", rest_url, urllib.request.build_opener())
    settings = {
        "symbols": ",".join(plan.names),
        "intervals": ",".join(INTERVALS),
        "redis_url": f"redis://127.0.0.1:{pair.door.port}/0",
        "trades_maxlen": str(plan.trades_maxlen),
        "stream_maxlen": str(plan.stream_maxlen),
    }
    findings = Findings()
    trades = {symbol: TradeOracle(Truth(symbol), findings) for symbol in plan.names}
    klines = {symbol: [KlineOracle(symbol, interval, findings) for interval in INTERVALS] for symbol in plan.names}
    return Scene(
        plan, folder, pair, market, socket,
        [Collector(folder / f"collector-{number}", seen, plant=plan.plant, **settings)
         for number in range(1, plan.collectors + 1)],
        findings, trades, klines,
        {symbol: GapOracle(trades[symbol], klines[symbol], findings) for symbol in plan.names},
    )  # fmt: skip


@asynccontextmanager
async def _collecting(scene: Scene) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        watches = []
        try:
            for collector in scene.collectors:
                await collector.start()
                watches.append(tasks.create_task(collector.watch()))
            yield
        finally:
            for watch in watches:
                watch.cancel()
            for collector in scene.collectors:
                collector.go_on()
                await collector.terminate()


@asynccontextmanager
async def _reading(scene: Scene) -> AsyncIterator[None]:
    report = scene.folder / "reader.json"
    command = [
        sys.executable, "-m", "tests.soak.reader", "--port", str(scene.pair.door.port), "--symbols",
        ",".join(scene.plan.names), "--report", str(report),
    ]  # fmt: skip
    process = _started(command, scene.folder / "reader.log")
    try:
        yield
    finally:
        process.terminate()
        code = await asyncio.to_thread(process.wait, 30)
        if code == 0 and report.exists():
            scene.read = msgspec_json.decode(report.read_bytes(), type=ReaderReport)
        else:
            told = (scene.folder / "reader.log").read_text()[-500:]
            scene.read = ReaderReport(faults=[f"the reader ended with {code}: {json.dumps(told)}"])


def _started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as opened:
        return subprocess.Popen(command, cwd=ROOT, stdout=opened, stderr=opened)
