"""Records of every kind with any content that a frame can carry."""

from __future__ import annotations

from hypothesis import strategies as st

from data_collector.model.records import AggregateTrade, Kline, MiniTicker, Quote, Record, Ticker, Trade

TIMES_MS = st.integers(10**12, 4 * 10**12)
"""The years 2001 to 2096: below, microseconds could be taken for milliseconds."""

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
DIGITS = st.from_regex(r"(0|[1-9][0-9]{0,19})(\.[0-9]{1,18})?", fullmatch=True)
"""Decimal numbers as exchanges write them."""

INTERVALS = st.sampled_from(
    ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
)


def trades(*, microseconds: bool) -> st.SearchStrategy[Trade]:
    """Of a connection that speaks microseconds, or milliseconds."""
    order_ids = st.none() | INTEGERS
    return st.builds(
        Trade,
        symbol=TEXTS,
        trade_id=INTEGERS,
        price=TEXTS,
        quantity=TEXTS,
        time_ms=TIMES_MS,
        event_ms=TIMES_MS,
        is_buyer_maker=st.booleans(),
        received_ns=st.just(7),
        buyer_order_id=order_ids,
        seller_order_id=order_ids,
        sub_ms_us=st.integers(0, 999) if microseconds else st.none(),
    )


_TICKER_TIMES = ("open_time", "close_time")
_TICKER_IDS = ("first_id", "last_id", "count")
_TICKER_NUMBERS = {
    name: TIMES_MS if name in _TICKER_TIMES else INTEGERS if name in _TICKER_IDS else TEXTS
    for name in Ticker.__struct_fields__ if name not in {"symbol", "volume", "event_ms", "received_ns"}
}  # fmt: skip
"""Of a ticker that tells everything, as the frames that are encoded here do."""


_KLINE_AMOUNTS = {
    "quote_volume": TEXTS, "taker_buy_base_volume": TEXTS, "taker_buy_quote_volume": TEXTS, "trades": INTEGERS,
}  # fmt: skip


def records(*, microseconds: bool) -> st.SearchStrategy[Record]:
    """Of every kind, with all that Binance sends."""
    times = {"open_ms": TIMES_MS, "close_ms": TIMES_MS, "event_ms": TIMES_MS, "received_ns": st.just(7)}
    return st.one_of(
        trades(microseconds=microseconds),
        st.builds(Kline, **_KLINE_AMOUNTS, **times),
        st.builds(Ticker, **_TICKER_NUMBERS, event_ms=TIMES_MS, received_ns=st.just(7)),
        st.builds(AggregateTrade, time_ms=TIMES_MS, event_ms=TIMES_MS, received_ns=st.just(7)),
        st.builds(MiniTicker, event_ms=TIMES_MS, received_ns=st.just(7)),
        st.builds(Quote, received_ns=st.just(7)),
    )


st.register_type_strategy(str, TEXTS)
st.register_type_strategy(int, INTEGERS)
