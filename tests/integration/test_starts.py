"""Starts that cannot work end with one sentence and an exit code; those that can, wait and tell why."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector import BinanceDataCollector
from data_collector.embedded.binary import server_binary
from data_collector.embedded.peer import free_port
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.model.errors import Misconfigured
from data_collector.observe.logs import get_log
from data_collector.service.watches.statistics import NOT_CHECKED
from tests.integration.exactness import assert_trades_exact
from tests.integration.processes import (
    COLLECT,
    CollectorProcess,
    Ended,
    Exchange,
    collecting,
    end,
    end_embedded_server,
    exchange,
    run_to_end,
    variables,
)
from tests.integration.store_reader import Store
from tests.integration.waiting import until, until_async

MISCONFIGURED, UNAVAILABLE = 78, 69

NOWHERE = Exchange("ws://127.0.0.1:1", "http://127.0.0.1:1", urllib.request.build_opener())


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for all starts."""
    with exchange(tmp_path_factory.mktemp("exchange"), "--speed", "5") as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """VAR_DIR; no server is left in it."""
    folder = tmp_path / "var"
    folder.mkdir()
    yield folder
    end_embedded_server(folder)


def start_and_end(folder: Path, market: Exchange, **settings: str) -> Ended:
    """A start that is expected to end by itself."""
    return run_to_end(COLLECT, folder, variables(folder, market, **settings))


async def refusal(folder: Path, market: Exchange, **settings: str) -> str:
    """The sentence with which a start in this process is refused; it would end a process with its exit code."""
    collector = collector_inside(folder, market, **settings)
    with pytest.raises(Misconfigured) as refused:
        await collector.start()
    assert refused.value.exit_code == MISCONFIGURED
    return str(refused.value)


def collector_inside(folder: Path, market: Exchange, **settings: str) -> BinanceDataCollector:
    """A collector in this process."""
    addresses = {"binance_ws_url": market.ws_url, "binance_rest_url": market.rest_url, "var_dir": str(folder)}
    return BinanceDataCollector(**{"symbols": "BTCUSDT", **addresses, **settings})


def assert_refused(ended: Ended, *words: str, code: int = MISCONFIGURED) -> None:
    """One sentence that says what is wrong; no traceback."""
    assert ended.code == code, ended.output
    assert "Traceback" not in ended.output
    told = [line for line in ended.output.splitlines() if not line.startswith("{")]
    for word in words:
        assert word in "\n".join(told)
    assert len(told) <= 3


def test_unknown_symbols_are_told_all_at_once(market: Exchange, folder: Path, store: Store) -> None:
    ended = start_and_end(folder, market, symbols="BTCUSDT,BTCUSD,NOPEUSDT", redis_url=store.url)

    assert_refused(ended, "BTCUSD (did you mean BTCUSDT?)", "NOPEUSDT", "SYMBOLS")


def test_all_faults_of_the_settings_are_told_in_one_message(market: Exchange, folder: Path) -> None:
    ended = start_and_end(
        folder, market, channels="trade,depth", redis_url="http://nowhere", stream_maxlen="few", host="0.0.0.0"
    )

    assert ended.code == MISCONFIGURED
    assert "Traceback" not in ended.output
    for name in ("CHANNELS", "REDIS_URL", "STREAM_MAXLEN", "HOST"):
        assert name in ended.output


def test_unknown_interval_is_told_with_the_known_ones(market: Exchange, folder: Path) -> None:
    with pytest.raises(Misconfigured, match=r"INTERVALS: .*10m, 3h.*15m.*case matters"):
        collector_inside(folder, market, intervals="1m,10m,3h")


