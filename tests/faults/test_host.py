"""Rows 41 to 46: a machine that is short of time, memory or descriptors, whose clock is wrong, and two versions."""

from __future__ import annotations

import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from data_collector.sinks.redis.functions import DIGEST
from tests.faults.service import api_over
from tests.faults.test_processes import SYMBOLS, assert_alive_and_exact, filled, progress, subscribed
from tests.integration.processes import CollectorProcess, Exchange, collecting, exchange
from tests.integration.store_reader import Store
from tests.integration.waiting import until

HOOKED = (sys.executable, "-m", "tests.faults.hooked", "collect", "--folder", "live")

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process: Linux alone")


def sample(collector: CollectorProcess, name: str) -> float:
    """A metric without labels; a counter is not there before it counts."""
    return sum(each.value for each in collector.status().samples if each.name == f"data_collector_{name}")


def stalled_s(collector: CollectorProcess) -> float:
    """How long the loop has stood still in all."""
    return sum(each.total for each in collector.status().histograms if each.name == "data_collector_loop_lag_seconds")


def test_row_41_blocked_loop_is_measured_and_loses_nothing(market: Exchange, folder: Path, store: Store) -> None:
    with collecting(folder, market, command=HOOKED, redis_url=store.url, block_s="3", lines_per_stream="2") as blocked:
        subscribed(blocked)
        blocked.process.send_signal(signal.SIGUSR1)
        market.act("burst", symbol="BTCUSDT", trades=2_000)
        until(lambda: stalled_s(blocked) > 1.5, "the lag", output=blocked.told)

        assert_alive_and_exact(market, store, blocked)
        assert sum(line.reconnects for line in blocked.status().connections) == 0


def test_row_41_loop_that_stood_still_for_long_makes_it_not_ready(market: Exchange, folder: Path, store: Store) -> None:
    with collecting(folder, market, command=HOOKED, redis_url=store.url, block_s="8") as blocked:
        subscribed(blocked)
        blocked.process.send_signal(signal.SIGUSR1)
        late = until(
            lambda: next((each for each in blocked.status().reasons if "event loop" in each), None), "why",
            output=blocked.told,
        )  # fmt: skip

        assert "stood still" in late
        until(lambda: "loop_stalled" in blocked.output, "one line in the log")
        assert_alive_and_exact(market, store, blocked)


def test_row_41_stuck_loop_ends_the_process_with_every_stack(market: Exchange, folder: Path, store: Store) -> None:
    stuck = CollectorProcess(folder, market, command=HOOKED, redis_url=store.url, block_s="600", stuck_beats="3")
    subscribed(stuck)
    stuck.process.send_signal(signal.SIGUSR1)
    market.act("burst", symbol="BTCUSDT", trades=500)

    assert stuck.wait() == 70
    assert "loop_stuck" in stuck.output
    assert "hooked.py" in stuck.output, "where it is stuck"
    assert stuck.output.count("most recent call first") >= 2, "every thread"
    with collecting(folder, market, redis_url=store.url) as again:
        assert_alive_and_exact(market, store, again)
        assert filled(again) > 0


def test_row_41_held_process_is_not_taken_for_a_stuck_one(market: Exchange, folder: Path, store: Store) -> None:
    with collecting(folder, market, command=HOOKED, redis_url=store.url, stuck_beats="3") as held:
        subscribed(held)
        held.process.send_signal(signal.SIGSTOP)
        now_ms = market.now_ms()
        until(lambda: market.now_ms() > now_ms + 5 * 20_000, "five seconds")
        held.process.send_signal(signal.SIGCONT)

        assert_alive_and_exact(market, store, held)


@needs_proc
@pytest.mark.parametrize("spare_mebibytes", [2, pytest.param(16, marks=pytest.mark.long), 64])
def test_row_42_without_memory_it_goes_on_or_ends_and_is_exact(
    market: Exchange, folder: Path, store: Store, spare_mebibytes: int
) -> None:
    with collecting(folder, market, redis_url=store.url) as starved:
        subscribed(starved)
        limit(starved.process.pid, spare_mebibytes)
        for _ in range(8):
            market.act("burst", symbol="BTCUSDT", trades=5_000)
        market.act("pause")
        newest = {symbol: market.last_id(symbol) for symbol in SYMBOLS}
        until(
            lambda: starved.process.poll() is not None or all(store.tail_id(each) == newest[each] for each in SYMBOLS),
            "the end of the process, or the newest trades", output=starved.told,
        )  # fmt: skip

    with collecting(folder, market, redis_url=store.url) as again:
        assert_alive_and_exact(market, store, again)


