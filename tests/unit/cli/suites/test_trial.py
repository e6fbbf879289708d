"""What `suites test` finds: the gate's verdicts beside those of Great Expectations."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from msgspec import Struct

from data_collector.cli.suites import trial as suites_try
from data_collector.cli.suites.gx_worker import GreatExpectations
from data_collector.model.errors import Unavailable
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import Answer, Failure, Request, ValidateReport, WorkerFault
from data_collector.validation.rules.suite import shipped_suite

TRADE = (
    '{{"symbol": "BTCUSDT", "trade_id": {}, "price": {}, "quantity": 1, "is_buyer_maker": true, '
    '"time_ms": 1704110400123}}\n'
)


class Answering(AuditWorker):
    """A worker that says what the test says."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    async def start(self) -> None:
        """There is no process."""

    async def ask(self, request: Request, timeout_s: float) -> Answer:
        """Always the same."""
        return self._answer


class Ended(Struct):
    code: int
    output: str


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A suite that changes nothing, and a good and a bad trade."""
    suite, recorded = tmp_path / "trade.json", tmp_path / "recorded.jsonl"
    suite.write_text('{"expectations": []}')
    recorded.write_text(TRADE.format(1, 1) + TRADE.format(2, -1))
    return suite, recorded


def run(
    files: tuple[Path, Path], answer: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ended:
    monkeypatch.setattr("data_collector.cli.suites.gx_worker.AuditWorker", lambda *, quiet: Answering(answer))
    code = 0
    try:
        suites_try.try_out(*files, gx=True)
    except typer.Exit as ended:
        code = ended.exit_code
    return Ended(code, capsys.readouterr().out)


def test_agreement_is_told(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run(files, ValidateReport([[], ["price_positive"]], []), monkeypatch, capsys)

    assert ended.code == 0
    assert "Great Expectations agrees with the gate on every record." in ended.output


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ([[], []], "line 2: symbol=BTCUSDT trade_id=2"),
        ([["price_positive"], ["price_positive"]], "line 1: symbol=BTCUSDT"),
    ],
)
def test_disagreement_fails_whoever_is_alone(
    broken: list[list[str]],
    line: str,
    files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(files, ValidateReport(broken, []), monkeypatch, capsys)

    _, found, after = ended.output.partition(
        "DISAGREEMENT on price_positive: gate and Great Expectations differ on 1 record.\n"
    )
    assert (ended.code, bool(found)) == (1, True)
    assert after.strip().startswith(line)


def test_rule_that_was_not_evaluated_is_no_disagreement(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = ValidateReport([[], []], [Failure("trade", "price_positive", "it broke")])

    ended = run(files, report, monkeypatch, capsys)

    assert ended.code == 1
    assert "Great Expectations cannot evaluate price_positive: it broke" in ended.output
    assert "DISAGREEMENT" not in ended.output


async def test_answer_to_another_question_is_a_sentence() -> None:
    asked = GreatExpectations(Answering(WorkerFault("no room")))

    with pytest.raises(Unavailable, match="Great Expectations could not answer: no room"):
        await asked.faults(shipped_suite("trade"))
    with pytest.raises(Unavailable, match="Great Expectations could not answer: no room"):
        await asked.validate(shipped_suite("trade"), [])
