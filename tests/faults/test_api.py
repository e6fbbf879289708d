"""Row 64: clients that abuse the API while the feed runs."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from pathlib import Path

from tests.faults.service import NO_ANSWER, Api, api_over
from tests.faults.test_processes import BURST, progress
from tests.integration.processes import Exchange
from tests.integration.store_reader import Store
from tests.integration.waiting import until

JSON = {"Content-Type": "application/json"}
STOP = b'{"action": "stop"}'
TOKEN = "only-the-operator-knows-this-token"
OURS = {"Authorization": f"Bearer {TOKEN}"}

PATHS = [
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//etc/passwd",
    "/assets/..%2f..%2fapi.py",
    "/health%00",
    "/\\",
]
HOSTILE = "<script>alert(1)</script>"


def test_row_64_abuse_is_refused_and_counted_and_the_feed_does_not_notice(
    market: Exchange, folder: Path, store: Store
) -> None:
    with api_over(folder, market, store, control_token=TOKEN) as api, ExitStack() as clients:
        market.act("burst", symbol="BTCUSDT", trades=BURST)
        for _ in range(50):
            # They begin a request and never end it.
            client = clients.enter_context(socket.create_connection(("127.0.0.1", api.port)))
            client.sendall(b"POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Le")

        assert api.ask("POST", "/control", STOP, JSON)[0] in {401, 403}
        assert api.ask("POST", "/control", STOP, {**JSON, "Authorization": "Bearer wrong"})[0] in {401, 403}
        assert api.ask("POST", "/control", STOP, {**JSON, **OURS, "Host": "evil.example"})[0] in {403, 421}
        assert api.ask("POST", "/control", STOP, {**JSON, **OURS, "Origin": "https://evil.example"})[0] == 403
        assert api.ask("POST", "/control", STOP, {**OURS, "Content-Type": "text/plain"})[0] in {403, 415, 422}
        assert api.ask("POST", "/control", bytes(10 * 2**20), {**JSON, **OURS})[0] in {413, NO_ANSWER}
        assert api.ask("GET", "/health?" + "x" * 5_000)[0] == 414
        assert api.ask("GET", "/health", headers={f"X-{number}": "x" for number in range(100)})[0] == 431
        for path in PATHS:
            status, text = api.ask("GET", path)
            assert status in {400, 404, 422, NO_ANSWER}, path
            assert "root:" not in text
        status, text = api.ask("GET", f"/validation/errors?symbol={HOSTILE}")
        assert status in {200, 404, 422}
        assert not text.lstrip().startswith("<")
        progress(store)

        flood(api, 2_000)
        progress(store)

        # The flood used up what this client may ask.
        until(lambda: api.metric("api_rejected_total") > 100, "an answer again", output=api.told)
        market.act("burst", symbol="BTCUSDT", trades=BURST)
        api.assert_alive_and_exact()
        assert TOKEN not in api.told()


def flood(api: Api, requests: int) -> None:
    """From eight clients at once, as fast as they get answers; some of them are told to come later."""
    statuses: set[int] = set()

    def ask() -> None:
        for _ in range(requests // 8):
            statuses.add(api.ask("GET", "/health")[0])

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert 429 in statuses
    assert statuses <= {200, 429}
