"""Who gets Prometheus text at /metrics."""

from __future__ import annotations

import pytest

from data_collector.api.routes.state import wants_prometheus


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        " TEXT/PLAIN ",
        "text/plain; version=0.0.4",
        "text/plain;charset=utf-8;Version=1.0.0",
        "application/openmetrics-text",
        "application/json, application/openmetrics-text; version=1.0.0; q=0.1",
    ],
)
def test_scrapers_get_text(accept: str) -> None:
    assert wants_prometheus(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "text/html",
        "text/plain, */*",
        "text/plain;charset=utf-8",
        "text/plainer;version=1",
    ],
)
def test_everybody_else_gets_json(accept: str) -> None:
    assert not wants_prometheus(accept)
