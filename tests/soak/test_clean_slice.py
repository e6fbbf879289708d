"""Forty seconds of all faults with a fixed seed, which must find nothing; and a minute for three exchanges."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.soak.__main__ import soak
from tests.soak.plan import Plan


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_forty_seconds_of_faults_lose_double_and_change_nothing(tmp_path: Path) -> None:
    plan = Plan(seed=20, minutes=0.7, round_s=20, settle_s=60, rate=2_000)

    result = asyncio.run(soak(plan, tmp_path))

    assert result.scene.findings.is_clean, result.scene.findings.examples
    assert result.faults > 0
    assert result.trades > 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_minute_of_faults_leaves_each_of_several_exchanges_exact(tmp_path: Path) -> None:
    plan = Plan(
        seed=20, minutes=1, exchanges=("binance", "coinbase", "kraken"), round_s=60, settle_s=400, rate=150, symbols=2,
        speed=4,
    )  # fmt: skip

    result = asyncio.run(soak(plan, tmp_path))

    assert result.scene.findings.is_clean, result.scene.findings.examples
    assert result.faults > 0
    assert all(oracles.trades.followed for oracles in result.scene.oracles)
