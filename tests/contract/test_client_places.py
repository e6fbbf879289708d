"""Whether what a client is given is one collector, and how soon it says that something is not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import structs

from data_collector.client import ApiAway, AsyncClient, Client, Trade, WrongStore
from data_collector.client.answering import http
from data_collector.client.reading.questions import ApiRequest
from data_collector.embedded.peer import free_port
from data_collector.model.wire import TRADE_NAMES
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import TRADES, told
from tests.contract.http_service import HttpService, running, write_snapshot
from tests.contract.stores import SOURCE, Reader
from tests.contract.test_client_history import at, put_minutes, put_trades
from tests.contract.test_http_series import snapshot_of
from tests.contract.test_http_series import told as telling
from tests.integration.postgres_server import execute
from tests.integration.waiting import until
from tests.market import NOON_MS, SYMBOL

ELSEWHERE = "the simulated market 1"


@pytest.fixture(scope="module")
def one_service(address: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address), DATABASE_URL=dsn) as service:
        yield service


@pytest.fixture
def service(one_service: HttpService, dsn: str, sink: RedisSink) -> HttpService:
    execute(dsn, "truncate market_data_ohlcv, market_data_trades, market_data_gaps, market_data_epochs")
    return one_service


def collects_from(service: HttpService, address: str, source: str | None) -> None:
    """From now on the collector says so."""
    write_snapshot(service.folder, structs.replace(snapshot_of(address), source=source))
    until(lambda: service.get(f"/trades/{SYMBOL}").headers["X-Filled-From"] == source or None)


async def test_history_of_another_collector_is_not_joined_with_the_store(
    service: HttpService, address: str, sink: RedisSink, reader: Reader, dsn: str
) -> None:
    """REDIS_URL is that of one collector, DATA_COLLECTOR_API that of another, and both hold the symbol."""
    await put_trades(dsn, 1, 20)
    await put_minutes(dsn, sink, 0, 2, reason=None)
    await sink.write(stores.trades(30, 31))
    collects_from(service, address, ELSEWHERE)

    sentence = (
        rf"The store at .* \(REDIS_URL\) is filled from {SOURCE}, and the collector at {service.url} "
        rf"\(DATA_COLLECTOR_API\) collects from {ELSEWHERE}: name both of one collector"
    )
    with Client(address, api=service.url, database="") as client:
        with client.live(TRADES, start=NOON_MS) as live, pytest.raises(WrongStore, match=sentence):
            next(iter(live))
        with pytest.raises(WrongStore, match=sentence):
            next(iter(client.replay(TRADES, start=NOON_MS)))
    with Client(address, api=service.url, database="") as client, pytest.raises(WrongStore, match=sentence):
        # Why one is missing is told by the store.
        client.klines(SYMBOL, "1m", start=at(0)).read()
    async with AsyncClient(address, api=service.url, database="") as asking:
        with pytest.raises(WrongStore, match=sentence):
            await anext(aiter(await asking.live(TRADES, start=NOON_MS)))


async def test_history_without_the_store_is_asked_of_any_collector(
    service: HttpService, address: str, dsn: str
) -> None:
    """A whole stretch is all of the HTTP side: where the store is, or whether it is there, makes no difference."""
    await put_trades(dsn, 1, 20)
    collects_from(service, address, ELSEWHERE)

    for store in (address, f"redis://127.0.0.1:{free_port()}"):
        with Client(store, api=service.url, database="") as client:
            assert told(client.trades(SYMBOL, start=NOON_MS)) == list(range(1, 21))


@pytest.mark.parametrize("source", [SOURCE, None])
async def test_history_of_the_same_collector_is_joined(
    service: HttpService, address: str, sink: RedisSink, dsn: str, source: str | None
) -> None:
    """So is that of an older one, which does not tell what it collects from."""
    await put_trades(dsn, 1, 20)
    await sink.write(stores.trades(21, 22))
    collects_from(service, address, source)

    with Client(address, api=service.url, database="") as client, client.live(TRADES, start=NOON_MS) as live:
        found = next(live.batches()).items
        assert [item.trade_id for item in found if isinstance(item, Trade)][:20] == list(range(1, 21))


async def test_range_that_lacks_something_takes_no_place_of_the_http_side(
    service: HttpService, address: str, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has four for everybody."""
    await put_trades(dsn, 1, 20)
    monkeypatch.setattr(http, "PIECE_BYTES", 100)
    query = {"from": "2024-01-01", "format": "csv"}
    request = ApiRequest(f"/trades/{SYMBOL}", query, TRADE_NAMES, in_pieces=True)
    api = http.Api(service.url)

    with telling(service, address, snapshot_of(None)), pytest.raises(ApiAway, match="cannot answer in full now"):
        api.get(request)
    assert not api._ranges
    assert api.get(request).body.startswith(b"BTCUSDT,")
    api.close()


async def test_history_at_the_start_is_not_waited_for(address: str, sink: RedisSink, reader: Reader) -> None:
    """The HTTP side is away, and the stream was trimmed: told after seconds, not after the minute of a live stream."""
    await sink.write(stores.trades(1, 9))
    reader.client.xtrim(f"trades:{SYMBOL}", maxlen=1, approximate=False)
    api = f"http://127.0.0.1:{free_port()}"

    with Client(address, api=api, database="") as client, pytest.raises(ApiAway):
        next(iter(client.live(TRADES, start=NOON_MS)))
    async with AsyncClient(address, api=api, database="") as asking:
        with pytest.raises(ApiAway):
            await anext(aiter(await asking.live(TRADES, start=NOON_MS)))
