"""Candles of an exchange whose REST side gives its newest 720 alone: older ones are made of its trades."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.cli.history.backfill import BackfillOptions, filled
from data_collector.history.events import Event, Planned, Progressed
from data_collector.history.retrying import Stopping
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import VenueRefused
from data_collector.model.venue import KlinePage, Reach, TradePage
from data_collector.settings import load_settings
from data_collector.venues.binance.rest import BinanceRest
from data_collector.venues.binance.venue import VENUE
from tests.integration.past import PAST, START_MS, Past, past
from tests.integration.postgres_server import execute, rows

KEPT = 720
MINUTE_MS = 60_000
FROM_MS = START_MS - 2 * DAY_MS
KEPT_FROM_MS = START_MS - KEPT * MINUTE_MS
END_MS = START_MS - MINUTE_MS
"""What ends now is left to the live feed."""


class KeepsFew(BinanceRest):
    """Whatever is asked for: of each interval the newest ones alone, without volumes in the other currency."""

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        step_ms = VENUE.calendar.next_open_ms(interval, 0)
        kept_ms = START_MS - KEPT * step_ms
        if last_ms < kept_ms:
            return KlinePage([], first_ms, first_ms - 1)
        page = await super().klines(symbol, interval, max(first_ms, kept_ms), last_ms, urgent=urgent)
        unknown = {"quote_volume": None, "taker_buy_base_volume": None, "taker_buy_quote_volume": None}
        return structs.replace(page, klines=[structs.replace(each, **unknown) for each in page.klines])


FEW = structs.replace(VENUE, klines="built", open_rest=KeepsFew, reach=Reach(1_000, KEPT, KEPT))


@pytest.fixture
async def world(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Past]:
    monkeypatch.setattr("data_collector.cli.history.backfill.find_venue", lambda _: FEW)
    async with past(tmp_path, database, PAST) as world:
        yield world


def stored(world: Past, interval: str) -> list[tuple[object, ...]]:
    query = f"""select (extract(epoch from "timestamp") * 1000)::bigint, open, high, low, close,
        volume, trades, quote_volume, taker_buy_base_volume, taker_buy_quote_volume
        from market_data_ohlcv where interval = '{interval}' and source = 'built' order by 1"""
    return rows(world.dsn, query)


def made_until(made: list[tuple[object, ...]]) -> int:
    """The last answer about trades goes on to where REST gives the candles too."""
    return int(str(made[-1][0])) + 1


def of_the_market(world: Past, interval: str, from_ms: int, to_ms: int) -> list[tuple[object, ...]]:
    """Those with trades."""
    return [
        (
            each.open_ms, *map(Decimal, (each.open, each.high, each.low, each.close, each.volume)), each.trades,
            *map(Decimal, (each.quote_volume or "-1", each.taker_buy_base_volume or "-1")),
            Decimal(each.taker_buy_quote_volume or "-1"),
        )
        for each in world.simulator.closed_klines("BTCUSDT", interval) if from_ms <= each.open_ms < to_ms
    ]  # fmt: skip


async def test_candles_that_rest_does_not_keep_are_made_of_trades(world: Past) -> None:
    """Two days of minutes, of which REST gives the newest 720: none of the others is absent, all are there."""
    ended = await world.told()
    again = await world.told()

    assert (ended.outcome, ended.absent, ended.unproven) == ("complete", 0, 0)
    assert world.stored() == list(range(FROM_MS, END_MS, MINUTE_MS))
    made = stored(world, "1m")
    assert [row for row in made if row[6]] == of_the_market(world, "1m", FROM_MS, made_until(made))
    assert (made[0][0], made_until(made) >= KEPT_FROM_MS) == (FROM_MS, True)
    assert (again.outcome, again.added, world.gaps()) == ("complete", 0, [])


async def test_quiet_minutes_have_the_price_of_the_trade_before(world: Past) -> None:
    await world.told()

    price = Decimal(0)
    for row in stored(world, "1m"):
        if row[6]:
            price = Decimal(str(row[4]))
        elif price:
            assert row[1:] == (price, price, price, price, 0, 0, 0, 0, 0)


async def test_longer_candles_are_summed_up_from_the_shorter_ones(world: Past) -> None:
    """Candles of three minutes cost no request for trades beside those of a minute."""
    before = world.requests()
    await world.told()
    for_minutes = world.requests() - before
    execute(world.dsn, "delete from market_data_ohlcv")
    before = world.requests()
    ended = await world.told(intervals="3m,1m")

    assert ended.outcome == "complete"
    assert world.stored(interval="3m") == list(range(FROM_MS, START_MS - 3 * MINUTE_MS, 3 * MINUTE_MS))
    made = stored(world, "3m")
    assert [row for row in made if row[6]] == of_the_market(world, "3m", FROM_MS, made_until(made))
    assert world.requests() - before - for_minutes < 5


async def test_trades_that_the_database_has_are_not_asked_for_again(world: Past) -> None:
    await world.told(intervals="", with_trades=True)
    before = world.requests()
    ended = await world.told()

    assert ended.outcome == "complete"
    made = stored(world, "1m")
    assert [row for row in made if row[6]] == of_the_market(world, "1m", FROM_MS, made_until(made))
    assert world.requests() - before < 15


async def test_broken_off_it_goes_on_where_it_was(world: Past) -> None:
    stopping = Stopping()

    def stop(event: Event) -> None:
        if isinstance(event, Progressed) and event.done:
            stopping.request()

    settings = load_settings(world.variables, None)
    first = await filled(settings, BackfillOptions("BTCUSDT", "1m", "2025-12-30"), stop, stopping)
    between = len(world.stored())
    ended = await world.told()

    assert first is not None
    assert (first.outcome, 0 < between < (END_MS - FROM_MS) // MINUTE_MS) == ("stopped", True)
    assert (ended.outcome, ended.added) == ("complete", (END_MS - FROM_MS) // MINUTE_MS - between)
    made = stored(world, "1m")
    assert [row for row in made if row[6]] == of_the_market(world, "1m", FROM_MS, made_until(made))


async def test_plan_tells_the_requests_for_trades(world: Past) -> None:
    await world.told()

    (plan,) = (event for event in world.events if isinstance(event, Planned))
    assert plan.rows == (END_MS - FROM_MS) // MINUTE_MS
    trades = sum(FROM_MS <= each.time_ms < KEPT_FROM_MS for each in world.simulator.tape("BTCUSDT"))
    assert plan.requests == -(-trades // 1_000) + 1
    assert plan.weight == 25 * (plan.requests - 1) + 2

    execute(world.dsn, "delete from market_data_ohlcv")
    await world.told(with_trades=True, intervals="1m,3m")
    (plan,) = (event for event in world.events if isinstance(event, Planned))
    assert {each.series: each.requests for each in plan.series if "trades" not in each.series} == {
        "BTCUSDT 1m": 1, "BTCUSDT 3m": 1,
    }  # fmt: skip


async def test_what_the_exchange_gives_no_trades_of_is_not_given_and_the_rest_is_filled(
    world: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> TradePage:
        raise VenueRefused("trades of old are no more")

    monkeypatch.setattr(KeepsFew, "trades", refuse)
    ended = await world.told()

    assert (ended.outcome, ended.absent) == ("incomplete", 0)
    assert world.stored() == list(range(KEPT_FROM_MS, END_MS, MINUTE_MS))
    assert ended.unproven == (KEPT_FROM_MS - FROM_MS) // MINUTE_MS
    assert ended.reports[0].reason.endswith("trades of old are no more")
    assert world.gaps() == []


async def test_time_before_the_first_trade_is_absent_and_what_trades_do_not_prove_is_not_given(world: Past) -> None:
    ended = await world.told("2025-12-20", "2025-12-31")
    again = await world.told("2025-12-20", "2025-12-31")

    first = world.simulator.tape("BTCUSDT")[0]
    assert ended.outcome == "complete"
    assert world.stored()[0] == first.time_ms // MINUTE_MS * MINUTE_MS
    assert ended.absent == (world.stored()[0] - (START_MS - 12 * DAY_MS)) // MINUTE_MS
    assert (again.outcome, again.added, again.absent) == ("complete", 0, 0)
