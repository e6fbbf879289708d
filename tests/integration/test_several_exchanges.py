"""`EXCHANGES=binance,kraken`: one HTTP process, one store, a collector for each, and none that harms another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import psutil
import pytest

from data_collector.cli.surroundings.found_store import find_store
from data_collector.client import Client, Trade, WrongStore
from data_collector.embedded.peer import free_port
from data_collector.embedded.record import read_record
from data_collector.settings import Settings, load_settings
from tests.contract.http_service import HttpService
from tests.integration.processes import (
    ROOT,
    Ended,
    end_embedded_server,
    exchange,
    family,
    is_running,
    run_to_end,
    variables,
)
from tests.integration.store_reader import Store
from tests.integration.waiting import until

SYMBOLS = {"binance": "BTCUSDT", "kraken": "BTC/USDT"}
PREFIXES = {"binance": "", "kraken": "kraken:"}


class Row(msgspec.Struct):
    """Of `/spread`."""

    exchange: str
    symbol: str
    quote: str
    last: float | None
    difference_bp: float | None
    stale: bool


class Spread(msgspec.Struct):
    """What it answers."""

    reference: str | None
    rows: list[Row]


@dataclass
class Both:
    """The service, and its store as a stranger reads it."""

    service: HttpService
    environment: dict[str, str]
    log: Path

    def told(self) -> str:
        return self.log.read_text()

    def health(self, exchange: str = "") -> dict[str, object]:
        return self.service.get(f"/health?exchange={exchange}" if exchange else "/health").json

    def reasons(self) -> str:
        reasons = self.health()["reasons"]
        assert isinstance(reasons, list)
        return " ".join(reasons)

    def spread(self, more: str = "") -> Spread:
        """Of the one market that both tell."""
        return msgspec.json.decode(self.service.get(f"/spread?base=btc&quote=USDT{more}").body, type=Spread)

    def is_well(self) -> bool:
        return self.service.get("/health/ready").status == 200

    def newest(self, exchange: str) -> int:
        """Of the trades in the store."""
        record = read_record(self.service.folder / "live")
        assert record is not None
        store = Store(f"redis://{record.address.place}/0", PREFIXES[exchange])
        try:
            records = store.records(f"trades:{SYMBOLS[exchange]}")
        finally:
            store.close()
        ids = [int(str(each["trade_id"])) for each in records]
        assert ids == list(range(ids[0], ids[0] + len(ids))), "each trade once and in order"
        return ids[-1]

    def collector(self, exchange: str) -> int:
        """Its process."""
        record = json.loads(
            (self.service.folder / {"binance": "live"}.get(exchange, exchange) / "collector.json").read_text()
        )
        assert record["exchange"] == exchange
        pid = record["pid"]
        assert isinstance(pid, int)
        return pid

    def audit(self, exchange: str) -> dict[str, object]:
        """What is told of it."""
        found = self.service.get(f"/validation?exchange={exchange}").json["audit"]
        assert isinstance(found, dict)
        return found

    def audited(self, exchange: str) -> int:
        """Messages."""
        rows = self.audit(exchange)["rows"]
        assert isinstance(rows, dict)
        return sum(rows.values())

    def is_audited_on(self) -> None:
        """Wait until more of every exchange has been audited."""
        before = {name: self.audited(name) for name in SYMBOLS}
        until(
            lambda: all(self.audited(name) > rows for name, rows in before.items()), "audits of all",
            output=self.told, deadline_s=60.0,
        )  # fmt: skip

    def auditors(self) -> list[int]:
        """Processes that run Great Expectations."""
        return [
            pid
            for pid in family(self.service.process.pid)
            if is_running(pid) and "data_collector.validation.audit" in psutil.Process(pid).cmdline()
        ]

    def goes_on(self, exchange: str) -> None:
        """Wait for records that come after now."""
        before = self.newest(exchange)
        until(lambda: self.newest(exchange) > before + 5, f"trades of {exchange}", output=self.told)

    def settings(self, exchange: str) -> Settings:
        """As a command beside it has them, with `--exchange`."""
        return load_settings(self.environment, None, exchange=exchange)

    def command(self, *words: str) -> Ended:
        """With the settings of the service."""
        return run_to_end(
            [sys.executable, "-m", "data_collector", *words], self.service.folder / "commands", self.environment
        )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    protocols = ("--exchange", "binance", "--exchange", "kraken", "--trades-per-s", "20")
    folder = tmp_path_factory.mktemp("market")
    with exchange(folder, *protocols, symbols="BTCUSDT") as market:
        ports = json.loads((folder / "ports.json").read_text())
        var, port = tmp_path_factory.mktemp("var"), free_port()
        (var / "live").mkdir()
        (var / "live" / "valkey.port").write_text(str(free_port()))
        environment = variables(
            var, market, exchanges="binance,kraken", symbols="BTCUSDT", kraken_symbols="BTC/USDT", port=str(port),
            kraken_ws_url=ports["kraken_ws_url"], kraken_rest_url=ports["kraken_rest_url"], gx_audit="1",
        )  # fmt: skip
        log = var / "service.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "data_collector", "run"], cwd=ROOT, env=environment, stdout=output,
                stderr=output, text=True,
            )  # fmt: skip
        found = Both(HttpService(process, f"http://127.0.0.1:{port}", var), environment, log)
        try:
            until(lambda: _answers(found), "an answer", output=found.told)
            until(found.is_well, "both collectors", output=found.told)
            yield found
            children = family(process.pid)
            process.terminate()
            assert process.wait(60) == 0, found.told()
            until(lambda: not any(map(is_running, children)), "the end of all children")
            assert "Traceback" not in found.told()
        finally:
            process.kill()
            end_embedded_server(var)


def _answers(both: Both) -> bool:
    try:
        return both.service.get("/health/live").status == 200
    except OSError:
        return False


def test_both_write_to_one_store(both: Both) -> None:
    for name in SYMBOLS:
        both.goes_on(name)
    assert not (both.service.folder / "kraken" / "valkey.json").exists()


def test_health_status_and_metrics_are_of_both(both: Both) -> None:
    health, metrics = both.health(), both.service.get("/metrics").json
    status = both.service.get("/status").json
    text = both.service.get("/metrics/prometheus").text

    assert (health["exchange"], metrics["symbols"]) == ("binance,kraken", ["BTCUSDT", "kraken:BTC/USDT"])
    assert both.health("kraken")["exchange"] == "kraken"
    assert both.health("binance").keys() == health.keys()
    each = status["exchanges"]
    assert isinstance(each, dict)
    assert {name: found["symbols"] for name, found in each.items()} == {n: [s] for n, s in SYMBOLS.items()}
    assert 'data_collector_ready{exchange="kraken"} 1.0' in text
    assert 'data_collector_records_stored_total{channel="trade",exchange="binance"}' in text
    totals = [line for line in text.splitlines() if line.startswith("data_collector_messages_received_total")]
    assert len(totals) == 1
    assert float(totals[0].split()[1]) >= int(str(metrics["messages_received"]))


def test_paths_parameters_and_bodies_name_the_exchange(both: Both) -> None:
    get = both.service.get
    for path in ("kraken:BTC/USDT", "kraken%3ABTC%2FUSDT", "BTC/USDT?exchange=kraken"):
        assert get(f"/trades/{path}").json["symbol"] == "BTC/USDT", path
        assert get(f"/latest/{path}").json["symbol"] == "BTC/USDT", path
    assert get("/trades/BTCUSDT").json["symbol"] == "BTCUSDT"
    assert get("/completeness?symbol=kraken:BTC/USDT").json["symbols"]
    assert get("/latest?exchange=kraken").json["count"] == 1
    for path in ("/health?exchange=mtgox", "/trades/BTCUSDT?exchange=mtgox", "/latest/mtgox:BTC"):
        answer = get(path)
        assert (answer.status, "mtgox" in answer.text) == (404, True), path
    wish = json.dumps({"exchange": "kraken", "symbols": ["BTC/USDT"]}).encode()
    answer = both.service.request("PUT", "/subscriptions", headers={"Content-Type": "application/json"}, body=wish)
    assert answer.status == 200, answer.text
    assert get("/subscriptions?exchange=kraken").json["symbols"] == ["BTC/USDT"]
    assert get("/subscriptions").json["symbols"] == ["BTCUSDT"]


@pytest.mark.parametrize("name", SYMBOLS)
def test_client_reads_either_through_the_one_service(both: Both, name: str) -> None:
    """History of the HTTP side, then live; an exchange that is not collected is told, and not empty."""
    record = read_record(both.service.folder / "live")
    assert record is not None
    store = f"redis://{record.address.place}/0"
    with Client(store, api=both.service.url, database="") as client:
        asked = f"{name}:{SYMBOLS[name]}"
        newest = client.trades(asked, limit=5).read()[-1]
        with client.live(f"{asked}:trades") as live:
            came = next(item.trade_id for item in live if isinstance(item, Trade))
        assert isinstance(newest, Trade)
        assert came > newest.trade_id
    sentence = "collects binance, kraken, .* asked for coinbase: give it .*'binance' or"
    with (
        Client(store, api=both.service.url, database="", exchange="coinbase") as other,
        pytest.raises(WrongStore, match=sentence),
    ):
        other.trades("BTC-USD", start="-1h").read()


def test_spread_puts_both_side_by_side(both: Both) -> None:
    page = both.spread()

    assert [(row.exchange, row.symbol, row.stale) for row in page.rows] == [
        ("binance", "BTCUSDT", False), ("kraken", "BTC/USDT", False),
    ]  # fmt: skip
    assert page.reference == "binance"
    for row in page.rows:
        assert row.last is not None
        assert row.difference_bp == pytest.approx((row.last / (page.rows[0].last or 1) - 1) * 10_000, abs=0.01)
    assert [row.exchange for row in both.spread("&exchange=kraken").rows] == ["kraken"]
    assert both.service.get("/spread?base=BTC&quote=USD").status == 404
    assert [row.quote for row in both.spread(",USD").rows] == ["USDT", "USDT"]


def test_one_is_stopped_and_started_alone(both: Both) -> None:
    assert both.service.control({"action": "stop", "exchange": "kraken"}).status == 200

    assert both.health()["status"] == "degraded"
    assert "kraken: stopped by operator" in both.reasons()
    assert both.health("binance")["status"] == "healthy"
    both.goes_on("binance")

    # The next process begins stopped, and has collected nothing when it is told to start.
    os.kill(killed := both.collector("kraken"), signal.SIGKILL)
    until(lambda: both.collector("kraken") != killed and "kraken: stopped by operator" in both.reasons(), "it again")
    assert both.service.control({"action": "start", "exchange": "kraken"}).status == 200
    until(both.is_well, "both again", output=both.told)
    both.goes_on("kraken")


@pytest.mark.parametrize("name", ["kraken", "binance"])
def test_one_that_is_killed_is_started_again_and_the_other_goes_on(both: Both, name: str) -> None:
    (other,) = SYMBOLS.keys() - {name}
    killed, left = both.collector(name), both.collector(other)
    received = int(str(both.health()["messages_received"]))

    os.kill(killed, signal.SIGKILL)

    until(lambda: f"{name}: The collector process has ended with exit code 137." in both.reasons(), "that it is told")
    assert both.health(other)["status"] == "healthy"
    assert both.service.get("/health/live").status == 200
    both.goes_on(other)
    until(lambda: both.is_well() and both.collector(name) != killed, "both again", output=both.told)
    both.goes_on(name)
    assert both.collector(other) == left
    assert is_running(left)
    assert int(str(both.health()["messages_received"])) >= received
    both.is_audited_on()


def subscribed(both: Both, intervals: object = None) -> tuple[object, object]:
    """The intervals of Kraken, after others are asked for, and whether they are changed ones."""
    if intervals is not None:
        body, kind = json.dumps({"exchange": "kraken", "intervals": intervals}), {"Content-Type": "application/json"}
        assert both.service.request("PUT", "/subscriptions", headers=kind, body=body.encode()).status == 200
    present = both.service.get("/subscriptions?exchange=kraken").json
    return present["intervals"], present["changed"]


def test_what_an_operator_has_changed_holds_after_a_restart_that_is_nobodys(both: Both) -> None:
    """What had been added was collected no more, and nothing told it."""
    before, _ = subscribed(both)
    wanted, _ = subscribed(both, ["1m", "4h"])
    until(lambda: "4h" in both.service.get("/status?exchange=kraken").text, "the change")
    os.kill(killed := both.collector("kraken"), signal.SIGKILL)
    until(lambda: both.is_well() and both.collector("kraken") != killed, "both again", output=both.told)

    assert subscribed(both) == (wanted, True)
    assert subscribed(both, before)[0] == before


def test_one_great_expectations_audits_for_both(both: Both) -> None:
    both.is_audited_on()

    (auditor,) = both.auditors()
    os.kill(auditor, signal.SIGKILL)
    for name in SYMBOLS:
        both.goes_on(name)
    both.is_audited_on()

    (again,) = both.auditors()
    assert again != auditor
    text = both.service.get("/metrics/prometheus").text
    for name in SYMBOLS:
        assert f'data_collector_gx_audit_worker_starts_total{{exchange="{name}"}} 2.0' in text
        audit = both.audit(name)
        assert (audit["state"], audit["disagreements"], audit["failures"]) == ("running", {}, {})
        assert audit["pairs"] == audit["evaluated"] != 0


def test_rule_of_a_user_comes_into_force_in_both_while_they_run(both: Both) -> None:
    def has_rule(name: str) -> bool:
        return "my_price" in both.service.get(f"/validation?exchange={name}").text

    suites = both.service.folder / "suites"
    suites.mkdir()
    rule = {
        "type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 0.5},
        "severity": "warning", "description": "The price must be as I like it.", "meta": {"rule_id": "my_price"},
    }  # fmt: skip
    (suites / "trade.json").write_text(json.dumps({"name": "trade", "expectations": [rule]}))

    for name in SYMBOLS:
        until(partial(has_rule, name), f"the rule in {name}", output=both.told, deadline_s=60.0)
    both.is_audited_on()
    assert [both.audit(name)["disagreements"] for name in SYMBOLS] == [{}, {}]
    (suites / "trade.json").unlink()
    until(lambda: not any(map(has_rule, SYMBOLS)), "the end of the rule", output=both.told)
    assert len(both.auditors()) == 1


@pytest.mark.parametrize("name", SYMBOLS)
async def test_commands_find_the_store_of_each(both: Both, name: str) -> None:
    record = read_record(both.service.folder / "live")
    assert record is not None

    assert (await find_store(settings=both.settings(name))).place == record.address.place


def test_doctor_looks_at_all_and_plan_at_the_one_that_is_meant(both: Both) -> None:
    """A change of one exchange was held against what the other one has subscribed."""
    told = both.command("doctor", "--json")
    planned = both.command(
        "plan", "--exchange", "kraken", "--symbols", "BTC/USDT", "--channels", "trade", "--json", "--url",
        both.service.url,
    )  # fmt: skip

    findings = {each["check"]: each["state"] for each in json.loads(told.output)}
    assert {f"{name} {check}" for name in SYMBOLS for check in ("exchange", "clock", "symbols", "streams")} <= set(
        findings
    )
    assert "fail" not in findings.values(), told.output
    change = json.loads(planned.output)
    assert (planned.code, change["notes"], change["added"]) == (0, [], [])
    assert change["removed"] == ["ticker:BTC/USDT"]


def test_log_tells_whose_each_event_is(both: Both) -> None:
    events = [json.loads(line) for line in both.told().splitlines() if line.startswith("{")]

    connected = [event.get("exchange") for event in events if event["event"] == "line_connected"]
    assert set(connected) == {None, "kraken"}, "the first one's have no name"
    assert {event["exchange"] for event in events if event["event"] == "collector_ended"} == set(SYMBOLS)
