"""Row 32: a REST side that refuses or hangs while trades are missing, and comes back."""

from __future__ import annotations

import pytest

from data_collector.simulator import FrameFault, RestFault
from tests.faults.exact import assert_alive_and_exact
from tests.integration.scene import Scene
from tests.integration.waiting import until_async

LOST = 1_500

REFUSALS = {
    "429": (RestFault(status=429, retry_after_s=1), "limited"),
    "418": (RestFault(status=418, retry_after_s=1), "banned"),
    "403": (RestFault(status=403), "forbidden"),
    "451": (RestFault(status=451), "unserved"),
    "500": (RestFault(status=500), "failed"),
    "503": (RestFault(status=503), "failed"),
    "hangs": (RestFault(hang=True), "timeout"),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the exchange tells no time, tens of seconds are waited."""
    monkeypatch.setattr("data_collector.rest.client.TIMEOUT_S", 0.5)
    monkeypatch.setattr("data_collector.service.watches.statistics.POLL_S", 0.2)
    monkeypatch.setattr("data_collector.rest.budget.BACKOFF_FIRST_S", 0.5)
    monkeypatch.setattr("data_collector.rest.client.UNSERVED_S", 0.5)


@pytest.mark.parametrize("kind", REFUSALS)
async def test_row_32_rest_that_refuses_or_hangs_is_asked_again_and_heals(scene: Scene, kind: str) -> None:
    fault, outcome = REFUSALS[kind]
    scene.simulator.faults.add(fault)
    scene.simulator.faults.add(FrameFault(kind="drop", stream="btcusdt@trade", count=LOST))
    await scene.simulator.burst("BTCUSDT", LOST + 20)
    await until_async(lambda: scene.counted("rest_requests_total", outcome=outcome) > 0, "a refusal")
    await until_async(lambda: any("repairing 1,500 trades" in each for each in scene.status.reasons), "the debt")
    assert scene.filled() == 0
    status = scene.status
    assert status.messages_in_flight == 20
    assert status.messages_received == status.messages_validated + status.validation_errors + 20
    asked = scene.counted("rest_requests_total")
    scene.simulator.faults.clear()

    await assert_alive_and_exact(scene)
    assert scene.filled() == LOST
    assert asked < 20
