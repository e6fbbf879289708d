"""How much a request may be, and for whom it counts."""

from __future__ import annotations

import pytest
from starlette.types import Scope

from data_collector.web.bounds import client_of


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("testclient", "other"),
        (None, "local"),
    ],
)
def test_rate_is_counted_by_address_or_network(host: str | None, client: str) -> None:
    scope: Scope = {"type": "http", "headers": [], "client": None if host is None else (host, 50_000)}

    assert client_of(scope) == client
