"""The repair of klines: when REST is asked, for what, and when it is given up. Time stands still until it is moved."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from data_collector.model.backoff import REPEATED_S
from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Record, Ticker, Trade
from data_collector.model.sink import Behind
from data_collector.model.venue import KlinePage, SymbolRules, TradePage, TradePlace
from data_collector.pipeline.gaps.attempts import GAP_DEADLINE_S
from data_collector.pipeline.gaps.ledger import HealSource, Ledger
from data_collector.pipeline.repair.due_kline import ASK_AGAIN_S
from data_collector.pipeline.repair.kline_repair import GRACE_S, KlineRepair
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline
from tests.unit.pipeline.intake_scene import Scene

HOUR_S = 3_600.0

NEVER = VenueRefused("The exchange does not tell that.")


class Market:
    """The REST side of an exchange that has some klines; it is away as long as `away`."""

    weight_used = 0
    key_wanted: str | None = None
    background_weight_per_minute = 2700

    def __init__(self, rows_max: int = 1_000) -> None:
        self.rows_max = rows_max
        self.now_ms = NOON_MS
        self.rows: dict[tuple[str, int], Kline] = {}
        self.oldest_ms = 0
        """It serves nothing that opened earlier."""
        self.away = False
        self.wait_s: float | None = None  # it says to be away for so long
        self.banned = False
        self.refused: dict[str, VenueRefused] = {}
        """Intervals that it will never tell."""
        self.tape: list[Trade] | None = None  # klines without trades are left out then
        self.asked: list[tuple[str, int, int]] = []
        """Interval, and the minutes from noon that were asked for."""

    def has(self, *minutes: int, **changes: object) -> None:
        for minute in minutes:
            row = kline(minute, first_trade_id=-1, last_trade_id=-1, received_ns=0, **changes)
            self.rows[row.interval, row.open_ms] = structs.replace(row, event_ms=row.close_ms + 1)

    async def klines(
        self, symbol: str, interval: str, first_ms: int, last_ms: int, *, urgent: bool = False
    ) -> KlinePage:
        self.asked.append((interval, (first_ms - NOON_MS) // MINUTE_MS, (last_ms - NOON_MS) // MINUTE_MS))
        if self.away:
            raise VenueUnreachable("The exchange is away.", retry_after_s=self.wait_s)
        if interval in self.refused:
            raise self.refused[interval]
        assert symbol == SYMBOL
        klines = [
            row
            for (of, open_ms), row in sorted(self.rows.items())
            if of == interval and max(first_ms, self.oldest_ms) <= open_ms <= last_ms
        ][: self.rows_max]
        if not klines:
            return KlinePage([], first_ms, first_ms - 1)
        tells_quiet = self.tape is None
        return KlinePage(klines, klines[0].open_ms, klines[-tells_quiet].open_ms, tells_quiet=tells_quiet)

    async def heads(self, symbols: Sequence[str]) -> dict[str, int]:
        return {}

    async def first_trade_ms(self, symbol: str) -> int | None:
        return None

    async def server_time_ms(self) -> int:
        if self.banned:
            raise VenueRefused("The exchange does not serve this place.")
        return self.now_ms

    async def symbols(self) -> dict[str, SymbolRules]:
        return {}

    async def tickers(self, symbols: Sequence[str]) -> list[Ticker]:
        return []

    async def trades(
        self, symbol: str, from_id: int, *, near: TradePlace | None = None, limit: int = 1000, urgent: bool = False
    ) -> TradePage:
        return TradePage([trade for trade in self.tape or () if trade.trade_id >= from_id][:limit], reaches_head=True)

    async def first_trade_id(self, symbol: str, since_ms: int, *, urgent: bool = False) -> int | None:
        return next((trade.trade_id for trade in self.tape or () if trade.time_ms >= since_ms), None)

    async def newest_trade_id(self, symbol: str) -> int | None:
        return None

    async def close(self) -> None:
        pass


class RepairScene(Scene):
    """An intake, a REST side, and the repair between them."""

    def __init__(self, *, catch_up_s: float = HOUR_S, rows_max: int = 1_000, are_built: bool = False) -> None:
        self.market = Market(rows_max)
        super().__init__(catch_up_s=catch_up_s, are_built=are_built)
        self.repair = KlineRepair(self.intake, self.market, rows_max, trades=self.market, clock=lambda: self.now_s)

    def send(self, *records: Record) -> None:
        """The exchange's clock is no earlier than what it sends, and REST has told it, once it was asked."""
        sent_ms = [record.event_ms for record in records if isinstance(record, Kline | Trade | Ticker)]
        self.market.now_ms = max(self.market.now_ms, *sent_ms)
        if self.intake.tally.clock.rest.is_known:
            self.intake.tally.note_rest(self.market.now_ms)
        super().send(*records)

    async def pass_s(self, seconds: float) -> None:
        """Time passes, here and at the exchange; the repair looks at both ends."""
        await self.repair.look()
        self.now_s += seconds
        self.market.now_ms += int(seconds * 1000)
        await self.repair.look()

    def stored(self, interval: str = "1m") -> list[tuple[int, str]]:
        """Minutes and sources of the closed klines that went on since the last time."""
        return [
            ((each.kline.open_ms - NOON_MS) // MINUTE_MS, each.source)
            for updates in self.take().klines
            for each in updates
            if each.kline.is_closed and each.kline.interval == interval
        ]

    def gaps(self) -> list[Gap]:
        return [gap for updates in self.take().klines for each in updates for gap in each.gaps]

    @property
    def asked(self) -> list[tuple[str, int, int]]:
        asked, self.market.asked = self.market.asked, []
        return asked


@pytest.fixture
def scene() -> RepairScene:
    """The kline of noon has closed; those before it, for charts, are asked for."""
    return RepairScene()


async def begun(scene: RepairScene) -> None:
    scene.send(kline(0))
    scene.market.has(0)
    await scene.repair.look()
    scene.take()
    assert [interval for interval, *_ in scene.asked] == ["1m"]


def at(minute: float) -> int:
    return NOON_MS + int(minute * MINUTE_MS)


def clock(scene: RepairScene, minute: float) -> None:
    """A message of another interval tells the exchange's time."""
    scene.market.now_ms = at(minute)
    scene.send(kline(0, interval="1h", closed=False, event_ms=at(minute)))


async def test_kline_that_is_not_over_is_not_asked_for(scene: RepairScene) -> None:
    await begun(scene)
    await scene.pass_s(50)

    assert scene.asked == []


async def test_quiet_symbol_gets_its_kline_after_the_grace_with_one_call(scene: RepairScene) -> None:
    await begun(scene)
    scene.market.has(1)
    clock(scene, 2)

    await scene.pass_s(GRACE_S - 0.1)
    assert scene.asked == []
    await scene.pass_s(0.2)

    assert scene.asked == [("1m", 0, 1)]
    assert scene.stored() == [(1, "rest")]
    await scene.pass_s(30)
    assert scene.asked == []


async def test_one_call_covers_all_that_is_missing(scene: RepairScene) -> None:
    await begun(scene)
    scene.market.has(*range(1, 10))
    clock(scene, 8)
    scene.send(kline(6))

    await scene.pass_s(GRACE_S)

    assert scene.asked == [("1m", 0, 7)]
    assert scene.stored() == [(1, "rest"), (2, "rest"), (3, "rest"), (4, "rest"), (5, "rest"), (6, "ws"), (7, "rest")]


async def test_closing_frame_within_the_grace_needs_no_call(scene: RepairScene) -> None:
    await begun(scene)
    clock(scene, 2)
    await scene.pass_s(GRACE_S - 1)
    scene.send(kline(1))
    await scene.pass_s(2)

    assert scene.asked == []


async def test_hole_that_the_exchange_has_is_absent_after_three_answers(scene: RepairScene) -> None:
    await begun(scene)
    scene.market.has(3)
    clock(scene, 4)

    for _ in range(3):
        await scene.pass_s(ASK_AGAIN_S)
    assert len(scene.asked) == 3

    assert scene.gaps() == [Gap(at(1), at(2), 2, "absent")]
    assert ASK_AGAIN_S * 2 >= REPEATED_S


async def test_market_that_rests_is_asked_less_and_less_and_loses_nothing(scene: RepairScene) -> None:
    await begun(scene)
    clock(scene, 2)
    for _ in range(int(2 * GAP_DEADLINE_S)):
        await scene.pass_s(1)

    assert 15 < len(scene.asked) < 30
    assert scene.intake.klines.series[Key("kline", SYMBOL, "1m")].due_ms == at(1)


async def test_rest_side_that_stays_away_costs_what_is_older_than_the_deadline(scene: RepairScene) -> None:
    await begun(scene)
    clock(scene, 2)
    scene.market.away = True
    await scene.pass_s(GRACE_S)
    for _ in range(int(GAP_DEADLINE_S)):
        await scene.pass_s(1)
    scene.send(kline(2))

    assert scene.gaps() == [Gap(at(1), at(1), 1, "lost")]
    assert len(scene.asked) < 60


async def test_rest_side_that_comes_back_heals_all(scene: RepairScene) -> None:
    await begun(scene)
    scene.market.has(1, 2, 3)
    scene.market.away = True
    clock(scene, 4)
    await scene.pass_s(GRACE_S)
    scene.market.away = False
    await scene.pass_s(60)

    assert scene.stored() == [(1, "rest"), (2, "rest"), (3, "rest")]


async def test_series_that_is_never_told_does_not_hold_up_the_others(scene: RepairScene) -> None:
    await begun(scene)
    scene.intake.klines.begin({Key("kline", SYMBOL, "1h"): at(-60)})
    scene.market.refused.update({"1h": NEVER})
    scene.market.has(1)
    clock(scene, 2)

    await scene.pass_s(GRACE_S)

    assert [interval for interval, *_ in scene.asked] == ["1h", "1h", "1m"]
    assert scene.stored() == [(1, "rest")]


async def test_refused_row_is_declared(scene: RepairScene) -> None:
    await begun(scene)
    scene.market.has(1, low="-1")
    scene.market.has(2)
    clock(scene, 3)
    await scene.pass_s(GRACE_S)

    assert scene.gaps() == [Gap(at(1), at(1), 1, "refused", ("price_not_negative",))]


async def test_refused_frame_costs_no_call(scene: RepairScene) -> None:
    await begun(scene)
    scene.send(kline(1, low="-1"))
    clock(scene, 2)
    await scene.pass_s(GRACE_S)
    scene.send(kline(2))

    assert scene.asked == []
    assert scene.gaps() == [Gap(at(1), at(1), 1, "refused", ("price_not_negative",))]


async def test_start_fetches_at_once_what_the_store_lacks(scene: RepairScene) -> None:
    scene.market.now_ms = at(4.5)
    scene.market.has(1, 2, 3)
    scene.intake.klines.begin({Key("kline", SYMBOL, "1m"): at(1)})

    await scene.repair.look()

    assert scene.stored() == [(1, "rest"), (2, "rest"), (3, "rest")]


async def test_start_skips_what_is_older_than_the_catch_up() -> None:
    scene = RepairScene(catch_up_s=120)
    scene.market.now_ms = at(10.5)
    scene.market.has(*range(1, 10))
    scene.intake.klines.begin({Key("kline", SYMBOL, "1m"): at(1)})

    await scene.repair.look()

    assert scene.asked == [("1m", 7, 9)]
    assert scene.gaps() == [Gap(at(1), at(7), 7, "skipped")]


async def test_store_that_lost_more_than_is_remembered_is_filled_by_rest(scene: RepairScene) -> None:
    scene.market.now_ms = at(7)
    scene.send(kline(5), kline(6))
    await scene.repair.look()
    scene.take()
    scene.market.has(*range(10))
    scene.intake.klines.go_back(Behind(Key("kline", SYMBOL, "1m"), at(3)))

    await scene.repair.look()

    assert scene.stored() == [(3, "rest"), (4, "rest"), (5, "ws"), (6, "ws")]


async def test_ledger_learns_how_a_gap_was_closed(scene: RepairScene) -> None:
    told: list[tuple[object, ...]] = []

    class Notes(Ledger):
        """Keeps what it is told."""

        def opened(self, key: Key, first: int, last: int) -> None:
            told.append(("opened", key.interval, first, last))

        def healed(self, key: Key, first: int, last: int, source: HealSource, *, are_ordinary: bool = False) -> None:
            told.append(("healed", source, first, last))

        def given_up(
            self, key: Key, first: int, last: int, reason: GapReason, *, epoch: int | None = None,
            rules: tuple[str, ...] = (),
        ) -> None:  # fmt: skip
            told.append(("given_up", reason, first, last))

    await begun(scene)
    scene.intake.klines.ledger = Notes(lambda: 0.0)
    scene.market.has(2)
    clock(scene, 3)
    for _ in range(3):
        await scene.pass_s(ASK_AGAIN_S)

    assert told[0] == ("opened", "1m", at(1), at(2))
    assert told[-2:] == [("given_up", "absent", at(1), at(1)), ("healed", "rest", at(2), at(2))]


async def test_months_are_counted_by_the_calendar() -> None:
    scene = RepairScene(catch_up_s=90 * 86_400)
    january, february, march = 1_704_067_200_000, 1_706_745_600_000, 1_709_251_200_000
    month = kline(interval="1M", open_ms=february, close_ms=march - 1)
    unseen = structs.replace(month, event_ms=march, first_trade_id=-1, last_trade_id=-1, received_ns=0)
    scene.market.rows["1M", february] = unseen
    scene.market.now_ms = march + 86_400_000
    scene.intake.klines.begin({Key("kline", SYMBOL, "1M"): february})

    await scene.repair.look()

    assert scene.intake.klines.series[Key("kline", SYMBOL, "1M")].due_ms == march
    assert UtcCalendar().next_open_ms("1M", january) == february


async def test_what_contradicts_our_trades_is_compared_with_rest(scene: RepairScene) -> None:
    await begun(scene)
    frame = kline(0)
    scene.intake.klines.compare(frame)
    scene.market.has(0, volume="123.455")
    clock(scene, 3)

    await scene.repair.look()

    assert scene.asked == [("1m", 0, 0)]
    assert [one.record.volume for one in scene.take().revisions] == ["123.455"]
    assert scene.intake.klines.doubts.waiting == []
