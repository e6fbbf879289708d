"""The collector with its audit: every message is checked by real Great Expectations, and nothing waits for it."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest

from data_collector.embedded.record import read_record
from data_collector.model.status import Snapshot
from tests.integration.exactness import assert_trades_exact
from tests.integration.processes import CollectorProcess, Exchange, collecting, is_running
from tests.integration.store_reader import Store
from tests.integration.waiting import until

SYMBOLS = ("BTCUSDT", "ETHUSDT")
DEADLINE_S = 60.0
"""A worker of low priority starts slowly beside other tests."""


def rule_file(folder: Path, rule_id: str, most: float, *, severity: str = "critical", symbol: str = "BTCUSDT") -> None:
    """A user's rule about the prices of one symbol, written as an editor does: in place."""
    suites = folder / "suites"
    suites.mkdir(exist_ok=True)
    condition = {"type": "comparison", "column": {"name": "symbol"}, "operator": "==", "parameter": symbol}
    rule = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "price", "max_value": most, "row_condition": condition},
        "severity": severity,
        "description": "The price must be as I like it.",
        "meta": {"rule_id": rule_id},
    }
    (suites / "trade.json").write_text(json.dumps({"name": "trade", "expectations": [rule]}))


def has_rule(snapshot: Snapshot, rule_id: str) -> bool:
    return any(rule.rule == rule_id for rule in snapshot.validation.rules)


def settled(market: Exchange, collector: CollectorProcess, store: Store) -> Snapshot:
    """The market stands still, and everything that it sent is stored and audited."""
    market.act("pause")
    for symbol in SYMBOLS:
        newest = market.trades(symbol)[-1].trade_id
        until(partial(has_tail, store, symbol, newest), "the newest trade", output=collector.told)

    def audited() -> Snapshot | None:
        snapshot = collector.status()
        audit = snapshot.validation.audit
        return snapshot if audit.waiting == 0 and audit.coverage == 1.0 else None

    return until(audited, "the audit of everything", output=collector.told, deadline_s=DEADLINE_S)


def has_tail(store: Store, symbol: str, trade_id: int) -> bool:
    return store.tail_id(symbol) == trade_id


def audited_rows(collector: CollectorProcess) -> int:
    return sum(collector.status().validation.audit.rows.values())


def await_audit(collector: CollectorProcess) -> None:
    """Another batch has been checked."""
    rows = audited_rows(collector)
    until(lambda: audited_rows(collector) > rows, "an audit", output=collector.told, deadline_s=DEADLINE_S)


def await_trades(collector: CollectorProcess, store: Store) -> None:
    """Trades go on into the store."""
    length = store.length("trades:BTCUSDT")
    until(lambda: store.length("trades:BTCUSDT") > length + 20, "trades", output=collector.told)


def assert_every_message_audited_once(snapshot: Snapshot) -> None:
    audit = snapshot.validation.audit
    assert sum(audit.rows.values()) == snapshot.messages_received
    assert snapshot.messages_received == snapshot.messages_validated + snapshot.validation_errors
    assert audit.disagreements == {}
    assert audit.failures == {}
    assert sum(audit.skipped.values()) == 0


def worker_pid(collector: CollectorProcess) -> int | None:
    """The audit worker of a collector."""
    children = psutil.Process(collector.process.pid).children()
    return next((each.pid for each in children if "data_collector.validation.audit" in each.cmdline()), None)


def test_every_message_is_audited_once_and_nothing_of_it_is_in_the_collector(market: Exchange, folder: Path) -> None:
    with collecting(folder, market, gx_audit="1", channels="kline,trade,ticker,quote") as collector:
        store = collector.embedded_store()
        until(lambda: collector.status().messages_received > 500, "messages", output=collector.told)
        snapshot = settled(market, collector, store)

        assert_every_message_audited_once(snapshot)
        assert set(snapshot.validation.audit.rows) == {"kline", "trade", "ticker", "quote"}
        assert all(snapshot.validation.audit.rows.values())
        assert snapshot.reasons == []
        mapped = Path(f"/proc/{collector.process.pid}/maps").read_text()
        assert "pandas" not in mapped
        assert "scipy" not in mapped


