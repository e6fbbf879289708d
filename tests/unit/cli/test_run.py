"""The screen of `run` and `demo`: a welcome, and then what stays wrong."""

from __future__ import annotations

import pytest

from data_collector.cli.run import Screen
from data_collector.model.status import Snapshot
from data_collector.settings import load_settings

URL = "http://127.0.0.1:8001"


DSN = "postgresql://postgres:word@127.0.0.1:5432/market_data"


def shown(screen: Screen, capsys: pytest.CaptureFixture[str], *reasons: str) -> str:
    """What it prints at a look that finds these."""
    screen.show(URL, Snapshot(redis_url="redis://127.0.0.1:6379/0", reasons=list(reasons)))
    return capsys.readouterr().out


def test_what_stays_wrong_is_told_once_and_its_end_too(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(load_settings({}), ending="Ctrl-C ends it.")

    told = [
        shown(screen, capsys, *reasons)
        for reasons in (
            [],
            ["history: no PostgreSQL (since 3 s)"],
            ["history: no PostgreSQL (since 8 s)"],
            ["history: no PostgreSQL (since 13 s)"],
            [],
            [],
            [],
        )
    ]

    assert "Data Collector is running." in told[0]
    assert f"  export REDIS_URL=redis://127.0.0.1:6379/0 DATA_COLLECTOR_API={URL}\n" in told[0]
    assert told[1:] == ["", "Not well: history: no PostgreSQL (since 8 s)\n", "", "", "All is well again.\n", ""]


def test_what_is_over_at_the_next_look_is_not_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(load_settings({}), ending="Ctrl-C ends it.")
    shown(screen, capsys)

    assert [shown(screen, capsys, reason) for reason in ("line A is down", "line B is down")] == ["", ""]
    assert shown(screen, capsys) == ""


def test_commands_in_another_terminal_are_told_which_exchange_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    first, other = (
        Screen(load_settings({}, exchange=name), ending="Ctrl-C ends it.") for name in ("binance", "kraken")
    )
    usual = shown(first, capsys)
    told = shown(other, capsys)

    assert "EXCHANGES=" not in usual
    assert f" DATA_COLLECTOR_API={URL} EXCHANGES=kraken\n" in told
    assert "  Exchange       wss://ws.kraken.com, https://api.kraken.com  (kraken)\n" in told


def test_address_of_the_database_is_shown_to_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(load_settings({}), ending="Ctrl-C ends it.").show(URL, Snapshot(database_url=DSN))

    assert f"\n  export DATABASE_URL={DSN}\n" in capsys.readouterr().out


def test_the_screen_of_several_exchanges_names_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(load_settings({"EXCHANGES": "kraken,binance"}, None), ending="Ctrl-C ends it.")

    screen.show(URL, Snapshot(symbols=["kraken:BTC/USD", "BTCUSDT"]))

    told = capsys.readouterr().out
    assert "https://api.kraken.com  (kraken), and binance: what follows is kraken's\n" in told
    assert "  Collecting     kraken:BTC/USD, BTCUSDT  (" in told
    assert f"  curl '{URL}/spread?base=BTC&quote=USD,USDT'\n" in told
