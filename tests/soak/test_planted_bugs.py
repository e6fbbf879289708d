"""The soak sees what it is there for: each of six bugs, planted into the collectors, turns it red."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import main
from tests.soak.planted import PLANTS
from tests.soak.storm import ALL

REVEALED_BY = {
    "blind-retry": "reply-lost,kill-one",
    "ack-before-append": "store-unreachable,kill-primary",
    "no-clamp": "hold-one",
    "duplicate-is-late": "reply-lost,kill-one",
    "trim-by-minid": "hold-one",
    "skip-kline-stream": "hold-one",
}
"""Faults that a bug needs in order to show itself; two collectors at work are enough for some."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def soak(folder: Path, *options: str) -> int:
    """The exit code of a short run."""
    return main(
        ["--rate", "1000", "--symbols", "2", "--round-s", "12", "--settle-s", "25", "--folder", str(folder), *options]
    )


@pytest.mark.parametrize("bug", PLANTS)
def test_planted_bug_turns_the_soak_red(bug: str, tmp_path: Path) -> None:
    assert soak(tmp_path, "--seed", "7", "--minutes", "0.2", "--plant", bug, "--kinds", REVEALED_BY[bug]) == 1


def test_every_kind_of_fault_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in ALL}) == len(ALL)
