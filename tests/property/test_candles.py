"""Klines made of trades, against plain sums of all that was traded: what is given is right, and none is left out."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from data_collector.candles.building import DISORDER_MS, CandleBuilder
from data_collector.model.calendar import DAY_MS, UtcCalendar, place_ms
from data_collector.model.records import Kline, Trade
from tests.market import NOON_MS, SYMBOL

CALENDAR = UtcCalendar()
INTERVALS = ("1m", "3m", "5m", "1h", "1M")
FIRST_ID = 1_000

NUMBERS = st.from_regex(r"[1-9][0-9]{0,5}(\.[0-9]{1,18})?|0\.0{0,8}[1-9]|[1-9]e-0?[1-9]", fullmatch=True)
SIDES = st.sampled_from((True, False, True, False, True, False, None))


class Step(Struct, frozen=True):
    """What happens next: a trade so long after the one before, told so much early, or lost."""

    after_ms: int
    early_ms: int
    price: str
    quantity: str
    maker: bool | None
    is_lost: bool = False
    head: bool = False
    """Whether the exchange tells its newest id right after it."""


STEPS = st.builds(
    Step,
    after_ms=st.sampled_from((0, 1, 700, 5_000, 20_000, 59_999, 60_000, 200_000, 3_600_000)),
    early_ms=st.sampled_from((0, 0, 0, 20, 400)),
    price=NUMBERS,
    quantity=NUMBERS,
    maker=SIDES,
    is_lost=st.sampled_from((False,) * 9 + (True,)),
    head=st.booleans(),
)


STEP = Step(after_ms=0, early_ms=0, price="1", quantity="1", maker=True)


@given(
    steps=st.lists(STEPS, min_size=1, max_size=60), intervals=st.sets(st.sampled_from(("1s", *INTERVALS)), min_size=1)
)
@example(
    steps=[STEP, *[structs.replace(STEP, after_ms=700)] * 3, structs.replace(STEP, early_ms=400, is_lost=True)],
    intervals={"1s"},
)
@settings(max_examples=300, deadline=None)
def test_klines_are_what_the_trades_come_to(steps: Sequence[Step], intervals: set[str]) -> None:
    builder = CandleBuilder(SYMBOL, CALENDAR, sorted(intervals))
    tape: list[Trade] = []
    given_: list[Kline] = []
    now_ms = NOON_MS - 30_000
    is_broken = False
    for number, step in enumerate(steps):
        now_ms += step.after_ms
        time_ms = now_ms - step.early_ms
        tape.append(
            Trade(SYMBOL, FIRST_ID + number, step.price, step.quantity, time_ms, now_ms, step.maker, received_ns=1)
        )
        next_id = FIRST_ID + number + 1
        if step.is_lost:
            is_broken = True
        else:
            if is_broken:
                builder.break_off()
            is_broken = False
            builder.add(tape[-1])
        due_id = next((trade.trade_id for trade, each in zip(tape, steps, strict=False) if not each.is_lost), 0)
        if step.head and not is_broken and due_id <= next_id:
            # Told at some moment of the last seconds.
            builder.prove(next_id - 1, now_ms - 1_500, next_id, now_ms)
        given_ += builder.close(now_ms, next_id)
        for kline in builder.running(now_ms):
            assert_true(kline, tape)
    builder.prove(FIRST_ID + len(steps) - 1, now_ms + 40 * DAY_MS, FIRST_ID + len(steps) - int(is_broken))
    given_ += builder.close(now_ms + 40 * DAY_MS, FIRST_ID + len(steps) - int(is_broken))

    for kline in given_:
        assert_true(kline, tape)
    for interval in intervals:
        opens = [kline.open_ms for kline in given_ if kline.interval == interval]
        assert opens == sorted(set(opens))
        if not any(step.is_lost for step in steps):
            first_ms = tape[0].time_ms + DISORDER_MS
            wanted = {place_of(interval, trade.time_ms) for trade in tape}
            assert {open_ms for open_ms in wanted if open_ms >= first_ms} <= set(opens)


def place_of(interval: str, time_ms: int) -> int:
    place = place_ms(CALENDAR, interval, time_ms)
    assert place is not None
    return place


def assert_true(kline: Kline, tape: Sequence[Trade]) -> None:
    """Against all that was traded in its time, also what the builder did not see."""
    end_ms = CALENDAR.next_open_ms(kline.interval, kline.open_ms)
    trades = [trade for trade in tape if kline.open_ms <= trade.time_ms < end_ms]
    with localcontext() as context:
        context.prec = 100
        amounts = [(Decimal(trade.price), Decimal(trade.quantity), trade.is_buyer_maker) for trade in trades]
        sums = (
            sum(quantity for _, quantity, _ in amounts),
            sum(price * quantity for price, quantity, _ in amounts),
            sum(quantity for _, quantity, maker in amounts if maker is False),
            sum(price * quantity for price, quantity, maker in amounts if maker is False),
        )
        taker_told = all(maker is not None for _, _, maker in amounts)
        told = (kline.volume, kline.quote_volume, kline.taker_buy_base_volume, kline.taker_buy_quote_volume)
        assert [None if each is None else Decimal(each) for each in told] == [
            *sums[:2], *(sums[2:] if taker_told else (None, None))
        ]  # fmt: skip
    assert (kline.open, kline.close, kline.trades) == (trades[0].price, trades[-1].price, len(trades))
    prices = [trade.price for trade in trades]
    assert {kline.high, kline.low} <= set(prices)
    assert (Decimal(kline.high), Decimal(kline.low)) == (max(map(Decimal, prices)), min(map(Decimal, prices)))
    ids = [trade.trade_id for trade in trades]
    follow = ids == list(range(ids[0], ids[-1] + 1))
    assert (kline.first_trade_id, kline.last_trade_id) == ((ids[0], ids[-1]) if follow else (-1, -1))
