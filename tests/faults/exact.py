"""How every row ends: the market goes on, its newest trade is stored, nothing is missing, and what is said is so."""

from __future__ import annotations

from tests.integration.exactness import Holes
from tests.integration.scene import NO_HOLES, Scene
from tests.integration.waiting import until_async
from tests.invariants.held import faults_of
from tests.invariants.lies import lies, moans
from tests.invariants.said import said_by

SLOW_MARKET = ("have spoken",)
"""Streams of a slow market that have not spoken yet."""


async def assert_alive_and_exact(scene: Scene, *, holes: dict[str, Holes] | None = None) -> None:
    """`holes`: what the exchange itself withholds, so that it is declared."""
    await scene.trade()
    await scene.trade(1_000)

    assert scene.assert_trades_exact() == {**NO_HOLES, **(holes or {})}
    assert scene.status.collector_running
    await until_async(lambda: scene.status.gaps.open_count == 0, "the end of every repair")
    await until_async(lambda: not troubles(scene), f"health without trouble: {troubles(scene)}")
    faults = [each for each in faults_of(scene) if each.symbol not in (holes or {}) or each.interval]
    said = await said_by(scene.status, scene.store.url)
    assert [*faults, *lies(said, faults), *moans(said, excused=SLOW_MARKET, lost=bool(holes))] == []


def troubles(scene: Scene) -> list[str]:
    """What health says, but for streams of a slow market that have not spoken yet."""
    return [reason for reason in scene.status.reasons if not any(words in reason for words in SLOW_MARKET)]


def first_ids(scene: Scene) -> dict[str, int]:
    """Where the stored trades of each symbol begin."""
    return {symbol: int(str(scene.store.records(f"trades:{symbol}")[0]["trade_id"])) for symbol in scene.symbols}


def tails(scene: Scene) -> dict[str, int]:
    """Where they end."""
    return {symbol: scene.store.tail_id(symbol) for symbol in scene.symbols}


async def told(scene: Scene, words: str) -> None:
    """Health says so, while trades go on."""

    def is_told() -> bool:
        scene.simulator.advance(200)
        return any(words in reason for reason in scene.status.reasons)

    await until_async(is_told, f"{words} in {scene.status.reasons}")
