"""A store in cluster mode is refused at once, by name, by whoever opens it, and by its readers."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio

from data_collector.cli.doctor.check_store import check_store
from data_collector.client import AsyncClient, Client, WrongStore
from data_collector.embedded.binary import server_binary
from data_collector.embedded.peer import free_port
from data_collector.model.errors import Misconfigured
from data_collector.model.store_url import parse_store_url
from data_collector.settings import load_settings
from data_collector.sinks.redis.connection import StoreConnection
from tests.integration.processes import Exchange, collecting
from tests.integration.store_reader import Store
from tests.integration.waiting import until


@pytest.fixture(scope="module", params=["all slots", "no slots"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a node: one that has the whole cluster to itself, and one whose keys are elsewhere."""
    folder, port = tmp_path_factory.mktemp("cluster"), free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), "--cluster-enabled", "yes"]
    # Its bus is 10,000 above its port unless told, and that may be no port at all.
    process = subprocess.Popen(
        [server_binary(), *words, "--cluster-port", str(free_port())], stdout=subprocess.DEVNULL
    )  # fmt: skip
    url = f"redis://127.0.0.1:{port}/0"
    node = Store(url)
    try:
        until(node.answers, "an answer of the store")
        if request.param == "all slots":
            node.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            until(lambda: "cluster_state:ok" in str(node.ask("CLUSTER", "INFO")), "a cluster")
        yield url
    finally:
        node.close()
        process.terminate()
        process.wait(20)


def test_start_ends_with_78_and_the_reason(cluster: str, tmp_path: Path) -> None:
    exchange = Exchange("ws://127.0.0.1:9", "http://127.0.0.1:9", urllib.request.build_opener())
    with collecting(tmp_path / "var", exchange, redis_url=cluster) as collector:
        code = collector.wait()

    assert code == 78
    assert "cluster mode" in collector.output
    assert "Traceback" not in collector.output


async def test_doctor_and_every_other_reader_tell_it(cluster: str) -> None:
    (found,) = await check_store([load_settings({"REDIS_URL": cluster}, None)])
    with pytest.raises(Misconfigured, match="cluster-enabled no"):
        await StoreConnection.connect(parse_store_url(cluster.removesuffix("0") + "1"))

    assert found.state == "fail"
    assert "cluster mode" in found.seen


async def test_client_tells_it(cluster: str) -> None:
    """Of an address and of a client of one node: told at once, and not waited for."""
    with Client(cluster, api="", database="") as client, redis.from_url(cluster) as given:
        other = Client(given, api="", database="")
        for ask in (
            lambda: client.latest("BTCUSDT"),
            lambda: client.live("BTCUSDT:1m"),
            lambda: other.latest("BTCUSDT"),
        ):
            with pytest.raises(WrongStore, match=r"cluster mode, which no collector writes to .* cluster-enabled no"):
                ask()
    async with AsyncClient(cluster, api="", database="") as asking:
        with pytest.raises(WrongStore, match="cluster mode"):
            await asking.live("BTCUSDT:trades")


def test_client_of_a_cluster_is_refused(cluster: str) -> None:
    """It has no socket before it is asked anything, where it is one of asyncio."""
    given = redis.asyncio.RedisCluster.from_url(cluster)
    with pytest.raises(WrongStore, match="cluster mode"):
        AsyncClient(given, api="", database="")
    if Store(cluster).ask("CLUSTER", "SLOTS"):
        with redis.RedisCluster.from_url(cluster) as blocking, pytest.raises(WrongStore, match="cluster mode"):
            Client(blocking, api="", database="")
