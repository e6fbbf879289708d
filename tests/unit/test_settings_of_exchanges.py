"""Settings of an exchange: its own variables and defaults, alone and among several."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.model.errors import Misconfigured
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.venue import Addresses
from data_collector.service.subscription_plan import settings_of_each
from data_collector.settings import load_settings, variables_of_others
from data_collector.venues.discovery import find_venue

OTHER = structs.replace(
    find_venue(FIRST_EXCHANGE), name="other", key_prefix="other:", default_symbols=("BTC/USD", "ETH/USD"),
    addresses=Addresses("wss://stream.other", "https://api.other"),
    read_symbol=lambda text: text.upper() if "/" in text else None,
)  # fmt: skip
"""An exchange with names of its own form, which is not shipped."""


def test_exchange_has_variables_and_defaults_of_its_own() -> None:
    defaults = load_settings({}, None, exchange=OTHER)
    variables_of_other = {
        "OTHER_SYMBOLS": "xbt/eur,other:XBT/EUR", "OTHER_WS_URL": "ws://h:1", "OTHER_REST_URL": "http://h:2",
        "OTHER_API_KEY": "a-key",
    }  # fmt: skip
    settings = load_settings(variables_of_other, None, exchange=OTHER)

    assert (defaults.exchange, defaults.symbols) == ("other", ("BTC/USD", "ETH/USD"))
    assert (defaults.ws_url, defaults.rest_url) == ("wss://stream.other", "https://api.other")
    assert (settings.symbols, settings.ws_url, settings.rest_url) == (("XBT/EUR",), "ws://h:1", "http://h:2")
    assert settings.rest_key == "a-key"
    assert settings.given >= {"symbols", "ws_url", "rest_url", "api_key"}
    assert settings.notices == ()


def test_klines_that_are_made_of_trades_bring_trades_with_them() -> None:
    built = structs.replace(OTHER, klines="built")

    settings = load_settings({"CHANNELS": "kline,ticker"}, None, exchange=built)

    assert settings.channels == ("kline", "ticker", "trade")
    assert settings.notices == ("CHANNELS: other's klines are made of trades, so trades are collected too.",)
    for channels in ("kline,trade", "ticker"):
        assert load_settings({"CHANNELS": channels}, None, exchange=built).notices == ()
        assert load_settings({"CHANNELS": "kline"}, None, exchange=OTHER).notices == ()


def test_defaults_are_what_the_exchange_has() -> None:
    """One that tells neither a ticker nor candles of five minutes is not refused for what nobody has set."""
    bare = structs.replace(OTHER, channels=("kline", "trade"), intervals=("1m", "1h"))

    settings = load_settings({}, None, exchange=bare)

    assert (settings.channels, settings.intervals) == (("kline", "trade"), ("1m", "1h"))
    assert settings.notices == ()
    assert load_settings({"CHANNELS": "ticker"}, None, exchange=bare).channels == ("ticker",)


def test_symbol_is_held_against_the_form_of_its_exchange() -> None:
    with pytest.raises(Misconfigured, match=r"OTHER_SYMBOLS='BTCUSD': 'BTCUSD' .* as other does.*: BTC/USD,ETH/USD"):
        load_settings({"OTHER_SYMBOLS": "BTCUSD"}, None, exchange=OTHER)


def test_variables_of_an_exchange_that_is_not_collected_have_no_effect_and_are_told() -> None:
    settings = load_settings({"SYMBOLS": "SOLUSDT", "BINANCE_API_KEY_FILE": "/nowhere"}, None, exchange=OTHER)

    (notice,) = settings.notices
    assert settings.symbols == OTHER.default_symbols
    assert notice.startswith("BINANCE_API_KEY_FILE, SYMBOLS: of binance, and other is collected, so without effect;")
    assert "OTHER_SYMBOLS names what is collected" in notice


def test_several_exchanges_have_settings_of_their_own() -> None:
    given = {"EXCHANGES": "kraken, Binance", "SYMBOLS": "BNBUSDT", "KRAKEN_SYMBOLS": "XRP/USD"}
    first, second = load_settings(given, None), load_settings(given, None, exchange="binance")

    assert (first.exchange, first.exchanges, first.symbols) == ("kraken", ("kraken", "binance"), ("XRP/USD",))
    assert first.notices == ()
    assert (second.exchange, second.exchanges, second.symbols) == ("binance", ("binance",), ("BNBUSDT",))
    with pytest.raises(Misconfigured, match="KRAKEN_SYMBOLS"):
        load_settings({"EXCHANGES": "binance,kraken", "KRAKEN_SYMBOLS": "BTC:USD"}, None)


def test_a_collector_of_several_is_told_of_no_variable_of_another() -> None:
    hidden = variables_of_others("kraken")

    assert {"SYMBOLS", "BINANCE_WS_URL", "BINANCE_API_KEY_FILE"} <= set(hidden)
    assert not {"KRAKEN_SYMBOLS", "REDIS_URL", "INTERVALS"} & set(hidden)


def test_faults_of_several_exchanges_are_told_in_one_message_and_each_once() -> None:
    given = {
        "EXCHANGES": "binance,coinbase,kraken", "PORT": "x", "COINBASE_SYMBOLS": "{}", "KRAKEN_REST_URL": "ftp://x",
    }  # fmt: skip
    with pytest.raises(Misconfigured) as caught:
        load_settings(given, None)

    assert [line.partition("=")[0] for line in str(caught.value).splitlines()[1:-1]] == [
        "  - PORT", "  - COINBASE_SYMBOLS", "  - KRAKEN_REST_URL",
    ]  # fmt: skip


def test_exchange_that_is_named_twice_is_collected_once_and_that_is_told() -> None:
    settings = load_settings({"EXCHANGES": "binance, kraken ,Binance,"}, None)

    assert settings.exchanges == ("binance", "kraken")
    assert settings.notices == (
        "EXCHANGES='binance, kraken ,Binance,' names one more than once; each is collected once.",
    )
    assert load_settings({"EXCHANGES": " kraken,"}, None).notices == ()


def test_each_of_several_collects_what_it_has() -> None:
    """INTERVALS and CHANNELS are for all, and hardly two exchanges have the same."""
    given = {"INTERVALS": "1m,4h", "CHANNELS": "trade,quote"}

    found = settings_of_each(["binance", "coinbase"], given)

    assert (found["binance"].intervals, found["binance"].notices) == (("1m", "4h"), ())
    assert (found["coinbase"].intervals, found["coinbase"].channels) == (("1m",), ("trade",))
    assert found["coinbase"].notices == (
        "INTERVALS: coinbase has no 4h, which is collected of the others alone.",
        "CHANNELS: coinbase has no quote, which is collected of the others alone.",
    )
    assert settings_of_each(["coinbase"], given)["coinbase"].intervals == ("1m", "4h"), "which it refuses at its start"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"INTERVALS": "1m,2h"}, "INTERVALS: none of coinbase, kraken has 2h."),
        ({"INTERVALS": "6h"}, "INTERVALS: kraken has none of 6h."),
    ],
)
def test_what_none_has_is_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        settings_of_each(["coinbase", "kraken"], given)
