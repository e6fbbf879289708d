"""A recorder with a folder, driven by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_collector.observe.counters import Counters
from data_collector.recording.lines import Head, Line
from data_collector.recording.masking import Mask
from data_collector.recording.reading import ExchangeRecording
from data_collector.recording.recorder import Recorder

SECRET = "canary-of-a-key"

MakeRecorder = Callable[..., Recorder]


@pytest.fixture
def recorder(tmp_path: Path) -> MakeRecorder:
    """Makes one; several go on in the same folder."""

    def make(bytes_max: int = 1_000_000, **options: int) -> Recorder:
        head = Head(exchange="binance", symbols=("BTCUSDT",))
        return Recorder(tmp_path / "binance", Counters(), head, Mask([SECRET]), bytes_max=bytes_max, **options)

    return make


def read(folder: Path) -> list[Line]:
    """All lines."""
    return list(ExchangeRecording(folder / "binance").lines())
