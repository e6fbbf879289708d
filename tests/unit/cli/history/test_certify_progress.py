"""`certify` of an exchange that is asked page by page takes minutes, and tells meanwhile how far it is."""

from __future__ import annotations

import pytest

from data_collector.cli.history import certify

BEGIN = "BTC/USD 2024-01-31: asking the exchange for its trades …\n"
LINE = "BTC/USD 2024-01-31: 6,000 trades of the exchange, 6% of the day\n"


@pytest.mark.parametrize(("pause_s", "told"), [(0.0, LINE), (3_600.0, "")])
def test_line_is_written_now_and_then_where_there_is_no_terminal(
    pause_s: float, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(certify, "LINE_PAUSE_S", pause_s)

    certify._line_now_and_then("BTC/USD 2024-01-31")(0.06, 6_000)

    assert capsys.readouterr().err == BEGIN + told
