"""Everything that takes part in a soak run, started and ended together."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec import json as msgspec_json

from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.venues.discovery import find_venue
from tests.conformance.worlds import symbol_at
from tests.integration.processes import ROOT, Exchange, exchange
from tests.proxy import Proxy
from tests.soak.collectors import OwnCollector
from tests.soak.feeds import Collector, Feed, Oracles
from tests.soak.findings import Findings
from tests.soak.gap_oracle import GapOracle
from tests.soak.kline_oracle import KlineOracle
from tests.soak.market import Market
from tests.soak.plan import INTERVALS, Plan
from tests.soak.servers import Pair
from tests.soak.service import ServedCollector, Service
from tests.soak.trade_oracle import TradeOracle
from tests.soak.truth import Truth

HISTORY_TRADES = 200
"""From before the start; nobody collects them."""

DENSE_HISTORY_TRADES = 20_000
"""Some in every minute: where an exchange leaves quiet candles out, each stretch of them costs a search."""

KEPT_TRADES = 1_000_000
"""Of a symbol, where REST still has them: the exchange itself never forgets."""

MOMENT_MAX = 500
"""Half of a page of trades."""

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
    feeds: list[Feed]
    """One for each exchange."""
    findings: Findings
    service: Service | None = None
    """Where it holds the collectors of several."""
    read: ReaderReport = field(default_factory=ReaderReport)

    @property
    def collectors(self) -> list[Collector]:
        """Of all exchanges."""
        return [collector for feed in self.feeds for collector in feed.collectors]

    @property
    def oracles(self) -> list[Oracles]:
        """Of all symbols of all exchanges."""
        return [oracles for feed in self.feeds for oracles in feed.oracles]

    @property
    def trades(self) -> list[TradeOracle]:
        """In the same order."""
        return [each.trades for each in self.oracles]

    @property
    def klines(self) -> list[KlineOracle]:
        """Of all intervals."""
        return [oracle for each in self.oracles for oracle in each.klines]

    @property
    def burst_max(self) -> int:
        """Trades of one moment: where REST is asked by time, those beyond a page's end cannot be asked for."""
        return MOMENT_MAX if self.plan.is_one_service else 1_000_000

    def feed(self, random: Random) -> Feed:
        """One that is struck."""
        return self.feeds[0] if len(self.feeds) == 1 else random.choice(self.feeds)

    async def act_on(self, feed: Feed, action: str, **arguments: object) -> None:
        """One of the simulator's actions on all connections of an exchange."""
        for connection in (await self.market.state()).connections:
            if connection.exchange == feed.venue.name:
                await self.market.act(action, connection=connection.number, **arguments)


@asynccontextmanager
async def staged(plan: Plan, folder: Path) -> AsyncIterator[Scene]:
    """A scene in which everything runs and nothing has gone wrong yet."""
    rate = plan.rate / plan.symbols / plan.speed
    options = [
        *(word for name in plan.exchanges for word in ("--exchange", name)),
        "--seed", str(plan.seed), "--speed", f"{plan.speed:g}", "--trades-per-s", f"{rate:g}",
        "--history-trades", str(DENSE_HISTORY_TRADES if plan.is_one_service else HISTORY_TRADES),
        "--kept-trades", str(KEPT_TRADES),
        "--early-every", str(0 if plan.is_one_service else EARLY_EVERY), *([] if plan.limits else ["--no-limits"]),
    ]  # fmt: skip
    with exchange(folder / "exchange", *options, symbols=",".join(plan.names)) as told:
        ports: dict[str, str] = json.loads((folder / "exchange" / "ports.json").read_text(encoding="utf-8"))
        pair, sockets = Pair(plan.server, folder), {name: _way_to(ports[f"{name}_ws_url"]) for name in plan.exchanges}
        async with Market(told.rest_url) as market:
            try:
                await pair.start()
                for socket in sockets.values():
                    await socket.start()
                scene = _assembled(plan, folder, pair, market, sockets, ports)
                # A reader of its own would meet what strangers write.
                async with _collecting(scene), nullcontext() if plan.adversary else _reading(scene):
                    yield scene
            finally:
                for socket in sockets.values():
                    socket.stop()
                pair.stop()


def _way_to(ws_url: str) -> Proxy:
    port = urlsplit(ws_url).port
    assert port is not None, "the simulator tells its ports"
    return Proxy(port)


def _assembled(
    plan: Plan, folder: Path, pair: Pair, market: Market, sockets: dict[str, Proxy], ports: dict[str, str]
) -> Scene:
    settings = {
        "intervals": ",".join(INTERVALS),
        "redis_url": f"redis://127.0.0.1:{pair.door.port}/0",
        "trades_maxlen": str(plan.trades_maxlen),
        "stream_maxlen": str(plan.stream_maxlen),
    }
    if plan.adversary:
        # What was deleted, by a stranger or on advice, is filled from where it began.
        settings["catch_up_seconds"] = "14400"
    findings = Findings()
    feeds = [_feed(plan, name, socket, findings) for name, socket in sockets.items()]
    first = feeds[0]
    seen = Exchange(f"ws://127.0.0.1:{first.socket.port}", ports["rest_url"], urllib.request.build_opener())
    service = None
    if plan.is_one_service:
        for feed in feeds:
            name = feed.venue.name
            settings[f"{name}_ws_url"] = f"ws://127.0.0.1:{feed.socket.port}"
            settings[f"{name}_rest_url"] = ports[f"{name}_rest_url"]
            settings["symbols" if name == FIRST_EXCHANGE else f"{name}_symbols"] = ",".join(feed.symbols)
        service = Service(folder / "service", seen, exchanges=",".join(plan.exchanges), **settings)
        for feed in feeds:
            feed.collectors.append(ServedCollector(service, feed.venue))
    else:
        settings["symbols"] = ",".join(first.symbols)
        for number in range(1, plan.collectors + 1):
            first.collectors.append(OwnCollector(folder / f"collector-{number}", seen, plant=plan.plant, **settings))
    return Scene(plan, folder, pair, market, feeds, findings, service)


def _feed(plan: Plan, name: str, socket: Proxy, findings: Findings) -> Feed:
    venue = find_venue(name)
    feed = Feed(venue, tuple(symbol_at(venue, market) for market in plan.names), socket, [], [])
    for symbol in feed.symbols:
        trades = TradeOracle(Truth(symbol, venue), findings)
        klines = [KlineOracle(trades.truth, interval, findings) for interval in INTERVALS]
        feed.oracles.append(Oracles(trades, klines, GapOracle(trades, klines, findings)))
    return feed


@asynccontextmanager
async def _collecting(scene: Scene) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        watches = []
        try:
            if scene.service is not None:
                watches.append(tasks.create_task(scene.service.watch()))
            for collector in scene.collectors:
                await collector.start()
                watches.append(tasks.create_task(collector.watch()))
            yield
        finally:
            for watch in watches:
                watch.cancel()
            for collector in scene.collectors:
                collector.go_on()
            if scene.service is not None:
                await scene.service.terminate()
            else:
                await asyncio.gather(*(collector.terminate() for collector in scene.collectors))


@asynccontextmanager
async def _reading(scene: Scene) -> AsyncIterator[None]:
    report = scene.folder / "reader.json"
    command = [
        sys.executable, "-m", "tests.soak.reader", "--port", str(scene.pair.door.port), "--keys",
        ",".join(oracle.key for oracle in scene.trades), "--report", str(report),
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
