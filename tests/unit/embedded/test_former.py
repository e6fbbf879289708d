"""Stores of former days: gone on with when exchanges are named in another order, and told where they are not read."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from data_collector.api.collectors import several_of
from data_collector.embedded.former import tell_left_behind
from data_collector.settings import load_settings


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A store was there before."""
    (tmp_path / "live" / "appendonlydir").mkdir(parents=True)
    return tmp_path / "live"


@pytest.mark.parametrize(
    ("exchanges", "folder"), [("binance,kraken", "live"), ("kraken,binance", "live"), ("kraken,coinbase", "live")]
)
def test_store_is_where_it_was_whichever_exchanges_are_named(live: Path, exchanges: str, folder: str) -> None:
    variables = {"EXCHANGES": exchanges, "VAR_DIR": str(live.parent)}

    assert several_of(load_settings(variables, None), variables).folder == live.parent / folder
    (live / "appendonlydir").rmdir()
    assert several_of(load_settings(variables, None), variables).folder.name in {"live", "kraken"}


def test_store_that_is_not_read_is_told(live: Path) -> None:
    log = CapturingLogger()
    own = live.parent / "kraken"

    tell_left_behind(own, [live, own], log)
    tell_left_behind(live, [live, own], log)

    (call,) = log.calls
    assert f"The store in {own} begins empty. {live} has a store of former days" in call.kwargs["text"]
