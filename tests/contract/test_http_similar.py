"""GET /similar: what a child of the HTTP process remembers of the store, asked from outside."""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import psutil
import pytest
import redis

from data_collector.api.memory import QUESTIONS_MAX
from data_collector.api.routes.similar import OFF
from data_collector.model.records import Kline
from data_collector.model.status import Snapshot
from data_collector.model.store_url import StoreAddress
from data_collector.model.wire import open_time_text
from data_collector.service.memory.messages import SimilarPage
from tests.contract import stores
from tests.contract.http_service import ROOT, SERVE, Answer, HttpService, running
from tests.contract.stores import opened, redis_sink
from tests.integration.processes import is_running
from tests.integration.waiting import until
from tests.market import MINUTE_MS, SYMBOL, kline

pytestmark = pytest.mark.parametrize("store_address", ["valkey"], indirect=True, scope="session")
"""What is asked is not the store."""

FLAT = "FLATUSDT"
YOUNG = "YOUNGUSDT"
OLDER = "OLDERUSDT"
CANDLES = 400
WINDOW = 16
PLANTED = 100
"""Where the last window stands a first time, at another price."""

HORIZONS = (2, 8)
ASKED = f"/similar?symbol={SYMBOL.lower()}&window={WINDOW}&k=5&horizons=8,2"


def closes() -> list[float]:
    """A walk that ends as it went once before."""
    chance = random.Random(7)
    steps = [chance.gauss(0, 0.001) for _ in range(CANDLES)]
    steps[-WINDOW + 1 :] = steps[PLANTED + 1 : PLANTED + WINDOW]
    price, found = 100.0, []
    for step in steps:
        price *= math.exp(step)
        found.append(round(price, 8))
    return found


def candles(prices: Sequence[float], first_ms: int, symbol: str = SYMBOL) -> list[Kline]:
    return [
        kline(
            open_ms=first_ms + place * MINUTE_MS, symbol=symbol, open=f"{price:.8f}", close=f"{price:.8f}",
            high=f"{price * 1.0001 ** (1 + place % 7):.8f}", low=f"{price:.8f}", volume=f"{10 + place * 31 % 17}",
        )
        for place, price in enumerate(prices)
    ]  # fmt: skip


def write(address: StoreAddress, *records: Kline) -> None:
    async def written() -> None:
        async with opened(redis_sink(address)) as sink:
            await sink.write(stores.klines(*records))

    asyncio.run(written())


def memory_pids(service: HttpService) -> list[int]:
    """Children of the HTTP process that remember."""
    children = psutil.Process(service.process.pid).children()
    return [child.pid for child in children if "data_collector.service.memory" in child.cmdline()]


def filled(service: HttpService, asked: str) -> Answer:
    """What it says when it can be asked."""
    answers = [service.get(asked)]

    def can_be_asked() -> bool:
        answers.append(service.get(asked))
        return answers[-1].status != 503

    # The child reads the same service, and who comes too often waits.
    until(can_be_asked, "a filled memory", poll_s=0.2, output=lambda: answers[-1].text + logged(service))
    return answers[-1]


def asked(service: HttpService, more: str = "") -> SimilarPage:
    return msgspec.json.decode(service.get(ASKED + more).body, type=SimilarPage)


def restarts_told(service: HttpService) -> int | None:
    """None unless it runs with all series filled."""
    memory = service.get("/status").json["memory"]
    assert isinstance(memory, dict)
    is_well = memory["state"] == "running" and not memory["filling"]
    return int(memory["restarts"]) if is_well else None


def logged(service: HttpService) -> str:
    return (service.folder / "stderr").read_text()


@pytest.fixture(scope="module")
def first_ms() -> int:
    """The newest of the candles has closed just now."""
    return time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS - CANDLES * MINUTE_MS


