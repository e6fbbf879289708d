"""The class to subclass, without a service that runs: settings, hooks, the bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import ClassVar

import pytest
from msgspec import structs

from collector import BinanceDataCollector
from data_collector import facade
from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import Misconfigured
from data_collector.model.keys import Channel, Key
from data_collector.model.records import Record
from data_collector.model.venue import Venue
from data_collector.venues.discovery import find_venue
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, aggregate_trade, kline, mini_ticker, quote, ticker, trade

Hooked = tuple[str, dict[str, object]]

TRADE_KEYS = {
    "symbol", "timestamp", "trade_id", "price", "quantity", "buyer_order_id", "seller_order_id", "is_buyer_maker",
}  # fmt: skip
KLINE_KEYS = {
    "symbol", "timestamp", "interval", "open", "high", "low", "close", "volume", "trades", "is_closed",
    "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
}  # fmt: skip


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No `.env` and no settings of this machine."""
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    for name in ("SYMBOLS", "INTERVALS", "REDIS_URL", "VAR_DIR", "CHANNELS"):
        monkeypatch.delenv(name, raising=False)


class Recorder(BinanceDataCollector):
    """Overrides every hook."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.seen: list[Hooked] = []
        self.others: list[Record] = []

    async def on_kline(self, data: dict[str, object]) -> None:
        self.seen.append(("kline", data))

    async def on_trade(self, data: dict[str, object]) -> None:
        self.seen.append(("trade", data))

    async def on_ticker(self, data: dict[str, object]) -> None:
        self.seen.append(("ticker", data))

    async def store_in_postgres(self, data: dict[str, object]) -> None:
        self.seen.append(("postgres", data))

    async def on_record(self, record: Record) -> None:
        self.others.append(record)


@asynccontextmanager
async def hooks_running(collector: BinanceDataCollector) -> AsyncIterator[None]:
    """The task that `start` makes; at the end everything put in has been taken."""
    task = asyncio.create_task(collector._run_hooks())
    try:
        yield
        async with asyncio.timeout(5):
            await collector._queue.join()
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_hooks_get_the_records_keys_with_decimals_in_order() -> None:
    collector = Recorder()
    async with hooks_running(collector):
        for record in (trade(), kline(closed=False), kline(), ticker()):
            collector._tap(record)

    assert [name for name, _ in collector.seen] == ["trade", "kline", "kline", "postgres", "ticker"]
    objects = dict(collector.seen)
    assert set(objects["trade"]) == TRADE_KEYS
    assert set(objects["kline"]) == set(objects["postgres"]) == KLINE_KEYS
    assert objects["trade"]["price"] == Decimal("45180.50")
    assert objects["postgres"]["is_closed"] is True
    assert objects["ticker"]["price"] == Decimal("45180.50")


async def test_extra_channels_come_as_they_are() -> None:
    collector = Recorder()
    records: list[Record] = [aggregate_trade(), mini_ticker(), quote()]
    async with hooks_running(collector):
        for record in records:
            collector._tap(record)

    assert collector.others == records
    assert collector.seen == []


async def test_only_closed_klines_go_to_postgres() -> None:
    class Storing(BinanceDataCollector):
        stored: ClassVar[list[object]] = []

        async def store_in_postgres(self, data: dict[str, object]) -> None:
            self.stored.append(data["is_closed"])

    collector = Storing()
    async with hooks_running(collector):
        for record in (kline(closed=False), kline(), trade(), ticker()):
            collector._tap(record)

    assert collector.stored == [True]


def test_hooks_that_are_not_overridden_cost_nothing() -> None:
    assert BinanceDataCollector()._service._collection.intake.tally.tap is None


def test_records_that_no_hook_wants_do_not_wait() -> None:
    class TradesOnly(BinanceDataCollector):
        async def on_trade(self, data: dict[str, object]) -> None:
            """Takes trades."""

    collector = TradesOnly()
    for record in (kline(), ticker(), aggregate_trade()):
        collector._tap(record)

    assert collector._queue.empty()


async def test_slow_hook_loses_the_oldest_and_the_loss_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facade, "HOOK_QUEUE_MAX", 3)
    collector = Recorder()
    for trade_id in range(1, 6):
        collector._tap(trade(trade_id))

    assert collector.hook_dropped == 2
    async with hooks_running(collector):
        pass
    assert [data["trade_id"] for _, data in collector.seen] == [3, 4, 5]


async def test_hook_that_fails_is_told_and_the_next_record_comes() -> None:
    class Failing(Recorder):
        async def on_trade(self, data: dict[str, object]) -> None:
            await super().on_trade(data)
            raise ZeroDivisionError

    collector = Failing()
    async with hooks_running(collector):
        collector._tap(trade(1))
        collector._tap(trade(2))

    assert [data["trade_id"] for _, data in collector.seen] == [1, 2]


def test_keywords_are_settings_in_lower_case(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("var")
    collector = BinanceDataCollector(
        symbols=["btcusdt", "ETHUSDT"], intervals=("1m",), use_proxy=True, flush_ms=7, var_dir=folder, redis_url=None
    )

    settings = collector._service._settings
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.intervals == ("1m",)
    assert settings.use_proxy is True
    assert settings.flush_ms == 7
    assert settings.var_dir == folder
    assert settings.redis_url is None


def test_keyword_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBOLS", "ETHUSDT")

    assert BinanceDataCollector()._service._settings.symbols == ("ETHUSDT",)
    assert BinanceDataCollector(symbols="BNBUSDT")._service._settings.symbols == ("BNBUSDT",)


def test_keyword_without_an_exchanges_name_is_that_of_the_collected_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(BinanceDataCollector):
        exchange: ClassVar[str | Venue] = structs.replace(
            find_venue("binance"), name="elsewhere", key_prefix="elsewhere:"
        )

    monkeypatch.setenv("ELSEWHERE_SYMBOLS", "ETHUSDT")
    monkeypatch.setenv("SYMBOLS", "BNBUSDT")
    named, by_environment = (
        Elsewhere(symbols=["SOLUSDT"], ws_url="ws://h:1", elsewhere_rest_url="http://h:2"),
        Elsewhere(),
    )
    settings = named._service._settings

    assert named.status().symbols == ["SOLUSDT"]
    assert (settings.exchange, settings.ws_url, settings.rest_url) == ("elsewhere", "ws://h:1", "http://h:2")
    assert by_environment.status().symbols == ["ETHUSDT"]
    assert str(by_environment.status().folder).endswith("/var/elsewhere")
    with pytest.raises(Misconfigured, match="no settings named exchange, mtgox_symbols"):
        Elsewhere(exchange="binance", mtgox_symbols="BTC/USD")


def test_all_faults_of_the_settings_are_told_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        BinanceDataCollector(port="x", flush_ms=0)

    assert "PORT" in str(caught.value)
    assert "FLUSH_MS" in str(caught.value)


def test_exchange_that_is_not_shipped_is_told() -> None:
    class NowhereDataCollector(BinanceDataCollector):
        exchange = "nowhere"

    with pytest.raises(Misconfigured, match="no exchange named 'nowhere'"):
        NowhereDataCollector()


def test_subclass_of_another_exchange_dials_it_and_has_a_folder_and_keys_of_its_own() -> None:
    class KrakenDataCollector(BinanceDataCollector):
        exchange = "kraken"

    collector = KrakenDataCollector()
    settings, status = collector._service._settings, collector.status()

    assert (settings.ws_url, settings.rest_url) == ("wss://ws.kraken.com", "https://api.kraken.com")
    assert (status.symbols, status.key_prefix) == (["BTC/USD", "ETH/USD"], "kraken:")
    assert str(status.folder).endswith("/var/kraken")
    with pytest.raises(
        Misconfigured, match=r"KRAKEN_SYMBOLS='BTCUSD': .* cannot be a symbol; write them as kraken does"
    ):
        KrakenDataCollector(symbols=["BTCUSD"])


def test_users_own_venue_is_given_the_same_way() -> None:
    own = find_venue("binance")

    class OwnCollector(BinanceDataCollector):
        exchange: ClassVar[str | Venue] = own

    assert OwnCollector()._service._venue is own


def test_missing_klines_are_counted_by_the_venues_own_calendar() -> None:
    class TwoMinutes(UtcCalendar):
        def next_open_ms(self, interval: str, open_ms: int) -> int:
            return open_ms + 2 * MINUTE_MS

    class OwnCollector(BinanceDataCollector):
        exchange: ClassVar[str | Venue] = structs.replace(find_venue("binance"), calendar=TwoMinutes())

    collector = OwnCollector(symbols=SYMBOL)
    repairs = collector._service._collection._repairs
    repairs._ledger.opened(Key("kline", SYMBOL, "1m"), NOON_MS, NOON_MS + 2 * MINUTE_MS)

    assert repairs._ledger.status().missing == 2


def test_extra_channels_are_subscribed_to_beside_the_collected_ones() -> None:
    class WithQuotes(BinanceDataCollector):
        extra_channels: ClassVar[tuple[Channel, ...]] = ("quote",)

        async def on_record(self, record: Record) -> None:
            """Takes quotes."""

    collector = WithQuotes(symbols="BTCUSDT", intervals="1m")

    collection = collector._service._collection
    (group,) = collection.wiring.groups(collection.subscribed.current)
    assert set(group.lines[0].streams) == {
        "btcusdt@kline_1m", "btcusdt@trade", "btcusdt@ticker", "btcusdt@bookTicker"
    }  # fmt: skip


async def test_stop_before_start_is_nothing() -> None:
    await BinanceDataCollector().stop()


def test_status_before_start_is_no_collector_running() -> None:
    assert BinanceDataCollector().status().collector_running is False
