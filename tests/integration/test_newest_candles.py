"""An exchange that serves its newest 720 candles alone: what lies before is not given, and nothing is proven of it."""

from __future__ import annotations

from data_collector.model.wire import open_time_text
from data_collector.simulator.control.faults import RestFault
from tests.integration.past import START_MS, Past
from tests.integration.postgres_server import execute
from tests.integration.test_audit import MINUTE_MS, NOT_THERE, check_of, verdict_of

NEWEST = RestFault(path="/api/v3/klines", kind="newest", span=720)


async def test_exchange_that_serves_its_newest_candles_alone_proves_nothing_of_those_before(world: Past) -> None:
    """20 hours of minutes are asked for, and it gives the newest 720, whatever it is asked."""
    world.simulator.faults.add(NEWEST)
    ended = await world.told("2025-12-31T04:00")
    gaps = world.gaps()
    world.simulator.faults.clear()
    again = await world.told("2025-12-31T04:00")

    first_ms = START_MS - 720 * MINUTE_MS
    assert (ended.outcome, ended.added, ended.absent, ended.unproven) == ("incomplete", 719, 0, 480)
    assert gaps == []
    assert ended.reports[0].reason == (
        f"the exchange neither gives what is missing before the candle of {open_time_text(first_ms)} nor proves that "
        "there is nothing; published files may have it (`--source auto`)"
    )
    assert (again.outcome, again.added) == ("complete", 480)


async def test_what_the_exchange_serves_no_more_is_neither_unknown_there_nor_absent(world: Past) -> None:
    """It gives its newest 720 candles alone; ten of those before, and one of these, are missing."""
    await world.told(with_trades=True)
    execute(
        world.dsn,
        f'delete from market_data_ohlcv where "timestamp" between {NOT_THERE}',
        """delete from market_data_ohlcv where "timestamp" = '2025-12-31 20:00+00'""",
    )
    world.simulator.faults.add(NEWEST)

    found = await verdict_of(world, exchange=True)
    healed = await verdict_of(world, exchange=True, repair=True)

    check = check_of(found, "exchange")
    assert (check.unknown, check.missing, check.compared) == (0, 11, 718)
    assert check.note == "its answers begin at 2025-12-31T12:00:00+00:00"
    assert "10 are not there, and its answers do not prove that it has none" in check.examples
    assert healed.repair is not None
    assert (healed.repair.added, healed.repair.unproven) == (1, 10)
    assert world.gaps() == []
