"""The soak sees what it is there for: each of six bugs, planted into the collectors, turns it red."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.__main__ import NoTrades, soak
from tests.soak.findings import Findings
from tests.soak.plan import Plan
from tests.soak.planted import PLANTS
from tests.soak.storm import OF_SEVERAL

REVEALED: dict[str, tuple[tuple[str, ...], Callable[[Findings], object]]] = {
    "blind-retry": (("reply-lost",), lambda found: found.doubled),
    "ack-before-append": (("store-unreachable",), lambda found: found.lost),
    "no-clamp": (("hold-one",), lambda found: found.unsettled["trades"] or found.changed),
    "duplicate-is-late": (("reply-lost", "kill-one"), lambda found: found.lost),
    "trim-by-minid": (("hold-one",), lambda found: found.lost),
    "skip-kline-stream": (("hold-one",), lambda found: found.klines_lost),
}
"""Faults that a bug needs in order to show itself, and in what it must show itself."""

WEDGING = "no-clamp"
"""Once an entry of the future is stored, nothing else can be; on some runs that is one of the first."""

SEEDS = tuple(range(7, 13))
"""When exactly a fault strikes is up to the machine: a run may by chance give a bug no occasion."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def short(folder: Path, seed: int, bug: str) -> Findings:
    """What a short run finds. It ends when a reader has seen the bug: some have the store grow without end."""
    kinds, shows = REVEALED[bug]
    plan = Plan(
        seed=seed, minutes=0.2, round_s=12, settle_s=25, rate=1_000, symbols=2, kinds=kinds, plant=bug, speed=20
    )
    return asyncio.run(soak(plan, folder, enough=shows)).scene.findings


@pytest.mark.parametrize("bug", PLANTS)
def test_planted_bug_turns_the_soak_red(bug: str, tmp_path: Path) -> None:
    _, shows = REVEALED[bug]

    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            found = short(folder, seed, bug)
        except ExceptionGroup as failure:
            if bug == WEDGING and failure.subgroup(NoTrades) is not None:
                return
            raise
        if shows(found):
            break

    assert not found.is_clean
    assert shows(found), found.examples


def test_every_kind_of_fault_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in OF_SEVERAL}) == len(OF_SEVERAL)
