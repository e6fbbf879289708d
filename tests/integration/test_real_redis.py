"""Redis itself, with everything that `REDIS_URL` promises: passwords, rights, databases, sockets, TLS, restarts."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from data_collector.api.quarantine import newest_refusals
from data_collector.api.store_reading import StoreReading
from data_collector.cli.doctor.check_store import check_store
from data_collector.model.channels import CHANNELS
from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.store_url import parse_store_url
from data_collector.settings import load_settings
from data_collector.simulator import FrameFault
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.functions import with_rights
from data_collector.sinks.redis.quarantine import QuarantineStreams, Release
from tests.contract.stores import redis_sink
from tests.integration.exactness import assert_closed_klines_exact, assert_latest_is_newest
from tests.integration.redis_server import Authority, RedisServer, install_redis, redis_server
from tests.integration.scene import NO_HOLES, Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_redis")]

NASTY = "p@ss:w/o#r%d?"
ESCAPED = quote(NASTY, safe="")
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
USER_PASSWORD = "right-and-proper"  # the user's of the documented rights

# What Store asks for while a scene is played, so that nobody can tell whether the collector asked too.
READERS_COMMANDS = {"get", "xrange", "xrevrange"}


@pytest.fixture(scope="session")
def _redis() -> None:
    reason = install_redis()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Open to everybody, database 0."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one that signs servers' certificates."""
    return Authority.made(tmp_path_factory.mktemp("tls") / "authority")


def store_at(url: str, *, given: str | None = None) -> Store:
    """Read by redis-py at `url`; the collector is given another text of the same address, if any."""
    store = Store(url)
    store.url = given or url
    return store


async def play_exactly(store: Store, folder: Path) -> None:
    """Collect for a while and hold what is stored against the exchange's tape."""
    try:
        async with playing(store, folder) as scene:
            await scene.subscribed()
            await scene.trade(20_000)
            await scene.simulator.burst("BTCUSDT", 1_000)
            for _ in range(5):
                await scene.klines_closed()
            assert_exact(scene)
            scene.assert_counts_add_up()
            assert scene.status.condition == "healthy", scene.status.reasons
    finally:
        store.close()


def assert_exact(scene: Scene) -> None:
    """Every trade and closed kline once, in order, digits intact; no open update twice."""
    assert scene.assert_trades_exact() == NO_HOLES
    for symbol in scene.symbols:
        for interval in ("1m", "5m"):
            closed = scene.simulator.closed_klines(symbol, interval)
            assert_closed_klines_exact(scene.store, symbol, interval, closed)
        updates = [entry["fields"]["data"] for entry in scene.store.entries(f"stream:{symbol}")]
        assert len(updates) == len(set(updates))
        assert_latest_is_newest(scene.store, symbol, scene.simulator.tape(symbol))


async def refusal_of(url: str, folder: Path, *, channels: str = "kline,trade,ticker") -> str:
    """The sentence with which the collector refuses to start."""
    unread = store_at("redis://127.0.0.1:1", given=url)
    with pytest.raises(Misconfigured) as refusal:
        async with playing(unread, folder, channels=channels):
            pass
    return str(refusal.value)


async def test_password_of_any_characters_is_understood_as_it_is_written(folder: Path) -> None:
    with redis_server("--requirepass", NASTY, login=f":{ESCAPED}@") as server:
        given = f"redis://:{NASTY}@{server.place}/0"
        await play_exactly(store_at(f"redis://:{ESCAPED}@{server.place}/0", given=given), folder)


async def test_unix_socket_with_password_and_database(folder: Path) -> None:
    with redis_server("--requirepass", NASTY, login=f":{ESCAPED}@") as server:
        given = f"unix://:{NASTY}@{server.socket}?db=3"
        await play_exactly(store_at(f"unix://:{ESCAPED}@{server.socket}?db=3", given=given), folder)

        assert databases(server) == {"db3"}


async def test_database_number_takes_everything(server: RedisServer, folder: Path) -> None:
    await play_exactly(store_at(f"redis://{server.place}/3"), folder)

    assert databases(server) == {"db3"}


