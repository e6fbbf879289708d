"""REST over real sockets: weights, faults, the operator's routes, TLS."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import subprocess
from pathlib import Path

import aiohttp
import msgspec
import pytest

from data_collector.simulator import RestFault
from tests.integration.simulator.client import DEADLINE_S, MINUTE_MS, START_MS, Start, connect, get
from tests.integration.waiting import until_async


async def test_weight_is_told_and_starts_anew_with_the_minute(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    url = simulator.rest_url + "/api/v3/klines"

    async with session.get(url, params={"symbol": "BTCUSDT", "interval": "1m"}) as answer:
        assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "2"
    async with session.get(url, params={"symbol": "NOPE", "interval": "1m"}) as answer:
        assert (answer.status, answer.headers["x-mbx-used-weight-1m"]) == (400, "4")
        assert await answer.json() == {"code": -1121, "msg": "Invalid symbol."}
    simulator.advance(MINUTE_MS)
    async with session.get(url, params={"symbol": "BTCUSDT", "interval": "1m"}) as answer:
        assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "2"


async def test_too_much_weight_is_429_and_going_on_is_418(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(weight_per_minute=50)
    url = simulator.rest_url + "/api/v3/trades?symbol=BTCUSDT"

    statuses: list[int] = []
    for _ in range(13):
        async with session.get(url) as answer:
            statuses.append(answer.status)
            last = await answer.json()
            retry_after = answer.headers.get("Retry-After")

    assert statuses == [200] * 2 + [429] * 10 + [418]
    assert last["code"] == -1003
    assert "IP banned until" in last["msg"]
    assert retry_after == "120"


@pytest.mark.parametrize(
    ("fault", "status", "part"),
    [
        (RestFault(status=429, retry_after_s=7), 429, "Too much request weight used"),
        (RestFault(status=418, retry_after_s=7), 418, "IP banned until"),
        (RestFault(status=403), 403, "403 Forbidden"),
        (RestFault(status=451), 451, "restricted location"),
        (RestFault(status=502), 502, "-1001"),
        (RestFault(status=400, code=-1000, message="own words"), 400, "own words"),
        (RestFault(empty=True), 200, "[]"),
    ],
)
async def test_rest_faults_answer_as_the_exchange_would(
    start: Start, session: aiohttp.ClientSession, fault: RestFault, status: int, part: str
) -> None:
    simulator = await start()
    simulator.faults.add(msgspec.structs.replace(fault, count=1))

    async with session.get(simulator.rest_url + "/api/v3/time") as answer:
        assert answer.status == status
        assert part in await answer.text()
        if fault.retry_after_s is not None:
            assert answer.headers["Retry-After"] == "7"
    assert (await get(session, simulator, "/api/v3/time"))[0] == 200


async def test_hanging_request_hangs_until_the_client_gives_up(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.faults.add(RestFault(path="/api/v3/klines", hang=True))

    with pytest.raises(TimeoutError):
        await session.get(
            simulator.rest_url + "/api/v3/klines?symbol=BTCUSDT&interval=1m", timeout=aiohttp.ClientTimeout(total=0.2)
        )
    assert (await get(session, simulator, "/api/v3/ping"))[0] == 200


async def test_times_are_in_microseconds_on_request(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()

    _, body = await get(session, simulator, "/api/v3/time", **{"X-MBX-TIME-UNIT": "MICROSECOND"})
    status, refusal = await get(session, simulator, "/api/v3/time", **{"X-MBX-TIME-UNIT": "DAY"})

    assert body == {"serverTime": START_MS * 1000}
    assert status == 400
    assert isinstance(refusal, dict)
    assert refusal["code"] == -1194


async def test_daily_file_has_no_weight_and_faults_of_its_own(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(trades_per_s=1)
    path = "/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2023-11-14.zip"
    url = simulator.rest_url + path

    async with session.get(url) as answer:
        assert (answer.status, answer.content_type) == (404, "application/xml")
    simulator.advance(24 * 60 * MINUTE_MS)
    simulator.faults.add(RestFault(path="/data/*", status=503, count=1))
    async with session.get(url) as answer:
        assert answer.status == 503
    async with session.get(url) as answer, session.get(url + ".CHECKSUM") as checksum:
        assert hashlib.sha256(await answer.read()).hexdigest() == (await checksum.text()).split()[0]
    assert simulator.state()["weight_used"] == 0


async def test_operator_adds_faults_and_acts_over_http(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    client = await connect(session, simulator, "/ws/btcusdt@trade")
    faults, act = simulator.rest_url + "/simulator/faults", simulator.rest_url + "/simulator/actions"

    async with session.post(faults, json={"frames": [{"kind": "duplicate", "count": 1}], "refuse": [{}]}) as answer:
        assert (answer.status, (await answer.json())["faults"]) == (200, 2)
    async with session.post(act, json={"action": "burst", "symbol": "BTCUSDT", "trades": 1}) as answer:
        assert answer.status == 200
        assert (await answer.json())["fault_hits"] == {"duplicate": 1}
    assert await client.json() == await client.json()
    async with session.delete(faults) as answer:
        assert (await answer.json())["faults"] == 0
    _, tape = await get(session, simulator, "/simulator/tape?symbol=BTCUSDT")
    assert isinstance(tape, list)
    assert tape[-1]["trade_id"] == simulator.tape("BTCUSDT")[-1].trade_id


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{", "application/json", 400),
        (b'{"action":"explode"}', "application/json", 400),
        (b'{"action":"burst","symbol":"NOPE","trades":1}', "application/json", 400),
    ],
)
async def test_operator_is_told_what_is_wrong(
    start: Start, session: aiohttp.ClientSession, body: bytes, kind: str, status: int
) -> None:
    simulator = await start()

    async with session.post(
        simulator.rest_url + "/simulator/actions", data=body, headers={"Content-Type": kind}
    ) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key, made now."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


async def test_both_ports_speak_tls_with_a_certificate_of_ones_own(
    start: Start, session: aiohttp.ClientSession, certificate: tuple[Path, Path]
) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(*certificate)
    simulator = await start(tls=server)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))

    async with session.ws_connect(simulator.ws_url + "/ws/btcusdt@trade", ssl=trusting) as socket:
        await until_async(lambda: bool(simulator.connections()))
        await simulator.burst("BTCUSDT", 1)
        assert (await asyncio.wait_for(socket.receive(), DEADLINE_S)).json()["e"] == "trade"
    async with session.get(simulator.rest_url + "/api/v3/ping", ssl=trusting) as answer:
        assert answer.status == 200
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await session.get(simulator.rest_url + "/api/v3/ping")
