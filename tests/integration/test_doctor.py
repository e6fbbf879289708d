"""`data-collector doctor`: well with everything there, and a clear row for each thing that is not."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from data_collector.cli.doctor.check_exchange import check_exchange
from data_collector.cli.doctor.check_store import check_store
from data_collector.cli.doctor.check_streams import check_streams
from data_collector.cli.doctor.check_surroundings import DISK_FAIL_BYTES, DISK_WARN_BYTES, check_folder, check_port
from data_collector.cli.doctor.doctor import check_validation, examine
from data_collector.cli.doctor.finding import Finding
from data_collector.model.store_url import parse_store_url
from data_collector.settings import Settings, load_settings
from data_collector.settings.fields import variable_of
from data_collector.simulator import RefuseStreams, Simulator, SimulatorSettings
from data_collector.venues.binance.speaker import SPEAKER
from data_collector.venues.discovery import find_speaker, find_venue, venue_names
from tests.integration.command import embedded_store, finished, put

VENUE = find_venue("binance")


@asynccontextmanager
async def exchange(start_ms: int | None = None, api_key: str | None = None) -> AsyncIterator[Simulator]:
    settings = SimulatorSettings(symbols=("BTCUSDT", "ETHUSDT"), history_trades=10, start_ms=start_ms, api_key=api_key)
    simulator = Simulator(settings, [SPEAKER])
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


@pytest.fixture
def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def settings(**environ: str) -> Settings:
    return load_settings(environ, None)


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.state for finding in findings}


async def test_everything_well_is_exit_code_0(tmp_path: Path, free_port: str) -> None:
    async with exchange() as simulator, embedded_store(tmp_path / "var"):
        variables = {
            "SYMBOLS": "BTCUSDT,ETHUSDT",
            "BINANCE_WS_URL": simulator.ws_url,
            "BINANCE_REST_URL": simulator.rest_url,
            "PORT": free_port,
        }
        before = states(check_folder(settings(VAR_DIR=str(tmp_path))))
        ended = await finished(tmp_path, "doctor", "--json", **variables)
        lines = await finished(tmp_path, "doctor", **variables)
        after = states(check_folder(settings(VAR_DIR=str(tmp_path))))

    rows = {finding["check"]: finding["state"] for finding in json.loads(ended.output)}
    # What is free here is no part of this test; what is made of it is the next one.
    assert rows.pop("disk") in {before["disk"], after["disk"]}
    assert rows == dict.fromkeys(
        [
            *("platform", "settings", "exchange", "clock", "symbols", "streams", "store", "store memory"),
            *("store writes", "store functions", "validation", "folder", "port"),
        ],
        "ok",
    )
    assert (ended.code, lines.code) == (0, 0)
    assert [line.split()[1] for line in lines.output.splitlines() if not line.startswith("ok ")] in ([], ["disk:"])
    assert len(lines.output.splitlines()) == len(rows) + 1


@pytest.mark.parametrize(
    ("free", "state"),
    [
        (DISK_WARN_BYTES, "ok"),
        (DISK_WARN_BYTES - 1, "warn"),
        (DISK_FAIL_BYTES, "warn"),
        (DISK_FAIL_BYTES - 1, "fail"),
        (0, "fail"),
    ],
)
def test_disk_is_judged_by_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))

    found = check_folder(settings(VAR_DIR=str(tmp_path)))

    assert states(found) == {"folder": "ok", "disk": state}
    assert bool(found[1].cure) == (state != "ok")


async def test_offline_machine_gets_sentences_and_exit_code_1(tmp_path: Path, free_port: str) -> None:
    ended = await finished(
        tmp_path,
        "doctor",
        BINANCE_WS_URL="ws://127.0.0.1:1",
        BINANCE_REST_URL="http://127.0.0.1:1",
        REDIS_URL="redis://:c4n4ry#/@127.0.0.1:1",
        PORT=free_port,
    )

    assert ended.code == 1
    for start in ("fail  exchange: http://127.0.0.1:1", "fail  streams: ws://127.0.0.1:1", "fail  store: "):
        assert start in ended.output
    assert "`make demo` needs no network" in ended.output
    assert "Traceback" not in ended.output + ended.errors
    assert "c4n4ry" not in ended.output + ended.errors


async def test_wrong_settings_are_one_finding_and_nothing_else_is_tried(tmp_path: Path) -> None:
    ended = await finished(tmp_path, "doctor", "--json", PORT="x", SYMBOLS=",")

    rows = json.loads(ended.output)
    assert ended.code == 1
    assert [row["check"] for row in rows] == ["platform", "settings"]
    assert "PORT" in rows[1]["seen"]
    assert "SYMBOLS" in rows[1]["seen"]


async def test_unknown_symbols_and_intervals_are_named() -> None:
    async with exchange() as simulator:
        wrong = settings(
            SYMBOLS="BTCUSDT,NOPEUSDT",
            INTERVALS="1m,10m",
            BINANCE_WS_URL=simulator.ws_url,
            BINANCE_REST_URL=simulator.rest_url,
        )
        findings = await check_exchange(wrong, VENUE)

    assert states(findings)["symbols"] == states(findings)["intervals"] == "fail"
    seen = " ".join(finding.seen for finding in findings)
    assert "does not have NOPEUSDT" in seen
    assert "no interval 10m" in seen


async def test_key_that_the_exchange_asks_for_is_named() -> None:
    async with exchange(api_key="a-key") as simulator:
        urls = {"BINANCE_WS_URL": simulator.ws_url, "BINANCE_REST_URL": simulator.rest_url}
        without = await check_exchange(settings(SYMBOLS="BTCUSDT", **urls), VENUE)
        keyed = await check_exchange(settings(SYMBOLS="BTCUSDT", BINANCE_API_KEY="a-key", **urls), VENUE)

    [told] = [finding for finding in without if finding.check == "old trades"]
    assert (told.state, told.cure.split(" ")[:2]) == ("warn", ["Set", "BINANCE_API_KEY"])
    assert "old trades" not in states(keyed)


async def test_streams_are_asked_for_a_subscription_and_a_refusal_is_told() -> None:
    async with exchange() as simulator:
        there = settings(SYMBOLS="BTCUSDT", BINANCE_WS_URL=simulator.ws_url, BINANCE_REST_URL=simulator.rest_url)
        taken = await check_streams(there, VENUE)
        simulator.faults.add(RefuseStreams(stream="btcusdt@trade", message="not that one"))
        refused = await check_streams(there, VENUE)

    assert (taken.state, "answers a subscription in" in taken.seen) == ("ok", True)
    assert (refused.state, refused.cure) == ("fail", "Correct SYMBOLS.")
    assert "refuses the trades of BTCUSDT: not that one" in refused.seen


@pytest.mark.parametrize("name", venue_names())
async def test_every_exchange_is_asked_in_its_own_words(name: str) -> None:
    venue, speaker = find_venue(name), find_speaker(name)
    listed = tuple(map(speaker.market_symbol, venue.default_symbols))
    simulator = Simulator(SimulatorSettings(symbols=listed, history_trades=10), [speaker])
    await simulator.start()
    try:
        urls = {"ws_url": simulator.ws_url, "rest_url": simulator.rest_url}
        there = load_settings({variable_of(field, name): url for field, url in urls.items()}, None, exchange=name)
        findings = await check_exchange(there, venue)
    finally:
        await simulator.stop()

    assert states(findings) == dict.fromkeys(("exchange", "clock", "symbols", "streams"), "ok")
    assert ("what keeps it open" in findings[-1].seen) == (venue.limits.keepalive_s is not None)


async def test_clock_that_is_far_off_is_told() -> None:
    start_ms = int(time.time() * 1000) + 3_600_000
    async with exchange(start_ms=start_ms) as simulator:
        there = settings(SYMBOLS="BTCUSDT", BINANCE_WS_URL=simulator.ws_url, BINANCE_REST_URL=simulator.rest_url)
        findings = await check_exchange(there, VENUE)

    assert states(findings)["clock"] == "fail"
    assert any("behind" in finding.seen for finding in findings)


async def test_store_that_evicts_is_refused(tmp_path: Path) -> None:
    async with embedded_store(tmp_path) as store:
        await put(store.address, ("CONFIG", "SET", "maxmemory", "50mb", "maxmemory-policy", "allkeys-lru"))

        findings = await check_store([settings(REDIS_URL=store.address.whole)])

    assert states(findings)["store policy"] == "fail"


async def test_store_that_is_full_is_told(tmp_path: Path) -> None:
    async with embedded_store(tmp_path) as store:
        await put(store.address, ("CONFIG", "SET", "maxmemory", "1mb"))

        findings = await check_store([settings(REDIS_URL=store.address.whole)])

    assert states(findings)["store writes"] == "fail"
    assert states(findings)["store memory"] == "fail"


async def test_store_of_another_exchange_is_told_and_not_claimed(tmp_path: Path) -> None:
    async with embedded_store(tmp_path) as store:
        untouched = await check_store([settings(REDIS_URL=store.address.whole)])
        assert await put(store.address, ("EXISTS", "collector:source")) == [0]
        await put(store.address, ("SET", "collector:source", "http://elsewhere"))

        findings = await check_store([settings(REDIS_URL=store.address.whole)])

    assert "store origin" not in states(untouched)
    assert states(findings)["store origin"] == "fail"


async def test_user_without_rights_is_told(tmp_path: Path) -> None:
    async with embedded_store(tmp_path) as store:
        await put(store.address, ("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+info", "+client", "+ping"))
        reader = store.address.whole.replace("redis://", "redis://reader:pw@")

        findings = await check_store([settings(REDIS_URL=reader)])

    assert states(findings)["store writes"] == "fail"
    assert states(findings)["store functions"] == "fail"


async def test_wrong_password_is_told_and_not_shown(tmp_path: Path) -> None:
    async with embedded_store(tmp_path) as store:
        await put(store.address, ("CONFIG", "SET", "requirepass", "right"))
        wrong = store.address.whole.replace("redis://", "redis://:c4n4ry@")
        try:
            findings = await check_store([settings(REDIS_URL=wrong)])
        finally:
            right = store.address.whole.replace("redis://", "redis://:right@")
            await put(parse_store_url(right), ("CONFIG", "SET", "requirepass", ""))

    assert states(findings) == {"store": "fail"}
    assert "c4n4ry" not in findings[0].seen


async def test_validation_service_that_is_away_is_no_failure() -> None:
    findings = await check_validation(settings(VALIDATION_SERVICE_URL="http://127.0.0.1:1"))

    assert states(findings) == {"validation": "ok", "validation service": "warn"}


def test_port_of_another_program_is_a_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        finding = check_port(settings(PORT=port))

    assert finding.state == "fail"
    assert port in finding.seen


async def test_port_of_a_collector_is_well() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"status":"degraded","service":"data-collector"}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = str(server.sockets[0].getsockname()[1])

        finding = await asyncio.to_thread(check_port, settings(PORT=port))

    assert finding.state == "ok"
    assert "running collector (degraded)" in finding.seen


def test_folder_that_will_be_made_is_judged_by_its_parent(tmp_path: Path) -> None:
    findings = check_folder(settings(VAR_DIR=str(tmp_path / "a" / "b")))

    assert states(findings)["folder"] == "ok"
    assert "will be made" in findings[0].seen


def test_file_in_place_of_the_folder_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")

    findings = check_folder(settings(VAR_DIR=str(tmp_path / "var")))

    assert states(findings) == {"folder": "fail"}


def test_channel_that_the_exchange_does_not_have_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start would end with it."""
    monkeypatch.setenv("CHANNELS", "quote")

    *_, finding = asyncio.run(examine("coinbase"))

    assert (finding.check, finding.state) == ("settings", "fail")
    assert "coinbase has no quote" in finding.seen
