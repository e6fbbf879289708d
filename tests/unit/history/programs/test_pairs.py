"""Base and quote of a symbol, as they are named, as the symbol tells them, or as the exchange does."""

from __future__ import annotations

import pytest

from data_collector.history.programs.pairs import Pair, named_pairs, pairs_of
from data_collector.model.errors import Misconfigured

LISTED = {"BTCUSDT": Pair("BTC", "USDT"), "ODDUSD": Pair("../ODD", "USD")}


def test_a_name_goes_before_the_symbol_and_that_before_the_list() -> None:
    named = named_pairs(" xbtusdt=XBT/USDT, ", str.upper)

    assert pairs_of(["XBTUSDT", "BTC/USD", "ETH-EUR", "BTCUSDT"], named, LISTED | {"BTC/USD": Pair("NO", "NO")}) == {
        "XBTUSDT": Pair("XBT", "USDT"), "BTC/USD": Pair("BTC", "USD"), "ETH-EUR": Pair("ETH", "EUR"),
        "BTCUSDT": Pair("BTC", "USDT"),
    }  # fmt: skip


@pytest.mark.parametrize("symbol", ["NOPEUSDT", "ODDUSD"])
def test_an_unknown_pair_and_one_that_is_no_name_are_asked_for(symbol: str) -> None:
    with pytest.raises(Misconfigured, match=f"--pairs {symbol}=BASE/QUOTE"):
        pairs_of(["BTCUSDT", symbol], {}, LISTED)


def test_two_symbols_of_one_pair_are_not_written_into_one_file() -> None:
    with pytest.raises(Misconfigured, match="BTCUSDT and BTC/USDT are both BTC/USDT"):
        pairs_of(["BTCUSDT", "BTC/USDT"], {}, LISTED)


@pytest.mark.parametrize("text", ["BTCUSDT", "BTCUSDT=BTCUSDT", "BTCUSDT=BTC/..\\x", "?=BTC/USDT"])
def test_what_names_no_pair_is_told(text: str) -> None:
    with pytest.raises(Misconfigured, match="names no pair; write BTCUSDT=BTC/USDT,ETHUSDT=ETH/USDT"):
        named_pairs(text, lambda symbol: None if symbol == "?" else symbol)
