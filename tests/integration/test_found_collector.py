"""Commands of the history beside a running collector work with its database and its exchange, told in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.cli.history.audit import audited
from data_collector.cli.history.backfill import BackfillOptions
from data_collector.cli.surroundings.found_database import found_surroundings
from data_collector.cli.surroundings.found_exchange import api_and_exchange, exchange_of_store
from data_collector.cli.surroundings.found_service import found_service
from data_collector.cli.surroundings.found_store import find_store
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.model.store_url import parse_store_url
from data_collector.observe.logs import get_log
from data_collector.service.running import RECORD_NAME, CollectorRecord, running_collectors, write_down
from data_collector.service.store import record_of
from data_collector.settings import Settings, load_settings
from data_collector.sinks.postgres.failures import place_of
from tests.integration.command import embedded_store, finished
from tests.integration.processes import collecting, end_embedded_postgres, exchange
from tests.integration.waiting import until

DSN = "postgresql://someone:c4n4ry@db.example:6432/market"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    end_embedded_postgres(tmp_path / "var" / "live")


def settings_of(folder: Path, **variables: str) -> Settings:
    return load_settings({"VAR_DIR": str(folder), **variables}, None)


def written(
    folder: Path, name: str, started_at: str = "2024-01-01", *, api: str | None = None, **variables: str
) -> CollectorRecord:  # fmt: skip
    """What a collector in the folder `name` that is this process has written down."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    record = structs.replace(record_of(settings_of(folder, **variables), api=api), started_at=started_at)
    write_down(folder / name, record)
    return record


def url_of(settings: Settings) -> str | None:
    return None if settings.database_url is None else settings.database_url.get_secret_value()


async def test_commands_need_nothing_told_beside_a_running_collector(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        exchange(tmp_path / "exchange", symbols="BTCUSDT") as market,
        collecting(folder, market, symbols="BTCUSDT", intervals="1m", database_url="embedded") as collector,
    ):
        until(lambda: collector.status().history.state == "running", "the writer", output=collector.told)

        command = ("backfill", "--symbols", "BTCUSDT", "--intervals", "1m", "--from", "-2h", "--json")
        filled = await finished(tmp_path, *command)
        wish = BackfillOptions("BTCUSDT", "1m", "-2h")
        verdict = await audited(settings_of(folder), wish, against_exchange=True, repair=False)
        audit_told = capsys.readouterr().err
        found_surroundings(settings_of(folder), with_exchange=False)
        export_told = capsys.readouterr().err
        store = await find_store(settings=settings_of(folder))
        certified = await exchange_of_store(settings_of(folder), store)
        certify_told = capsys.readouterr().err
        looked = await finished(tmp_path, "doctor", "--json", SYMBOLS="BTCUSDT", PORT="0")
        strange = await exchange_of_store(settings_of(folder), parse_store_url("redis://127.0.0.1:1"))
        server = EmbeddedPostgres(folder / "live" / "postgres", log=get_log())
        dsn = server.running_dsn()
        (server.folder / "password").rename(server.folder / "hidden")
        with pytest.raises(Unavailable, match=r"runs, and its password cannot be read \(No such file"):
            found_surroundings(settings_of(folder))

    assert dsn is not None
    told = f"As the collector in live that runs: PostgreSQL at {place_of(dsn)}"
    both = f"{told}, exchange at {market.rest_url}.\n"
    summary = json.loads(filled.output.splitlines()[-1])
    assert (filled.code, filled.errors, audit_told, export_told) == (0, both, both, f"{told}.\n")
    assert (summary["outcome"], summary["added"] >= 100, verdict.equal) == ("complete", True, True), verdict
    assert {check.against for check in verdict.checks} >= {"exchange", "live store"}
    assert not (folder / "live" / RECORD_NAME).exists()
    assert certified.rest_url == market.rest_url
    assert certify_told == f"As the collector in live that runs: exchange at {market.rest_url}.\n"
    assert strange.rest_url == "https://api.binance.com"
    findings = {finding["check"]: finding for finding in json.loads(looked.output)}
    assert (looked.code, looked.errors) == (0, both), looked
    assert findings["exchange"]["seen"].startswith(market.rest_url)
    assert findings["streams"]["seen"].startswith(market.ws_url)
    assert "store origin" not in findings
    assert place_of(dsn) in findings["database"]["seen"]