def test_rule_of_a_user_is_in_force_without_a_restart_and_loses_no_trade(market: Exchange, folder: Path) -> None:
    with collecting(folder, market, gx_audit="1") as collector:
        store = collector.embedded_store()
        until(lambda: store.length("trades:BTCUSDT") > 50, "trades", output=collector.told)
        rule_file(folder, "my_price", 0.5)
        until(
            lambda: has_rule(collector.status(), "my_price"), "the rule", output=collector.told, deadline_s=DEADLINE_S
        )
        until(lambda: store.length("quarantine:BTCUSDT") > 20, "refused trades", output=collector.told)
        rule_file(folder, "my_price", 1e9)
        refused = until(
            lambda: collector.status() if store.length("late:BTCUSDT") == 0 else None, "no late ones"
        ).validation_errors
        (folder / "suites" / "trade.json").unlink()
        until(lambda: not has_rule(collector.status(), "my_price"), "the end of the rule", output=collector.told)
        await_trades(collector, store)
        snapshot = settled(market, collector, store)

        assert refused > 20
        assert_every_message_audited_once(snapshot)
        holes = assert_trades_exact(store, "BTCUSDT", market.trades("BTCUSDT"))
        assert {reason for _, _, reason in holes} == {"refused"}
        assert sum(last - first + 1 for first, last, _ in holes) == snapshot.validation_errors
        assert assert_trades_exact(store, "ETHUSDT", market.trades("ETHUSDT")) == []


def test_wrong_suite_is_told_and_the_old_one_stays(market: Exchange, folder: Path) -> None:
    rule_file(folder, "my_price", 1e9, severity="warning")
    with collecting(folder, market) as collector:
        until(lambda: has_rule(collector.status(), "my_price"), "the rule", output=collector.told)
        (folder / "suites" / "trade.json").write_text(
            '{"expectations": [{"type": "expect_column_values_to_be_betwen"}]}'
        )

        told = until(lambda: collector.status().validation.faults, "the fault", output=collector.told)

        assert "did you mean expect_column_values_to_be_between?" in told[0]
        assert has_rule(collector.status(), "my_price")
        until(lambda: collector.status().condition == "degraded", "it degraded", output=collector.told)
        assert any("did you mean" in reason for reason in collector.status().reasons)


@pytest.mark.slow
def test_killed_worker_delays_and_loses_nothing(market: Exchange, folder: Path) -> None:
    with collecting(folder, market, gx_audit="1") as collector:
        store = collector.embedded_store()
        for _ in range(2):
            pid = until(lambda: worker_pid(collector), "a worker", output=collector.told, deadline_s=DEADLINE_S)
            await_audit(collector)
            os.kill(pid, signal.SIGKILL)
            await_trades(collector, store)
        snapshot = settled(market, collector, store)

        assert_every_message_audited_once(snapshot)
        for symbol in SYMBOLS:
            assert assert_trades_exact(store, symbol, market.trades(symbol)) == []


def test_worker_that_hangs_delays_a_stop_and_the_store_ends_all_the_same(market: Exchange, folder: Path) -> None:
    with collecting(folder, market, gx_audit="1") as collector:
        collector.embedded_store()
        record = read_record(folder / "live")
        pid = until(lambda: worker_pid(collector), "a worker", output=collector.told, deadline_s=DEADLINE_S)
        await_audit(collector)
        os.kill(pid, signal.SIGSTOP)
        assert record is not None

        assert collector.terminate() == 0

        assert not is_running(record.pid)
        assert not is_running(pid)
        assert "Traceback" not in collector.output


def test_worker_ends_with_its_collector(market: Exchange, folder: Path) -> None:
    with collecting(folder, market, gx_audit="1") as collector:
        pid = until(lambda: worker_pid(collector), "a worker", output=collector.told, deadline_s=DEADLINE_S)
        collector.kill()

        until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the worker")
