"""The files of Market Memory are those of one market."""

from __future__ import annotations

from pathlib import Path

from data_collector.service.memory.worker import forget_other_sources


def test_candles_of_another_market_are_forgotten_and_others_stay(tmp_path: Path) -> None:
    """A demo's next market, the testnet after the exchange."""
    folder = tmp_path / "memory"
    forget_other_sources(folder, "one")
    kept = folder / "BTCUSDT-1m.candles"
    kept.write_bytes(b"candles")

    forget_other_sources(folder, "one")
    assert kept.exists()

    (folder / "notes.txt").touch()
    forget_other_sources(folder, "another")
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "source"}
