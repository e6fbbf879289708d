"""A soak in which exchange, store and clients mean harm finds nothing lost, doubled or wrong, and nothing that lies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.soak.__main__ import soak
from tests.soak.plan import Plan
from tests.soak.report import Result, report_of
from tests.soak.storm import OF_AN_ADVERSARY

MILLION = 1_000_000
LANES = {kind.lane for kind in OF_AN_ADVERSARY}


def clean(folder: Path, plan: Plan) -> Result:
    result = asyncio.run(soak(plan, folder))
    assert result.scene.findings.is_clean, report_of(result)
    assert result.faults > 0
    return result


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_some_seconds_of_an_adversary_make_nobody_lie(tmp_path: Path) -> None:
    """A seed whose first faults are soon over: a message of another time is told for a minute, and is in the others."""
    plan = Plan(seed=8_743, minutes=4 / 60, adversary=True, round_s=4, settle_s=60, rate=500, symbols=2)

    result = clean(tmp_path, plan)

    assert {kind.lane for kind in OF_AN_ADVERSARY if result.storm.struck[kind.name]} == LANES
    assert result.trades > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_million_trades_with_an_adversary_make_nobody_lie(tmp_path: Path, seed: int) -> None:
    plan = Plan(seed=seed, adversary=True, trades=MILLION, round_s=60, settle_s=300, rate=4_000)

    assert clean(tmp_path, plan).trades >= MILLION
