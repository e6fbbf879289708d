"""GET /klines and /trades where the history writer fell behind: what neither store holds is told, not stepped over."""

from __future__ import annotations

import msgspec

from data_collector.model.sink import Batch
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import trades_from
from tests.contract.http_service import HttpService
from tests.contract.stores import Reader
from tests.contract.test_client_history import put_trades
from tests.contract.test_http_series import MINUTES, TRADES, one_service, page, put_klines, service
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline

__all__ = ["one_service", "service"]

LOST = (
    "Trades between 4 and 8 are missing: the newest in PostgreSQL lies before the oldest in Redis, as the history "
    "writer fell behind; /health tells more."
)
MONTH = 43_200


async def test_trades_that_redis_let_go_before_postgresql_had_them_are_told(
    service: HttpService, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    await put_trades(dsn, 1, 4)
    await sink.write(Batch(trades=[stores.run_of(trades_from(1, 10))]))
    assert page(service, TRADES)["warnings"] == []
    reader.client.xtrim(f"trades:{SYMBOL}", maxlen=3, approximate=False)

    found = page(service, TRADES)

    assert (found["count"], found["warnings"]) == (7, [LOST])
    for query in ("", "?from=1970-01-01&format=csv", "?from=1970-01-01&format=csv&limit=5", "?limit=4", "?after=4"):
        assert service.get(f"/trades/{SYMBOL}{query}").headers["X-Warning"] == LOST, query
    inside = page(service, f"/trades/{SYMBOL}?from={NOON_MS + 5}&to={NOON_MS + 7}")
    assert (inside["count"], inside["warnings"]) == (0, [LOST])
    for query in ("?limit=3", "?limit=3&after=7", "?after=8", f"?from={NOON_MS}&limit=2", f"?to={NOON_MS + 2}"):
        assert page(service, f"/trades/{SYMBOL}{query}")["warnings"] == [], query
    await put_trades(dsn, 5, 7)
    assert page(service, TRADES)["warnings"] == []


async def test_candles_that_expired_before_postgresql_had_them_are_told(
    service: HttpService, sink: RedisSink, dsn: str
) -> None:
    await put_klines(dsn, range(3))
    assert page(service, MINUTES)["warnings"] == []
    await sink.write(stores.klines(*(kline(minute) for minute in range(MONTH, MONTH + 3))))

    (told,) = msgspec.convert(page(service, MINUTES)["warnings"], list[str])

    assert told.startswith("Candles between 2024-01-01T12:02:00+00:00 and 2024-01-")
    until = NOON_MS + 10 * MINUTE_MS
    assert page(service, f"/klines/{SYMBOL}?interval=1m&from={until - 1}&to={until}")["warnings"] == [told]
    await put_klines(dsn, [MONTH])
    assert page(service, MINUTES)["warnings"] == []