async def test_server_that_wants_a_password_is_refused_with_a_sentence(folder: Path) -> None:
    with redis_server("--requirepass", NASTY, login=f":{ESCAPED}@") as server:
        without = [await refusal_of(f"redis://{server.place}/{database}", folder) for database in (0, 3)]
        wrong = await refusal_of(f"redis://:c4n4ry#/@{server.place}", folder)

    for sentence in without:
        assert server.place in sentence
        assert "NOAUTH" in sentence
        assert "REDIS_URL" in sentence
    assert "WRONGPASS" in wrong
    assert "REDIS_URL" in wrong
    assert "c4n4ry" not in wrong


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_server_that_throws_keys_away_is_refused_with_the_cure(folder: Path, policy: str) -> None:
    with redis_server("--maxmemory", "8gb", "--maxmemory-policy", policy) as server:
        sentence = await refusal_of(f"redis://{server.place}", folder)

    assert f"maxmemory-policy {policy}" in sentence
    assert "CONFIG SET maxmemory-policy noeviction" in sentence


async def test_server_too_small_for_the_settings_is_refused_with_both_sizes(folder: Path) -> None:
    with redis_server("--maxmemory", "30mb") as server:
        sentence = await refusal_of(f"redis://{server.place}", folder)

    assert "30 MiB (maxmemory)" in sentence
    assert "TRADES_MAXLEN" in sentence


async def test_smaller_settings_fit_a_small_server(folder: Path) -> None:
    with redis_server("--maxmemory", "30mb") as server:
        store = store_at(f"redis://{server.place}")
        async with playing(
            store, folder, trades_maxlen="10000", stream_maxlen="1000", kline_ttl_seconds="3600"
        ) as scene:
            await scene.subscribed()
            await scene.trade()

            assert scene.assert_trades_exact() == NO_HOLES
        store.close()


async def test_refused_server_is_left_as_it_was(folder: Path) -> None:
    with redis_server("--maxmemory", "30mb") as server:
        await refusal_of(f"redis://{server.place}", folder)

        assert server.administrator.keys("*") == []


async def test_replica_is_waited_for_and_not_taken_for_another_exchanges() -> None:
    with redis_server("--replicaof", "127.0.0.1 1") as server:
        sink = redis_sink(parse_store_url(f"redis://{server.place}"))

        with pytest.raises(SinkUnavailable, match="READONLY"):
            await sink.open()


@pytest.mark.parametrize("names", ["IP:127.0.0.1", "DNS:localhost"])
async def test_tls_with_an_authority_of_ones_own(authority: Authority, folder: Path, names: str) -> None:
    host = names.partition(":")[2]
    with redis_server(*authority.flags(names)) as server:
        await play_exactly(
            store_at(f"rediss://{host}:{server.port}/0?ssl_ca_certs={quote(str(authority.certificate))}"), folder
        )


async def test_tls_of_an_authority_nobody_named_is_refused(authority: Authority, folder: Path, tmp_path: Path) -> None:
    stranger = Authority.made(tmp_path / "stranger")
    with redis_server(*authority.flags("IP:127.0.0.1")) as server:
        url = f"rediss://{server.place}"
        sentences = [await refusal_of(url, folder)]
        sentences.append(await refusal_of(f"{url}?ssl_ca_certs={stranger.certificate}", folder))

    for sentence in sentences:
        assert f"The store at {server.place} shows a certificate that cannot be trusted" in sentence
        assert "ssl_ca_certs=FILE in REDIS_URL" in sentence


async def test_tls_for_another_host_is_refused(authority: Authority, folder: Path) -> None:
    with redis_server(*authority.flags("DNS:elsewhere.example")) as server:
        trusted = f"?ssl_ca_certs={authority.certificate}"
        by_number = await refusal_of(f"rediss://{server.place}{trusted}", folder)
        by_name = await refusal_of(f"rediss://localhost:{server.port}{trusted}", folder)

    assert "IP address mismatch" in by_number
    assert "Hostname mismatch" in by_name


