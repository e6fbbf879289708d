"""What the command is told that brings what the store threw away."""

from __future__ import annotations

from pathlib import Path

from data_collector.service.history_writer.loss_repair import variables_of, words
from data_collector.service.history_writer.messages import Lost
from data_collector.settings import load_settings
from tests.market import NOON_MS

GIVEN = {
    "SYMBOLS": "BTCUSDT,ETHUSDT", "INTERVALS": "1m,1h", "BINANCE_REST_URL": "http://127.0.0.1:9", "GX_AUDIT": "0",
    "BINANCE_API_KEY": "plain", "DATABASE_URL": "postgresql://user:plain@here/db", "RETENTION_DAYS_TRADES": "3",
}  # fmt: skip


def test_command_has_the_settings_of_the_collector(tmp_path: Path) -> None:
    settings = load_settings({**GIVEN, "VAR_DIR": str(tmp_path)}, None)

    assert load_settings(dict(variables_of(settings)), None) == settings


def test_stretch_is_asked_for_by_whole_minutes_around_it() -> None:
    """Candles that closed in it may have opened before."""
    settings = load_settings(GIVEN, None)
    trades = Lost("BTCUSDT", 5, 9, 5, 0, NOON_MS + 30_000, NOON_MS + 61_000)
    candles = Lost("BTCUSDT", 0, 0, 0, 0, NOON_MS, NOON_MS)

    command = ["backfill", "--exchange", "binance", "--symbols", "BTCUSDT", "--intervals"]
    of_trades = [*command, "", "--trades", "--from", "2024-01-01T12:00", "--to", "2024-01-01T12:02"]
    assert words(trades, settings) == of_trades
    assert words(candles, settings) == [*command, "1m,1h", "--from", "2024-01-01T11:00", "--to", "2024-01-01T12:01"]
