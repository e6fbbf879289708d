"""One rule about proxies for everything that we ask."""

from __future__ import annotations

import pytest

from data_collector.model.errors import Misconfigured
from data_collector.proxies import proxy_of
from data_collector.settings import load_settings

PROXY = "http://proxy.example:3128"
OTHER = "http://other.example:8080"
URLS = {
    "stream": "wss://stream.example:9443", "request": "https://api.example", "plain stream": "ws://here.example:1",
    "plain request": "http://here.example:1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "secure", "plain"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": PROXY}, PROXY, None),
        ({"HTTP_PROXY": PROXY}, None, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"ALL_PROXY": PROXY, "HTTPS_PROXY": OTHER}, OTHER, PROXY),
        ({"ALL_PROXY": PROXY, "https_proxy": ""}, PROXY, PROXY),
        ({"ALL_PROXY": PROXY.partition("//")[2]}, PROXY, PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "example"}, None, None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "here.example"}, PROXY, None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "*"}, None, None),
    ],
)
def test_streams_and_requests_of_one_host_go_the_same_way(
    variables: dict[str, str], secure: str | None, plain: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)

    found = {name: proxy_of(url) for name, url in URLS.items()}

    assert found == {"stream": secure, "request": secure, "plain stream": plain, "plain request": plain}


@pytest.mark.parametrize("proxy", ["socks5://user:secret@proxy.example:1080", "socks4://proxy.example", "ftp://p:1"])
def test_proxy_that_requests_cannot_go_through_stops_the_start(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)

    assert load_settings({}, None).use_proxy is False
    with pytest.raises(Misconfigured, match=r"USE_PROXY=1: ALL_PROXY names .* which streams could go through") as told:
        load_settings({"USE_PROXY": "1"}, None)

    assert "secret" not in str(told.value)


@pytest.mark.parametrize("proxy", ["http://:3128", "http://proxy.example:99999999", "http://user:se#cret@p:1:2"])
def test_proxy_that_cannot_be_read_stops_the_start(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    with pytest.raises(Misconfigured, match="HTTPS_PROXY: the proxy's host and port cannot be read") as told:
        load_settings({"USE_PROXY": "1"}, None)

    assert "cret" not in str(told.value)