def limit(pid: int, spare_mebibytes: int) -> None:
    """It gets so much more memory and no more."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + spare_mebibytes * 2**20
    resource.prlimit(pid, resource.RLIMIT_AS, (most, most))


@needs_proc
def test_row_43_without_descriptors_the_api_sheds_and_the_feed_goes_on(
    market: Exchange, folder: Path, store: Store
) -> None:
    with api_over(folder, market, store, descriptors=64) as api:
        with ExitStack() as clients:
            for _ in range(150):
                clients.enter_context(socket.create_connection(("127.0.0.1", api.port)))
            market.act("burst", symbol="BTCUSDT", trades=5_000)
            newest = market.last_id("BTCUSDT")
            until(lambda: store.tail_id("BTCUSDT") >= newest, "the feed", output=api.told)
        progress(store)

        until(lambda: 0 < api.metric("file_descriptors_free") < 64, "an answer of the API again", output=api.told)
        api.assert_alive_and_exact()


@pytest.fixture
def slow_market(tmp_path: Path) -> Iterator[Exchange]:
    """A market whose clock is that of this machine."""
    with exchange(tmp_path / "exchange", "--trades-per-s", "50") as running:
        yield running


def false_clock(time: str, **more: str) -> dict[str, str]:
    """The settings with which a process sees another wall clock, and the true monotonic one."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        pytest.skip("no libfaketime here (Debian's package faketime)")
    return {
        "ld_preload": str(libraries[0]), "faketime_dont_fake_monotonic": "1", "faketime_no_cache": "1",
        "dont_fake_monotonic": "1", "faketime": time, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("time", "offset_s"),
    [("+1h", -3_600), ("-1h", 3_600), ("@2038-01-19 03:14:00", None)],
    ids=["+1 h", "-1 h", "2038"],
)
def test_row_44_wrong_clock_is_told_and_changes_no_record(
    slow_market: Exchange, folder: Path, store: Store, time: str, offset_s: float | None
) -> None:
    with collecting(folder, slow_market, redis_url=store.url, **false_clock(time)) as collector:
        subscribed(collector)
        slow_market.act("burst", symbol="BTCUSDT", trades=500)

        assert_alive_and_exact(slow_market, store, collector)
        told_s = sample(collector, "clock_offset_seconds")
        assert told_s < -300_000_000 if offset_s is None else abs(told_s - offset_s) < 30
        assert sum(line.reconnects for line in collector.status().connections) == 0


@pytest.mark.parametrize("jump", ["+1h", "-1h", "+4500d"], ids=["+1 h", "-1 h", "2038"])
def test_row_44_clock_that_jumps_disturbs_no_timer(
    slow_market: Exchange, folder: Path, store: Store, tmp_path: Path, jump: str
) -> None:
    told = tmp_path / "clock"
    told.write_text("+0s\n")
    settings = false_clock("+0s", faketime_timestamp_file=str(told))
    del settings["faketime"]
    with collecting(folder, slow_market, redis_url=store.url, **settings) as collector:
        subscribed(collector)
        progress(store)
        told.write_text(f"{jump}\n")
        progress(store)
        slow_market.fault(frames=[{"kind": "drop", "stream": "btcusdt@trade", "count": 100}])
        slow_market.act("burst", symbol="BTCUSDT", trades=500)

        assert_alive_and_exact(slow_market, store, collector)
        assert filled(collector) >= 100
        assert sum(line.reconnects for line in collector.status().connections) == 0
        assert collector.terminate() == 0


def test_row_46_old_and_new_functions_work_side_by_side(market: Exchange, folder: Path, store: Store) -> None:
    with collecting(folder / "old", market, command=HOOKED, redis_url=store.url, functions_note="another") as old:
        subscribed(old)
        progress(store, old)
        with collecting(folder / "new", market, redis_url=store.url) as new:
            subscribed(new)
            market.act("burst", symbol="BTCUSDT", trades=3_000)
            assert_alive_and_exact(market, store, new)
            assert libraries(store) == 2
            market.act("resume")
            assert old.terminate() == 0
            market.act("burst", symbol="BTCUSDT", trades=3_000)

            assert_alive_and_exact(market, store, new)


def libraries(store: Store) -> int:
    """How many versions of our functions the store has; ours is one of them."""
    text = str(store.ask("FUNCTION", "LIST"))
    assert f"data_collector_{DIGEST}" in text
    return text.count("append_trades_")
