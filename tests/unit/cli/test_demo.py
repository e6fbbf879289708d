"""The demo, as far as it needs no processes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from data_collector.cli.demo import GENERATION, DemoMarket, _market
from data_collector.model.errors import Misconfigured

KEPT = DemoMarket(1_700_000_000_000, 1, 2, generation=GENERATION)


def test_kept_market_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "market.json").write_bytes(msgspec.json.encode(KEPT))

    assert _market(tmp_path) == KEPT


def test_market_that_an_earlier_version_made_is_refused(tmp_path: Path) -> None:
    """Its seed makes another market now, whose trades are not those that the data has."""
    (tmp_path / "market.json").write_text('{"start_ms": 1700000000000, "ws_port": 1, "rest_port": 2, "seed": 7}')

    with pytest.raises(Misconfigured, match="leave out --keep once"):
        _market(tmp_path)