def test_doctor_looks_at_the_service_that_runs_unless_a_store_is_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A demo at another port than 8001, with an exchange and streams of its own; a user with a store of his own."""
    api, rest_url = "http://127.0.0.1:18001", "http://127.0.0.1:19080"
    written(tmp_path, "live", BINANCE_REST_URL=rest_url, BINANCE_WS_URL="ws://127.0.0.1:19443", api=api)

    [found] = found_service([settings_of(tmp_path)])
    told = capsys.readouterr().err
    [at_port] = found_service([settings_of(tmp_path, PORT="18002")])
    capsys.readouterr()
    own = settings_of(tmp_path, REDIS_URL="redis://127.0.0.1:1")
    apart = found_service([own])
    of_kraken = found_service([settings_of(tmp_path, EXCHANGES="kraken")])

    assert told == f"As the collector in live that runs: API at {api}, exchange at {rest_url}.\n"
    assert (found.port, found.rest_url, found.ws_url) == (18001, rest_url, "ws://127.0.0.1:19443")
    assert (at_port.port, at_port.rest_url) == (18002, rest_url)
    assert (apart, of_kraken[0].rest_url) == ([own], "https://api.kraken.com")
    assert capsys.readouterr().err == ""


async def test_plan_beside_nobody_says_so_in_a_sentence(tmp_path: Path) -> None:
    """Nothing runs below VAR_DIR, and nothing listens at HOST and PORT."""
    planned = await finished(tmp_path, "plan", "--symbols", "BTCUSDT", PORT="1", BINANCE_REST_URL="http://127.0.0.1:1")

    assert planned.code == 0
    assert planned.errors.startswith(
        "Nothing listens at http://127.0.0.1:1, and --url names another place; the plan is held against the settings.\n"
    )


def test_plan_asks_the_collector_of_its_exchange_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A demo is not at port 8001 where that is taken, and its exchange is not where the settings say."""
    api, rest_url = "http://127.0.0.1:18001", "http://127.0.0.1:19080"
    written(tmp_path, "live", BINANCE_REST_URL=rest_url, api=api)
    written(tmp_path, "old", "2023-01-01", BINANCE_REST_URL="http://old:80", api="http://127.0.0.1:18002")

    settings, asked = api_and_exchange(settings_of(tmp_path), None)
    told = capsys.readouterr().err
    of_old = api_and_exchange(settings_of(tmp_path), "http://127.0.0.1:18002")
    elsewhere = api_and_exchange(settings_of(tmp_path), "http://other:8001")
    of_kraken = api_and_exchange(settings_of(tmp_path, EXCHANGES="kraken", HOST="::1", PORT="18003"), None)

    assert (settings.rest_url, asked) == (rest_url, api)
    assert told == f"As the collector in live that runs: API at {api}, exchange at {rest_url}.\n"
    assert (of_old[0].rest_url, of_old[1]) == ("http://old:80", "http://127.0.0.1:18002")
    assert (elsewhere[0].rest_url, elsewhere[1]) == ("https://api.binance.com", "http://other:8001")
    assert of_kraken[1] == "http://[::1]:18003"


def test_killed_collector_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    record = written(tmp_path, "live", DATABASE_URL=DSN)
    write_down(tmp_path / "live", structs.replace(record, command="another program with this number"))

    assert running_collectors(tmp_path) == []
    with pytest.raises(Misconfigured, match="DATABASE_URL is not set, and no collector that keeps history runs below"):
        found_surroundings(settings_of(tmp_path))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_damaged_record_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / RECORD_NAME).write_bytes(content)

    assert running_collectors(tmp_path) == []


