"""The exchange behind a proxy: everything through it or nothing, and a proxy that refuses is no end."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_collector.cli.doctor.check_proxies import check_proxies
from data_collector.model.errors import VenueUnreachable
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.transport import Address, Resolver, failure_label, open_websocket
from data_collector.settings import load_settings
from data_collector.validation.auditing.ports import ServicePort
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.rest import BinanceRest
from tests.integration.forward_proxy import forward_proxy
from tests.integration.scene import NO_HOLES, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async

STATUSES = {403: "Forbidden", 407: "Proxy Authentication Required", 502: "Bad Gateway", 503: "Service Unavailable"}
SOCKS_REFUSES = b"\x05\xff"
"""No way of logging in that was offered is taken."""


GARBAGE = b"nonsense\r\n\r\n"


def refusal(status: int) -> bytes:
    return f"HTTP/1.1 {status} {STATUSES[status]}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def refused(proxy: str) -> VenueUnreachable:
    """What a dial through it ends with."""
    with pytest.raises(VenueUnreachable) as caught:
        await open_websocket(
            Address("wss://stream.example:9443/stream", proxy), BinanceCodec().decode, lambda _: None, lambda _: None,
            messages_per_s=4, connect=Resolver(Counters()).connect,
        )  # fmt: skip
    return caught.value


@pytest.mark.parametrize("status", STATUSES)
async def test_proxy_that_refuses_the_stream_is_a_refused_dial(status: int) -> None:
    async with forward_proxy() as proxy:
        proxy.refusal = refusal(status)
        error = await refused(proxy.url.replace("://", "://user:secret@"))

    assert str(error) == f"the proxy lets nobody through (HTTP proxy rejected connection with status {status})"
    assert failure_label(error) == "proxy"


@pytest.mark.parametrize(("scheme", "said"), [("socks5", SOCKS_REFUSES), ("http", SOCKS_REFUSES), ("http", GARBAGE)])
async def test_proxy_that_says_something_else_is_a_refused_dial(scheme: str, said: bytes) -> None:
    async with forward_proxy() as proxy:
        proxy.refusal = said
        error = await refused(proxy.url.replace("http", scheme))

    assert failure_label(error) == "proxy"


@pytest.mark.parametrize(
    ("said", "reason"),
    [(refusal(status), f"the proxy refuses with HTTP {status}") for status in STATUSES]
    + [(GARBAGE, "what answers does not speak HTTP: ")],
)
async def test_proxy_that_refuses_a_request_is_told_without_its_login(
    said: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forward_proxy() as proxy:
        proxy.refusal = said
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://user:secret@"))
        rest = BinanceRest("https://api.example", use_proxy=True)
        service = ServicePort("https://rules.example", use_proxy=True)
        with pytest.raises(VenueUnreachable) as of_rest:
            await rest.server_time_ms()
        with pytest.raises(Exception, match="cannot be reached") as of_service:
            await service.get("/health")
        await rest.close()
        await service.close()

    assert str(of_rest.value).startswith(f"https://api.example cannot be reached ({reason}")
    assert "secret" not in f"{of_rest.value} {of_service.value}"


async def test_all_goes_through_the_proxy_and_one_that_refuses_for_a_while_is_waited_for(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALL_PROXY alone, then 503 to every CONNECT, as when a proxy is restarted."""
    async with forward_proxy() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        async with playing(store, folder, use_proxy="1") as scene:
            await scene.subscribed()
            await scene.trade()
            assert {line.partition(" ")[0] for line in proxy.asked} == {"CONNECT", "GET"}

            proxy.refusal = refusal(503)
            await proxy.reset()
            await until_async(
                lambda: any("status 503" in reason for reason in scene.status.reasons), "the reason in health"
            )
            assert scene.status.condition == "degraded"
            assert scene.counted("connect_failures_total", reason="proxy") > 0
            scene.simulator.advance(5_000)

            proxy.refusal = b""
            await until_async(lambda: scene.status.connections[0].state == "connected", "a connection")
            await scene.subscribed()
            await scene.trade()
            assert scene.assert_trades_exact() == NO_HOLES


def test_doctor_tells_what_goes_through_which_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "rules.example,.vision")
    service = {"VALIDATION_SERVICE_URL": "https://rules.example"}

    found = check_proxies(load_settings({"USE_PROXY": "1", **service}, None))
    monkeypatch.setenv("NO_PROXY", "*")
    none = check_proxies(load_settings({"USE_PROXY": "1"}, None))

    assert found.state == "ok"
    assert found.seen == (
        "streams, REST through http://proxy.example:3128; published files, validation service directly"
    )
    assert (none.state, none.seen) == ("warn", "streams, REST, published files directly")
