"""The audit of a load, and a validation service that others ask too."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from data_collector.model.errors import Transient
from data_collector.service.loading import load_audit
from data_collector.service.loading.load_audit import LoadAudit
from data_collector.validation.auditing.chunks import Sealed
from data_collector.validation.auditing.messages import AuditReport
from tests.judging import shipped_gate
from tests.market import kline


class BusyPort:
    """Refuses so often, and says when to come again, if it does."""

    batch_bytes_max = 1

    def __init__(self, refusals: int, retry_after_s: float | None) -> None:
        self.refusals = refusals
        self._retry_after_s = retry_after_s

    async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
        if self.refusals:
            self.refusals -= 1
            raise Transient("4 requests wait already; try again.", retry_after_s=self._retry_after_s)
        return AuditReport({"kline": sum(chunk.rows for chunk in chunks)}, {}, {}, [], [], 0.0, 1)

    async def close(self) -> None:
        """Nothing is held."""


async def checked(port: BusyPort) -> tuple[int, str | None]:
    """Of two rows, and why not."""
    audit = LoadAudit(shipped_gate(), port, None)
    for number in range(2):
        await audit.take([kline(number)], {})
    check = await audit.finish()
    await audit.close()
    assert check is not None
    return check.checked, check.reason


async def test_service_that_is_asked_by_collectors_and_loads_of_three_exchanges_checks_every_row() -> None:
    """One load was told `try again` once, and none of its rows was checked from then on."""
    assert await checked(BusyPort(3, retry_after_s=0.01)) == (2, None)


async def test_service_that_does_not_answer_is_not_waited_for() -> None:
    port = BusyPort(3, retry_after_s=None)

    assert await checked(port) == (0, "4 requests wait already; try again.")
    assert port.refusals == 2


async def test_service_that_stays_busy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_audit, "COME_AGAIN_S", 0.05)

    assert await checked(BusyPort(1_000, retry_after_s=0.02)) == (0, "4 requests wait already; try again.")