@pytest.fixture(scope="module")
def service(
    store_address: StoreAddress, first_ms: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HttpService]:
    with redis.Redis(unix_socket_path=store_address.unix_path) as store:
        store.flushall()
    write(store_address, *candles(closes(), first_ms))
    write(store_address, *candles([100.0] * CANDLES, first_ms, FLAT))
    folder = tmp_path_factory.mktemp("http")
    snapshot = Snapshot(
        condition="healthy", ready=True, collector_running=True, symbols=[SYMBOL, FLAT, YOUNG], intervals=["5m", "1m"],
        channels=["kline"], store_url=f"unix://{store_address.unix_path}", source=stores.SOURCE, folder=str(folder),
    )  # fmt: skip
    with running(folder, snapshot, MEMORY="1") as service:
        filled(service, ASKED)
        yield service


def test_past_windows_come_with_what_followed_them(service: HttpService, first_ms: int) -> None:
    page, prices = asked(service), closes()

    assert (page.symbol, page.interval, page.window, page.k, page.candles) == (SYMBOL, "1m", WINDOW, 5, CANDLES)
    assert page.begins == open_time_text(first_ms)
    assert page.at == open_time_text(first_ms + CANDLES * MINUTE_MS)
    assert page.closes == pytest.approx([math.log(each / prices[-1]) for each in prices[-WINDOW:]], abs=1e-6)
    best, last = page.hits[0], PLANTED + WINDOW - 1
    assert best.start == open_time_text(first_ms + PLANTED * MINUTE_MS)
    assert best.end == open_time_text(first_ms + (last + 1) * MINUTE_MS)
    assert best.similarity > max(other.similarity for other in page.hits[1:])
    assert best.closes == pytest.approx(page.closes, abs=1e-5)
    after = [math.log(prices[last + step] / prices[last]) for step in range(1, max(HORIZONS) + 1)]
    assert best.followed == pytest.approx(after, abs=1e-6)
    assert best.after == {str(horizon): best.followed[horizon - 1] for horizon in HORIZONS}


def test_outcomes_stand_beside_those_of_random_windows(service: HttpService) -> None:
    page = asked(service)

    for alike, drawn, horizon in zip(page.outcome, page.random, HORIZONS, strict=True):
        followed = sorted(hit.after[str(horizon)] for hit in page.hits)
        assert (alike.horizon, alike.n, alike.median) == (horizon, 5, followed[2])
        assert 1 <= alike.effective_n <= alike.n < drawn.n
        for each in (alike, drawn):
            assert each.lower_quartile is not None
            assert each.upper_quartile is not None
            assert each.lower_quartile <= (each.median or 0.0) <= each.upper_quartile
    assert "no forecast" in page.notice


def test_answer_as_of_a_time_knows_nothing_later(service: HttpService, first_ms: int) -> None:
    at_ms = first_ms + 300 * MINUTE_MS

    page = asked(service, f"&at={at_ms + 59_999}")

    assert page.at == open_time_text(at_ms)
    assert max(hit.end for hit in page.hits) <= open_time_text(at_ms - max(HORIZONS) * MINUTE_MS)


def test_candle_that_closes_is_remembered(service: HttpService, store_address: StoreAddress, first_ms: int) -> None:
    newest = candles([*closes(), 101.5], first_ms)[-1]

    write(store_address, newest)

    until(lambda: asked(service).candles == CANDLES + 1, "the new candle")
    assert asked(service).at == open_time_text(newest.open_ms + MINUTE_MS)


def test_history_that_comes_later_is_remembered_too(
    service: HttpService, store_address: StoreAddress, first_ms: int
) -> None:
    """A collector that has just been started still fetches the past."""
    prices, about = closes(), f"/similar?symbol={YOUNG}&window={WINDOW}"
    write(store_address, *candles(prices[300:], first_ms + 300 * MINUTE_MS, YOUNG))
    until(partial(is_told, service, about, 100), "the newest candles", poll_s=0.1)

    # A backfill begins with the oldest.
    for first, last, known in ((0, 120, 220), (120, 300, CANDLES)):
        write(store_address, *candles(prices[first:last], first_ms + first * MINUTE_MS, OLDER))
        with redis.Redis(unix_socket_path=store_address.unix_path, decode_responses=True) as client:
            for key in client.keys(f"kline:{OLDER}:*"):
                client.set(key.replace(OLDER, YOUNG), str(client.get(key)).replace(OLDER, YOUNG))

        until(partial(is_told, service, about, known), "the older candles", poll_s=0.1)


