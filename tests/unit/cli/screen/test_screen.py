"""The screen of `run` and `demo`: a welcome, and then what stays wrong."""

from __future__ import annotations

import pytest
from msgspec import convert, structs

from data_collector.cli.screen.first_chart import shown_first
from data_collector.cli.screen.screen import Screen
from data_collector.model.status import AuditStatus, ConnectionStatus, HistoryStatus, Snapshot, ValidationStatus
from data_collector.service.watches.statistics import NOT_CHECKED, NOT_LISTED
from data_collector.settings import load_settings

URL = "http://127.0.0.1:8001"


DSN = "postgresql://postgres:word@127.0.0.1:5432/market_data"


def begun(**fields: object) -> Snapshot:
    """Of a service that has its store."""
    return structs.replace(Snapshot(collector_running=True, redis_url="redis://127.0.0.1:6379/0"), **fields)


def shown(screen: Screen, capsys: pytest.CaptureFixture[str], *reasons: str) -> str:
    """What it prints at a look that finds these."""
    screen.show(URL, begun(reasons=list(reasons)))
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
    Screen(load_settings({}), ending="Ctrl-C ends it.").show(URL, begun(database_url=DSN))

    assert f"\n  export DATABASE_URL={DSN}\n" in capsys.readouterr().out


def test_the_screen_of_several_exchanges_names_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(load_settings({"EXCHANGES": "kraken,binance"}, None), ending="Ctrl-C ends it.")

    screen.show(URL, begun(symbols=["kraken:BTC/USD", "BTCUSDT"]))

    told = capsys.readouterr().out
    assert "https://api.kraken.com  (kraken), and binance: what follows is kraken's\n" in told
    assert "  Collecting     kraken:BTC/USD, BTCUSDT  (" in told
    assert f"  curl '{URL}/spread?base=BTC&quote=USD,USDT'\n" in told


def line(state: str, *, error: str | None = None, name: str = "1") -> ConnectionStatus:
    return convert({"line": name, "state": state, "streams": 18, "last_error": error}, ConnectionStatus)


def test_service_without_its_exchange_is_not_connected_yet_and_collects_nothing_that_is_not_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen, symbols = Screen(load_settings({"SYMBOLS": "BTCUSDT,ETHUSDT"}, None), ending="End."), ["BTCUSDT", "ETHUSDT"]
    away = begun(
        symbols=symbols, uncollected=dict.fromkeys(symbols, NOT_CHECKED), connections=[line("waiting", error="no way")]
    )
    screen.show(URL, away)
    first = capsys.readouterr().out
    screen.show(URL, structs.replace(away, connections=[line("connected", error="no way")]))
    connected = capsys.readouterr().out
    screen.show(URL, begun(symbols=symbols, uncollected={"ETHUSDT": NOT_LISTED}, connections=[line("connected")]))

    assert "\nData Collector is running, but not connected yet.\n" in first
    assert "  (binance; not connected: no way; `make demo` needs no network)\n" in first
    assert f"  Not collected  BTCUSDT, ETHUSDT  ({NOT_CHECKED})\n" in first
    assert "Collecting " not in first
    assert connected == "Up now: Exchange.\n"
    assert capsys.readouterr().out == "Collecting now: BTCUSDT.\n"


def test_welcome_says_which_parts_are_not_up_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(load_settings({"VALIDATION_SERVICE_URL": "http://127.0.0.1:8000"}, None), ending="End.")
    audit = AuditStatus(state="down", reason="it is starting")
    history = HistoryStatus(state="down", reason="no room", database="here:5432/market_data")

    screen.show(URL, begun(history=history, validation=ValidationStatus(audit=audit)))
    first = capsys.readouterr().out
    screen.show(URL, begun(history=HistoryStatus(state="running")))

    assert "  PostgreSQL     here:5432/market_data (no room)\n" in first
    assert "docs-site/)   (nothing is audited yet: it is starting)\n" in first
    assert capsys.readouterr().out == "Up now: PostgreSQL, Validation.\n"


def test_what_a_start_waits_for_is_told_once_before_the_welcome(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(load_settings({}), ending="End.")
    waiting = [Snapshot(reasons=[f"Redis at here:6379 does not answer (since {age} s)."]) for age in (5, 10)]
    beginning = HistoryStatus(state="down", reason="starting", is_beginning=True)

    for snapshot in (*waiting, begun(history=beginning)):
        screen.show(URL, snapshot)

    assert capsys.readouterr().out == (
        "Not up yet: Collector (Redis at here:6379 does not answer (since 5 s))\nNot up yet: PostgreSQL (starting)\n"
    )


def test_of_several_exchanges_the_one_that_is_not_connected_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(load_settings({"EXCHANGES": "binance,kraken"}, None), ending="End.")
    lines = [line("connected", name="binance:1"), line("waiting", name="kraken:1", error="no way")]

    screen.show(URL, begun(symbols=["BTCUSDT", "kraken:BTC/USD"], connections=lines))

    told = capsys.readouterr().out
    assert "  (binance; not connected: kraken: no way; `make demo` needs no network), and kraken" in told


@pytest.mark.parametrize(
    ("intervals", "shown"), [(["1s", "1m", "5m"], "1m"), (["1h", "15m"], "15m"), (["1M", "1s"], "1M"), ([], None)]
)
def test_first_chart_is_of_the_interval_that_the_page_shows_first(intervals: list[str], shown: str | None) -> None:
    assert shown_first(intervals) == shown
