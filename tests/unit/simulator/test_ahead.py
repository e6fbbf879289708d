"""What much of the past is needed for is made in pieces, between which streams have their turns, at each exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from data_collector.model.calendar import DAY_MS
from data_collector.simulator.market.flow import Flow
from data_collector.simulator.market.market import Market
from data_collector.simulator.market.prints import Prints
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.coinbase.speaker.endpoints import Answerer as Coinbase
from data_collector.venues.kraken.speaker.endpoints import Answerer as Kraken

START_MS = 1_700_000_030_000
HOURS = 7 * 24

Ask = Callable[[Market], tuple[Iterator[None], Callable[[], object]]]


def kraken(method: str, **query: str) -> Ask:
    def ask(market: Market) -> tuple[Iterator[None], Callable[[], object]]:
        answerer = Kraken(market)
        return answerer.ahead(method, query), lambda: answerer.answer(method, query, None)

    return ask


def coinbase(path: str, **query: str) -> Ask:
    def ask(market: Market) -> tuple[Iterator[None], Callable[[], object]]:
        answerer = Coinbase(market)
        return answerer.ahead(path, query), lambda: answerer.answer(path, query, None)

    return ask


@pytest.mark.parametrize(
    ("ask", "pieces"),
    [
        (kraken("OHLC", pair="XBTUSD", interval="60"), HOURS),
        (kraken("Ticker", pair="XBTUSD"), 24),
        (coinbase("/products/BTC-USD/candles", granularity="3600"), HOURS),
        (coinbase("/products/BTC-USD/stats"), 24),
    ],
)
def test_past_is_made_in_pieces(ask: Ask, pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SimulatorSettings(start_ms=START_MS, symbols=("BTCUSD",), trades_per_s=0.5, history_ms=7 * DAY_MS)
    market = Market(settings, START_MS)
    ahead, answer = ask(market)
    made: list[int] = []
    prints = Flow.prints

    def counted(flow: Flow, first: int, end: int) -> Prints:
        made.append(end - first)
        return prints(flow, first, end)

    monkeypatch.setattr(Flow, "prints", counted)

    for _ in ahead:
        assert sum(made) <= 90, "an hour at a time, and the edges"
        made.clear()
        pieces -= 1
    made.clear()
    answer()

    assert pieces <= 1
    assert sum(made) <= 120, "no more than the edges is left"