def test_login_of_another_database_is_never_written_down_but_asked_for(tmp_path: Path) -> None:
    written(tmp_path, "live", DATABASE_URL=DSN)

    with pytest.raises(Misconfigured, match=r"keeps its history in db\.example:6432/market, and its login is not"):
        found_surroundings(settings_of(tmp_path))

    path = tmp_path / "live" / RECORD_NAME
    assert "c4n4ry" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_database_that_is_set_brings_the_exchange_of_its_own_collector_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "live", DATABASE_URL=DSN, BINANCE_REST_URL="http://127.0.0.1:19080")

    same = found_surroundings(settings_of(tmp_path, DATABASE_URL=DSN))
    told = capsys.readouterr().err
    other = found_surroundings(settings_of(tmp_path, DATABASE_URL="postgresql://me@elsewhere/market"))
    chosen = found_surroundings(settings_of(tmp_path, DATABASE_URL=DSN, BINANCE_REST_URL="https://api.binance.us"))

    assert (url_of(same.settings), same.settings.rest_url) == (DSN, "http://127.0.0.1:19080")
    assert told == "As the collector in live that runs: exchange at http://127.0.0.1:19080.\n"
    assert (other.settings.rest_url, other.folder) == ("https://api.binance.com", None)
    assert chosen.settings.rest_url == "https://api.binance.us"
    assert capsys.readouterr().err == ""


def test_collector_that_started_last_is_taken_and_the_others_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, moment in (("demo", "2024-01-02"), ("live", "2024-01-01"), ("old", "2023-01-01")):
        written(tmp_path, name, moment, DATABASE_URL=DSN, BINANCE_REST_URL=f"http://{name}:80")

    found = found_surroundings(settings_of(tmp_path, DATABASE_URL=DSN))

    assert found.settings.rest_url == "http://demo:80"
    assert capsys.readouterr().err.endswith(" Also running: live, old; DATABASE_URL chooses.\n")


async def test_collector_of_another_exchange_is_no_place_of_this_one(tmp_path: Path) -> None:
    written(tmp_path, "kraken", DATABASE_URL=DSN, EXCHANGES="kraken", KRAKEN_REST_URL="http://kraken:80")

    with pytest.raises(Misconfigured, match="no collector that keeps history runs"):
        found_surroundings(settings_of(tmp_path))
    found = found_surroundings(settings_of(tmp_path, DATABASE_URL=DSN, EXCHANGES="kraken"))

    assert found.settings.rest_url == "http://kraken:80"


async def test_store_that_another_exchange_fills_is_named_and_not_read(tmp_path: Path) -> None:
    async with embedded_store(tmp_path):
        own = await find_store(settings=settings_of(tmp_path))
        written(tmp_path, "live", EXCHANGES="kraken")
        with pytest.raises(Unavailable, match=r"No store of binance .* one of kraken is: --exchange kraken reads it"):
            await find_store(settings=settings_of(tmp_path))
        found = await find_store(settings=settings_of(tmp_path, EXCHANGES="kraken"))

    assert found == own


@pytest.mark.parametrize("given", [{}, {"DATABASE_URL": "embedded"}])
def test_embedded_server_that_is_not_up_yet_is_told_apart_from_none(tmp_path: Path, given: dict[str, str]) -> None:
    written(tmp_path, "demo", DATABASE_URL="embedded")

    with pytest.raises(Unavailable, match=r"PostgreSQL of the collector in demo does not take logins yet: try again"):
        found_surroundings(settings_of(tmp_path, **given))


def test_embedded_server_without_a_collector_is_told_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"No embedded PostgreSQL is running below .* start `data-col"):
        found_surroundings(settings_of(tmp_path, DATABASE_URL="embedded"))


async def test_command_tells_in_one_line_and_without_a_traceback(tmp_path: Path) -> None:
    ended = await finished(tmp_path, "export", "--out", "out", DATABASE_URL="embedded")

    assert (ended.code, ended.errors.count("\n")) == (69, 1), ended.errors
    assert ended.errors.startswith("No embedded PostgreSQL is running below var, ")