async def test_tls_for_another_host_is_told_its_own_cure(authority: Authority, folder: Path) -> None:
    with redis_server(*authority.flags("DNS:elsewhere.example")) as server:
        sentence = await refusal_of(f"rediss://{server.place}?ssl_ca_certs={authority.certificate}", folder)

    assert "Name its authority" not in sentence


async def test_tls_that_does_not_fit_the_server_is_told_with_its_place(
    server: RedisServer, authority: Authority
) -> None:
    with redis_server(*authority.flags("IP:127.0.0.1")) as tls_server:
        for url in (f"rediss://{server.place}", f"redis://{tls_server.place}"):
            address = parse_store_url(url)
            with pytest.raises(SinkUnavailable, match=re.escape(f"The store at {address.place} ")):
                await StoreConnection.connect(address)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_server_that_restarts_while_collecting_doubles_and_loses_nothing(
    folder: Path, how: signal.Signals
) -> None:
    with redis_server("--appendonly", "yes") as server:
        store = store_at(f"redis://{server.place}")
        async with playing(store, folder) as scene:
            await scene.subscribed()
            for _ in range(3):
                await scene.klines_closed()
                # Not waited for: records are on their way when the server goes.
                scene.simulator.advance(5_000)
                server.end(how)
                scene.simulator.advance(10_000)
                await until_async(lambda: scene.status.condition != "healthy", "health that tells of it")
                server.start()
                await scene.trade()
            await scene.klines_closed()
            await scene.klines_closed()

            assert_exact(scene)
            assert scene.counted("store_reconnects_total") >= 3
            await until_async(lambda: scene.status.condition == "healthy", "health")
        store.close()


SELDOM_USED = {"xinfo|groups", "xpending", "hdel"}
"""Every few seconds, where a reader has a consumer group, and of tickers that tell no price."""


async def test_documented_rights_are_enough_and_all_needed(server: RedisServer, folder: Path) -> None:
    rights = documented_rights()
    grant(server, rights)
    url = f"redis://collector:{USER_PASSWORD}@{server.place}/3"
    store = store_at(f"redis://{server.place}/3", given=url)

    async with playing(store, folder, channels=",".join(CHANNELS)) as scene:
        await play_everything(scene)
        used = called(server) - READERS_COMMANDS
        server.administrator.ask("CONFIG", "RESETSTAT")
        page = await read_refusals(url)
        moved = await replay_refusals(url)
        settings = load_settings({"REDIS_URL": url, "BINANCE_REST_URL": scene.simulator.rest_url}, None)
        findings = await check_store([settings])
        used |= called(server)
    kinds = {key.partition(":")[0] for key in store.keys("*")}
    store.close()

    assert page > 0
    assert moved > 0
    assert {finding.state for finding in findings} == {"ok"}
    assert server.administrator.ask("ACL", "LOG") == []
    assert {right[1:] for right in rights if right.startswith("+")} - SELDOM_USED <= used
    assert {right[1:].partition(":")[0] for right in rights if right.startswith("~")} == kinds


@pytest.mark.parametrize("missing", ["+fcall", "+set", "+xadd", "+hset", "+xsetid", "~trades:*", "~late:*"])
async def test_missing_right_is_told_at_the_start(server: RedisServer, folder: Path, missing: str) -> None:
    grant(server, [right for right in documented_rights() if right != missing])

    sentence = await refusal_of(f"redis://collector:{USER_PASSWORD}@{server.place}/3", folder)

    assert "NOPERM" in sentence or "lacks rights" in sentence
    assert USER_PASSWORD not in sentence


@pytest.mark.parametrize("channel", with_rights([*CHANNELS]))
async def test_channel_needs_its_rights_where_it_is_collected(server: RedisServer, folder: Path, channel: str) -> None:
    grant(server, [right for right in documented_rights() if not right.startswith(f"~{channel}")])
    given = f"redis://collector:{USER_PASSWORD}@{server.place}"

    await play_exactly(store_at(f"redis://{server.place}/4", given=f"{given}/4"), folder / "without")
    sentence = await refusal_of(f"{given}/5", folder / "with", channels=f"trade,{channel}")

    assert "lacks rights" in sentence
    assert f"HSET {channel}:*" in sentence