def test_slip_in_an_interval_is_told_with_the_other_faults(market: Exchange, folder: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        collector_inside(folder, market, intervals="1m,7m", port="99999")

    assert "'7m'" in str(refused.value)
    assert "PORT" in str(refused.value)


def test_interval_in_the_wrong_case_is_told(market: Exchange, folder: Path) -> None:
    with pytest.raises(Misconfigured, match=r"INTERVALS.*'1H'.*1h"):
        collector_inside(folder, market, intervals="1m,1H")


def test_unreachable_exchange_is_retried_and_told(folder: Path, store: Store) -> None:
    with collecting(folder, NOWHERE, redis_url=store.url) as collector:
        until(lambda: collector.status().condition == "degraded", "degraded health", output=collector.told)
        status = collector.status()

        assert status.collector_running
        assert any("connections to the exchange are down" in reason for reason in status.reasons)
        assert any("whether it has BTCUSDT" in reason for reason in status.reasons)
        assert status.uncollected == dict.fromkeys(status.symbols, NOT_CHECKED)
        assert not status.ready
        assert "Traceback" not in collector.output
        assert collector.terminate() == 0


@pytest.mark.slow
def test_exchange_name_that_does_not_resolve_is_told(folder: Path, store: Store) -> None:
    missing = Exchange("wss://exchange.invalid:9443", "https://exchange.invalid", urllib.request.build_opener())
    with collecting(folder, missing, redis_url=store.url) as collector:
        until(lambda: any("exchange.invalid" in r for r in collector.status().reasons), "why", output=collector.told)

        assert collector.status().condition == "degraded"
        assert "Traceback" not in collector.output


@pytest.mark.slow
def test_exchange_that_appears_later_is_collected(tmp_path: Path, folder: Path, store: Store) -> None:
    ws_port, rest_port = free_port(), free_port()
    opener = urllib.request.build_opener()
    later = Exchange(f"ws://127.0.0.1:{ws_port}", f"http://127.0.0.1:{rest_port}", opener)
    with collecting(folder, later, redis_url=store.url) as collector:
        until(lambda: collector.status().condition == "degraded", "degraded health", output=collector.told)

        with exchange(tmp_path / "exchange", "--ws-port", str(ws_port), "--rest-port", str(rest_port)) as market:
            until(lambda: store.tail_id("BTCUSDT") > 0, "trades", output=collector.told)
            market.act("pause")
            until(lambda: store.tail_id("BTCUSDT") == market.last_id("BTCUSDT"), "the newest trade")
            assert assert_trades_exact(store, "BTCUSDT", market.trades("BTCUSDT")) == []


@pytest.mark.slow
def test_store_that_is_not_there_is_waited_for_and_told(market: Exchange, folder: Path) -> None:
    port = free_port()
    with collecting(folder, market, redis_url=f"redis://user:s3cret@127.0.0.1:{port}/0") as collector:
        until(lambda: any(str(port) in reason for reason in collector.status().reasons), "why", output=collector.told)
        status = collector.status()

        assert status.condition == "unhealthy"
        assert not status.collector_running
        assert "s3cret" not in collector.output
        assert all("s3cret" not in reason for reason in status.reasons)


@pytest.mark.slow
def test_store_that_comes_in_time_is_used(market: Exchange, folder: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with collecting(folder, market, redis_url=url) as collector:
        until(lambda: "store_awaited" in collector.output, "waiting", output=collector.told)
        command = [str(server_binary()), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        store = Store(url)
        try:
            until(store.answers, "the store")
            until(lambda: store.tail_id("BTCUSDT") > 0, "trades", output=collector.told)
            until(lambda: collector.status().reasons != ["starting"], "reasons")
            assert not any(str(port) in reason for reason in collector.status().reasons)
            collector.terminate()
        finally:
            store.close()
            end(server)


def test_store_that_never_comes_ends_the_start_with_the_cure(market: Exchange, folder: Path) -> None:
    shorter = (
        "import data_collector.service.store as store; store.WAIT_S = 1.0; "
        "from data_collector.__main__ import main; main()"
    )
    command = [sys.executable, "-c", shorter, *COLLECT[3:]]

    ended = run_to_end(command, folder, variables(folder, market, redis_url=f"redis://127.0.0.1:{free_port()}"))

    assert_refused(ended, "unset REDIS_URL", "embedded", code=UNAVAILABLE)


@pytest.mark.slow
def test_store_of_another_protocol_is_told(market: Exchange, folder: Path) -> None:
    place = market.rest_url.removeprefix("http://")
    with collecting(folder, market, redis_url=f"redis://{place}") as collector:
        until(lambda: any("Redis protocol" in r for r in collector.status().reasons), "why", output=collector.told)

        assert "Traceback" not in collector.output


def test_second_start_in_the_same_folder_says_who_holds_it(market: Exchange, folder: Path) -> None:
    with collecting(folder, market) as collector:
        collector.embedded_store().close()

        ended = start_and_end(folder, market)

        assert_refused(ended, f"in use by process {collector.process.pid}", "VAR_DIR")
        assert collector.process.poll() is None


async def test_embedded_store_comes_back_at_its_port_after_an_orderly_stop(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first_port = taken.getsockname()[1]
        before = EmbeddedValkey(folder, port=first_port, log=get_log())
        await before.start()
        port = before.address.port
        await before.stop()
    after = EmbeddedValkey(folder, port=first_port, log=get_log())
    try:
        await after.start()

        assert after.address.port == port > first_port
    finally:
        await after.stop()


async def test_store_filled_from_another_exchange_is_refused_naming_both(
    market: Exchange, folder: Path, store: Store
) -> None:
    store.ask("SET", "collector:source", "https://api.binance.com")

    told = await refusal(folder, market, redis_url=store.url)

    assert "https://api.binance.com" in told
    assert market.rest_url in told
    assert "empty this one with FLUSHDB, if no other exchange is in it." in told
    assert store.keys("*") == ["collector:source"]


async def test_store_that_throws_keys_away_is_refused(market: Exchange, folder: Path, store: Store) -> None:
    store.ask("CONFIG", "SET", "maxmemory", "2gb")
    store.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        told = await refusal(folder, market, redis_url=store.url)
    finally:
        store.ask("CONFIG", "SET", "maxmemory", 0)
        store.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")

    assert "allkeys-lru" in told
    assert "noeviction" in told


async def test_store_that_is_too_small_is_refused(market: Exchange, folder: Path, store: Store) -> None:
    store.ask("CONFIG", "SET", "maxmemory", "10mb")
    try:
        told = await refusal(folder, market, redis_url=store.url)
    finally:
        store.ask("CONFIG", "SET", "maxmemory", 0)

    assert "maxmemory" in told
    assert "TRADES_MAXLEN" in told


async def test_wrong_password_is_told_without_the_password(market: Exchange, folder: Path, store: Store) -> None:
    told = await refusal(folder, market, redis_url=store.url.replace("redis://", "redis://nobody:s3cret@"))

    assert "REDIS_URL" in told
    assert "s3cret" not in told


async def test_password_with_any_characters_logs_in(market: Exchange, folder: Path, store: Store) -> None:
    password = "p@ss:w/rd?#100% ü"
    store.ask("ACL", "SETUSER", "odd", "on", f">{password}", "~*", "&*", "+@all")
    collector = collector_inside(folder, market, redis_url=store.url.replace("redis://", f"redis://odd:{password}@"))
    try:
        await collector.start()
        try:
            await until_async(lambda: store.tail_id("BTCUSDT") > 0, "trades")
            assert "w/rd" not in str(collector.status().redis_url)
        finally:
            await collector.stop()
    finally:
        store.ask("ACL", "DELUSER", "odd")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority of our own, a certificate for localhost and one for somebody else."""
    folder = tmp_path_factory.mktemp("tls")
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=Test authority", "-days", "2", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    for name in ("localhost", "elsewhere.example"):
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={name}")  # fmt: skip
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")  # fmt: skip
    return folder


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def secure_opener(authority: Path) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=authority / "ca.pem")
    context.check_hostname = False
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


def tls_options(authority: Path, name: str) -> tuple[str, ...]:
    return ("--tls-cert", str(authority / f"{name}.pem"), "--tls-key", str(authority / f"{name}.key"))


def test_exchange_over_tls_is_collected_exactly(
    authority: Path, secure_opener: urllib.request.OpenerDirector, tmp_path: Path, folder: Path, store: Store
) -> None:
    options = tls_options(authority, "localhost")
    trusted = {"ssl_cert_file": str(authority / "ca.pem"), "redis_url": store.url}
    with exchange(tmp_path / "exchange", *options, opener=secure_opener) as market:
        assert market.ws_url.startswith("wss://localhost")
        with collecting(folder, market, **trusted) as collector:
            until(lambda: store.length("trades:BTCUSDT") > 5, "trades", output=collector.told)
            market.act("burst", symbol="BTCUSDT", trades=5_000)
            market.act("pause")
            until(lambda: store.tail_id("BTCUSDT") == market.last_id("BTCUSDT"), "the newest trade")

            assert assert_trades_exact(store, "BTCUSDT", market.trades("BTCUSDT")) == []
            assert not any("certificate" in reason for reason in collector.status().reasons)


@pytest.mark.parametrize(
    ("name", "trusted", "words"),
    [
        pytest.param("localhost", False, "certificate", id="unknown authority"),
        pytest.param("elsewhere.example", True, "certificate", id="another name", marks=pytest.mark.slow),
    ],
)
def test_wrong_certificate_is_refused_with_its_reason(
    authority: Path, secure_opener: urllib.request.OpenerDirector, tmp_path: Path, folder: Path, store: Store,
    name: str, trusted: bool, words: str,
) -> None:  # fmt: skip
    settings = {"redis_url": store.url} | ({"ssl_cert_file": str(authority / "ca.pem")} if trusted else {})
    with (
        exchange(tmp_path / "exchange", *tls_options(authority, name), opener=secure_opener) as market,
        collecting(folder, market, **settings) as collector,
    ):
        until(
            lambda: any("connections" in r and words in r for r in collector.status().reasons),
            "the reason",
            output=collector.told,
        )

        assert collector.status().condition == "degraded"
        assert store.keys("trades:*") == []
        assert "Traceback" not in collector.output


@pytest.mark.slow
def test_two_collectors_with_folders_of_their_own_share_a_store(market: Exchange, tmp_path: Path, store: Store) -> None:
    with (
        collecting(tmp_path / "one", market, redis_url=store.url) as first,
        collecting(tmp_path / "two", market, redis_url=store.url) as second,
    ):
        until(lambda: store.length("trades:BTCUSDT") > 50, "trades", output=first.told)
        assert CollectorProcess.status(first).collector_running
        second.kill()
        tail = store.tail_id("BTCUSDT")
        until(lambda: store.tail_id("BTCUSDT") > tail + 20, "progress of the one that is left")

        assert assert_trades_exact_up_to_now(store, market) == []


def assert_trades_exact_up_to_now(store: Store, market: Exchange) -> list[tuple[int, int, str]]:
    """The market that other tests use goes on, so the truth ends at what is stored."""
    market.act("pause")
    try:
        until(lambda: store.tail_id("BTCUSDT") == market.last_id("BTCUSDT"), "the newest trade")
        return assert_trades_exact(store, "BTCUSDT", market.trades("BTCUSDT"))
    finally:
        market.act("resume")
