"""GET /latest: what the store holds of the newest price, with the exchange's own digits."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from data_collector.api.latest import STATISTICS
from data_collector.client import Client
from data_collector.model.sink import Batch, NewestUpdate
from data_collector.model.status import Snapshot
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.http_service import HttpService, running
from tests.contract.stores import Reader
from tests.integration.waiting import until
from tests.market import NOON_MS, SYMBOL, sparse_ticker, ticker


@pytest.fixture(scope="module")
def service(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    snapshot = Snapshot(condition="healthy", collector_running=True, symbols=[SYMBOL, "ETHUSDT"], store_url=address)
    with running(tmp_path_factory.mktemp("http"), snapshot) as service:
        yield service


async def test_latest_is_what_the_store_holds_digit_by_digit(
    service: HttpService, sink: RedisSink, reader: Reader
) -> None:
    await sink.write(stores.trades(7, 9))
    newest = ticker(NOON_MS, bid_price="123456789012.12345678", volume="0.12300000")
    await sink.write(Batch(newest=[NewestUpdate(newest)]))

    one, every = service.get(f"/latest/{SYMBOL.lower()}"), service.get("/latest")

    held = reader.client.hgetall(f"latest:{SYMBOL}")
    told = json.loads(one.text, parse_float=str, parse_int=str)
    assert list(told) == ["symbol", *STATISTICS]
    assert told.pop("warnings") == []
    assert told == {name: held.get(name) for name in told}
    assert one.text in every.text
    assert every.json["count"] == 2


async def test_what_there_is_not_is_null(service: HttpService, sink: RedisSink, reader: Reader) -> None:
    """A symbol that has not spoken yet, and what a stranger has written."""
    reader.client.hset(f"latest:{SYMBOL}", mapping={"price": "NaN", "volume": "007", "warnings": "cap,No Rule"})

    one, other, unknown = (service.get(f"/latest/{symbol}") for symbol in (SYMBOL, "ETHUSDT", "NOSUCH"))

    assert (one.json["price"], one.json["volume"], one.json["warnings"]) == (None, None, ["cap"])
    assert {name for name, value in other.json.items() if value is not None} == {"symbol", "warnings"}
    assert (unknown.status, unknown.json["detail"]) == (
        404,
        "NOSUCH is not collected, and the store has nothing of it.",
    )


async def test_what_an_exchange_does_not_tell_is_null(service: HttpService, sink: RedisSink, address: str) -> None:
    await sink.write(Batch(newest=[NewestUpdate(sparse_ticker())]))

    told = service.get(f"/latest/{SYMBOL}").json
    with Client(address, api="", database="") as client:
        newest = client.latest(SYMBOL)

    names = ("quote_volume", "open_price", "last_qty", "open_time", "first_id", "count")
    assert [told[name] for name in names] == [None] * len(names)
    assert [getattr(newest, name) for name in names] == [None] * len(names)


async def test_key_of_another_kind_is_told(service: HttpService, sink: RedisSink, reader: Reader) -> None:
    reader.client.set(f"latest:{SYMBOL}", "text")

    answer = service.get("/latest")

    assert (answer.status, f"refused to read latest:{SYMBOL} (WRONGTYPE)" in answer.text) == (503, True)


@pytest.mark.parametrize(
    "path", ["/latest/{}", "/completeness?symbol={}", "/gaps?symbol={}", "/validation/errors?symbol={}"]
)
async def test_exchange_may_be_named_before_the_symbol(
    service: HttpService, sink: RedisSink, address: str, path: str
) -> None:
    await sink.write(Batch(newest=[NewestUpdate(ticker())]))
    service.tell(Snapshot(condition="healthy", symbols=[SYMBOL], store_url=address, exchange="binance"))
    until(lambda: service.get("/status").json["exchange"])

    plain, named, foreign = (service.get(path.format(f"{begin}{SYMBOL}")) for begin in ("", "Binance:", "kraken:"))

    assert (plain.status, named.body) == (200, plain.body)
    assert (foreign.status, foreign.json["detail"]) == (404, "binance is collected here, and not kraken.")