@pytest.mark.parametrize("missing", ["+info", "+get", "+function|load", "+select", "~collector:*"])
async def test_missing_right_of_the_start_is_named(server: RedisServer, folder: Path, missing: str) -> None:
    grant(server, [right for right in documented_rights() if right != missing])

    sentence = await refusal_of(f"redis://collector:{USER_PASSWORD}@{server.place}/3", folder)

    assert "NOPERM" in sentence
    assert missing.startswith("~") or missing[1:] in sentence.lower()
    assert USER_PASSWORD not in sentence


def documented_rights() -> list[str]:
    """The words of the ACL SETUSER command in docs/operations.md after the password."""
    section = OPERATIONS.read_text().partition("### Rights that the store's user needs")[2]
    command = section.partition("```")[2].partition("```")[0].partition("\n")[2]
    words = shlex.split(command.replace("\\\n", " "))
    position = words.index("SETUSER")
    assert words[position + 1 : position + 4] == ["collector", "on", ">PASSWORD"]
    return words[position + 4 :]


def grant(server: RedisServer, rights: list[str]) -> None:
    """Make the user `collector` with these rights and no others."""
    server.administrator.ask("ACL", "SETUSER", "collector", "reset", "on", f">{USER_PASSWORD}", *rights)


async def play_everything(scene: Scene) -> None:
    """Let every command of every function be used: records, holes, refusals that nothing follows, late ones."""
    await scene.subscribed()
    await scene.trade()
    faults = scene.simulator.faults
    faults.add(FrameFault(kind="drop", stream="btcusdt@trade", count=2))
    await scene.trade()
    # Nothing follows these, so the tail is moved over them.
    faults.add(FrameFault(kind="change", stream="ethusdt@trade", set={"p": "0.00000000"}))
    scene.simulator.advance(5_000)
    await until_async(lambda: scene.store.gaps("ETHUSDT", "trade"), "the refused trades' gap")
    faults.clear()
    revised = {"k.V": "0.00000000", "k.Q": "0.00000000"}
    closing = '"x":true'
    faults.add(
        FrameFault(
            kind="conflict", stream="ethusdt@kline_1m", contains=closing, count=1, set=dict(revised), add={"E": 1}
        )
    )
    await scene.klines_closed()
    await until_async(lambda: scene.store.length("late:ETHUSDT") == 1, "the revision")
    holes = scene.assert_trades_exact()
    assert holes["BTCUSDT"] == []
    assert {reason for *_, reason in holes["ETHUSDT"]} == {"refused"}
    assert_closed_klines_exact(scene.store, "BTCUSDT", "1m", scene.simulator.closed_klines("BTCUSDT", "1m"))


async def read_refusals(url: str) -> int:
    """What `/validation/errors` shows."""
    store = StoreReading()
    try:
        page = await newest_refusals(store, url, StoreKeys(), ["BTCUSDT", "ETHUSDT", "unknown"], 50)
    finally:
        store.close()
    return page.count


async def replay_refusals(url: str) -> int:
    """What `quarantine replay` does when all of a symbol may pass."""
    connection = await StoreConnection.connect(parse_store_url(url))
    streams = QuarantineStreams(connection, StoreKeys())
    await streams.prepare()
    outcomes: list[str] = []
    async for entries in streams.pages("ETHUSDT"):
        outcomes += await streams.release("ETHUSDT", [Release(entry.id, (), None) for entry in entries])
    connection.close()
    return outcomes.count("late")


def called(server: RedisServer) -> set[str]:
    """Commands that the server has carried out, as its rights name them."""
    statistics = server.administrator.ask("INFO", "commandstats")
    assert isinstance(statistics, dict)
    return {str(name).removeprefix("cmdstat_") for name in statistics}


def databases(server: RedisServer) -> set[str]:
    """Those that hold anything."""
    keyspace = server.administrator.ask("INFO", "keyspace")
    assert isinstance(keyspace, dict)
    return {str(name) for name in keyspace}