def is_told(service: HttpService, about: str, known: int) -> bool:
    return service.get(about).json.get("candles") == known


def test_window_without_a_shape_is_told(service: HttpService) -> None:
    answer = filled(service, f"/similar?symbol={FLAT}")

    assert (answer.status, answer.json["detail"]) == (409, "The close of all 64 candles of the window is the same.")


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("", 422, "symbol"),
        ("symbol=NOSUCH", 404, "NOSUCH is not collected."),
        (f"symbol={SYMBOL}&interval=1h", 422, "interval: 1h is not collected; 5m, 1m are."),
        (f"symbol={SYMBOL}&interval=x", 422, "interval: "),
        (f"symbol={SYMBOL}&window=7", 422, "window"),
        (f"symbol={SYMBOL}&window=513", 422, "window"),
        (f"symbol={SYMBOL}&k=51", 422, "k: "),
        (f"symbol={SYMBOL}&k=0", 422, "k: "),
        (f"symbol={SYMBOL}&at=noon", 422, "at: write a time as"),
        (f"symbol={SYMBOL}&horizons=0", 422, "horizons: "),
        (f"symbol={SYMBOL}&horizons=5,5", 422, "horizons: "),
        (f"symbol={SYMBOL}&horizons=1,2,3,4,5,6", 422, "horizons: "),
        (f"symbol={SYMBOL}&horizons=1025", 422, "horizons: "),
        (f"symbol={SYMBOL}&horizons=", 422, "horizons: "),
        (f"symbol={SYMBOL}&horizon=5", 422, "There is no such parameter here"),
        (f"symbol={SYMBOL}&at=2024-01-01", 409, "candles by then"),
    ],
)  # fmt: skip
def test_question_that_has_no_answer_is_refused_with_a_sentence(
    service: HttpService, query: str, status: int, told: str
) -> None:
    answer = service.get(f"/similar?{query}")

    assert answer.status == status
    assert told in str(answer.json["detail"])


def test_memory_is_in_status_and_metrics(service: HttpService) -> None:
    until(lambda: restarts_told(service) == 0, "the news that all is filled", poll_s=0.2)

    text = service.get("/metrics/prometheus").text

    assert "data_collector_memory_up 1.0" in text
    assert 'data_collector_memory_questions_total{outcome="answered"}' in text
    assert service.get("/health").json["status"] == "healthy"


def test_questions_to_the_memory_are_bounded(service: HttpService) -> None:
    """A client that asks more than can be answered, and one after it."""
    (pid,) = memory_pids(service)
    os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(2 * QUESTIONS_MAX) as clients:
            waiting = [clients.submit(service.get, ASKED) for _ in range(2 * QUESTIONS_MAX)]
            until(lambda: sum(each.done() for each in waiting) == QUESTIONS_MAX, "those for which there is no room")
            assert service.get("/health").status == 200
            os.kill(pid, signal.SIGCONT)
            answers = [each.result() for each in waiting]
    finally:
        os.kill(pid, signal.SIGCONT)

    refused = [each for each in answers if each.status != 200]
    assert [each.status for each in refused] == [503] * QUESTIONS_MAX
    assert all(each.headers["Retry-After"] == "1" for each in refused)


def test_memory_that_dies_is_told_and_comes_back(service: HttpService) -> None:
    (pid,) = memory_pids(service)

    os.kill(pid, signal.SIGKILL)

    until(lambda: service.get(ASKED).status == 503, "the question that nobody answers")
    until(lambda: service.get(ASKED).status == 200, "an answer")
    until(lambda: restarts_told(service) == 1, "the news that all is filled", poll_s=0.2)
    assert "its process has died" in logged(service)


