"""What the URL of a stream connection asks for."""

from __future__ import annotations

import pytest

from data_collector.simulator.speaker import Form
from data_collector.venues.binance.speaker.streams import Target, parse_target

TRADE, KLINE = "btcusdt@trade", "btcusdt@kline_1d@+08:00"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/ws", Target()),
        (b"/ws/", Target()),
        (b"/ws/0", Target()),
        (b"/ws/btcusdt@trade", Target(streams=(TRADE,))),
        (b"/ws/btcusdt@trade/btcusdt@kline_1d@+08:00", Target(streams=(TRADE, KLINE))),
        (b"/ws/btcusdt%40trade", Target(streams=(TRADE,))),
        (b"/ws/btcusdt@trade?timeUnit=microsecond", Target(Form(microseconds=True), (TRADE,))),
        (b"/stream", Target(Form(combined=True))),
        (b"/stream?streams=btcusdt@trade/!miniTicker@arr", Target(Form(combined=True), (TRADE, "!miniTicker@arr"))),
        (b"/stream?streams=btcusdt%40trade%2Fbtcusdt%40kline_1d%40%2B08%3A00",
         Target(Form(combined=True), (TRADE, KLINE))),
        (b"/stream?timeUnit=MICROSECOND&streams=btcusdt@trade",
         Target(Form(combined=True, microseconds=True), (TRADE,))),
        (b"/stream?timeUnit=MILLISECOND", Target(Form(combined=True))),
    ],
)  # fmt: skip
def test_form_unit_and_streams_come_from_the_url(path: bytes, expected: Target) -> None:
    assert parse_target(path) == expected


def test_a_plus_sign_in_a_query_is_taken_as_it_is() -> None:
    target = parse_target(b"/stream?streams=btcusdt@kline_1d@+08:00")

    assert target is not None
    assert target.streams == (KLINE,)


@pytest.mark.parametrize("path", [b"/ws/@@@x", b"/stream?streams=btcusdt@trade/a@b@c"])
def test_malformed_names_are_refused_with_the_connection(path: bytes) -> None:
    target = parse_target(path)

    assert target is not None
    assert target.refusal is not None
    assert target.refusal.closes


@pytest.mark.parametrize("path", [b"/", b"/other", b"/wsx/btcusdt@trade", b"/api/v3/ping", b"\xff"])
def test_other_paths_lead_nowhere(path: bytes) -> None:
    assert parse_target(path) is None
