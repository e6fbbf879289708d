"""GET /klines and /trades at the ends of time, and with parameters that are there and empty."""

from __future__ import annotations

import pytest

from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.http_service import HttpService
from tests.contract.test_http_series import one_service, put_klines, service
from tests.market import SYMBOL, kline

__all__ = ["one_service", "service"]


@pytest.fixture
async def filled(service: HttpService, sink: RedisSink, dsn: str) -> HttpService:
    """Of the month in both stores."""
    await put_klines(dsn, [0], interval="1M")
    await sink.write(stores.klines(kline(0, interval="1M"), kline(0)))
    return service


@pytest.mark.parametrize("form", ["json", "csv", "arrow"])
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("interval=", 422),
        ("interval=&from=1970-01-01", 422),
        ("interval=1m&from=", 422),
        ("interval=1m&to=", 422),
        ("interval=1m&limit=", 422),
        ("interval=1M&from=9999-12-31", 200),
        ("interval=1M&from=9999-12-01&limit=1&open=1", 200),
        ("interval=1M&from=9999-12-31T23:59:59.999Z&to=9999-12-31T23:59:59.999Z", 200),
        ("interval=1w&from=9999-12-31T23:59:59.999Z", 200),
        ("interval=1M&from=1970-01-01&to=1970-01-01", 200),
    ],
)
async def test_no_parameter_is_a_fault_of_ours(filled: HttpService, query: str, status: int, form: str) -> None:
    answer = filled.get(f"/klines/{SYMBOL}?{query}&format={form}")

    assert answer.status == status, answer.text
    if status == 422:
        assert query.partition("&from=1")[0].rpartition("&")[2].partition("=")[0] in answer.text
    elif form == "json":
        assert (answer.json["records"], answer.json["next"]) == ([], None)