def test_memory_ends_with_the_service_and_its_candles_are_there_again(
    service: HttpService, store_address: StoreAddress
) -> None:
    """Also when the service is killed."""
    (pid,) = memory_pids(service)
    kept = {path.name for path in (service.folder / "memory").iterdir()}

    service.process.kill()

    until(lambda: not is_running(pid), "the end of the memory")
    assert {f"{SYMBOL}-1m.candles", "source"} <= kept


IMPATIENT = "import data_collector.api.memory as memory\nmemory.ANSWER_S = 1.0\n" + SERVE


def test_memory_that_is_stuck_is_ended_and_comes_back(store_address: StoreAddress, tmp_path: Path) -> None:
    snapshot = Snapshot(
        condition="healthy", ready=True, symbols=[SYMBOL], intervals=["1m"], channels=["kline"], source=stores.SOURCE,
        store_url=f"unix://{store_address.unix_path}", folder=str(tmp_path),
    )  # fmt: skip
    with running(tmp_path, snapshot, script=IMPATIENT, MEMORY="1") as service:
        until(lambda: restarts_told(service) == 0, "a filled memory", poll_s=0.2)
        (pid,) = memory_pids(service)
        os.kill(pid, signal.SIGSTOP)

        answer = service.get(ASKED)

        assert (answer.status, answer.json["detail"]) == (503, "Market Memory has not answered within 1 s.")
        until(lambda: restarts_told(service) == 1, "another memory", poll_s=0.2, output=lambda: logged(service))
        assert "its process has answered nothing for 1 s" in logged(service)
        assert not is_running(pid)


WITHOUT_NUMPY = """
import sys
if "data_collector.service.memory" in sys.orig_argv:
    raise ModuleNotFoundError("No module named 'numpy'", name="numpy")
sys.path.remove({folder!r})
del sys.modules["numpy"]
import numpy
"""
"""In place of numpy: the memory does not find it, others do."""


def test_memory_that_can_never_work_is_told_once_and_not_tried_again(
    store_address: StoreAddress, tmp_path: Path
) -> None:
    (tmp_path / "shim" / "numpy").mkdir(parents=True)
    shim = str(tmp_path / "shim")
    (tmp_path / "shim" / "numpy" / "__init__.py").write_text(WITHOUT_NUMPY.format(folder=shim))
    snapshot = Snapshot(
        condition="healthy", ready=True, symbols=[SYMBOL], intervals=["1m"], channels=["kline"],
        store_url=f"unix://{store_address.unix_path}", folder=str(tmp_path),
    )  # fmt: skip
    with running(tmp_path, snapshot, MEMORY="1", PYTHONPATH=f"{shim}:{ROOT}") as service:
        until(lambda: "numpy" in service.get("/health").text, "the news", poll_s=0.2, output=lambda: logged(service))

        answer, health = service.get(ASKED), service.get("/health").json

        assert (answer.status, answer.headers["Retry-After"]) == (503, None)
        told = "Memory needs numpy: pip install 'btc-data-collector[memory]'."
        assert answer.json["detail"] == f"Market Memory cannot work here: {told}"
        assert health["reasons"] == [f"memory: /similar does not answer: {told}"]
        assert logged(service).count("memory_ended") == 1


def test_memory_that_is_off_says_how_to_turn_it_on(store_address: StoreAddress, tmp_path: Path) -> None:
    url = f"unix://{store_address.unix_path}"
    with running(tmp_path, Snapshot(symbols=[SYMBOL], intervals=["1m"], store_url=url)) as service:
        answer, page = service.get(ASKED), service.get("/metrics/prometheus").text

        assert (answer.status, answer.json["detail"], answer.headers["Retry-After"]) == (503, OFF, None)
        assert service.get("/status").json["memory"] == {
            "state": "off", "reason": None, "candles": {}, "filling": {}, "restarts": 0, "resident_bytes": 0,
        }  # fmt: skip
        assert not re.search(r"^data_collector_memory_up", page, re.MULTILINE)
