"""What a question to a memory costs: a million windows beside the plainest way, a matrix of all of them.

Both give the ten most similar windows that lie apart from each other and from now. The matrix has 32 bits a number and
is multiplied once; CPU is compared, since its library may use several threads.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_collector.client.adapters.memory import Memory
from data_collector.client.adapters.remembering.candle_file import ROW, CandleFile, Header, Rows
from data_collector.client.adapters.remembering.shape import EMBEDDING

WINDOWS = 1_000_000
WINDOW = 64
HITS = 10
ROUNDS = 15
START_MS = 1_704_067_200_000
MINUTE_MS = 60_000
SPEED_BAR = 4.0
RECALL_BAR = 1.0

_LOOKED_INTO = 64 * HITS


def compare_similar() -> None:
    """Measure and print."""
    rows = _walk(WINDOWS + WINDOW - 1)
    print(f"{WINDOWS:,} windows of {WINDOW} candles, the {HITS} most similar, memory beside a matrix of float32:")
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as folder:
        file = CandleFile(Path(folder), Header("binance", "BTCUSDT", "1m", EMBEDDING))
        file.lock()
        file.write(0, rows)
        file.close()
        begin = time.process_time()
        memory = Memory(folder, "BTCUSDT", "1m", WINDOW, channels={"close": 1})
        built_s = time.process_time() - begin
    matrix = _matrix(rows)
    # One behind the other: threads of a library that multiplies spin on for a while.
    ours, hits = _asked(partial(_similar, memory))
    theirs, best = _asked(partial(_multiplied, matrix))
    speed, recall = theirs / ours, len(hits & best) / len(best)
    print(f"  memory: {1000 * ours:.1f} ms of CPU a question, built in {built_s:.2f} s")
    print(f"  matrix: {1000 * theirs:.1f} ms of CPU a question, {matrix.nbytes >> 20} MiB")
    verdict = "met" if speed >= SPEED_BAR and recall >= RECALL_BAR else "missed"
    print(
        f"  {speed:.1f} times as fast, bar {SPEED_BAR:g}; {recall:.3f} of the same hits, bar {RECALL_BAR:g}: {verdict}"
    )


def _similar(memory: Memory, last: int) -> list[int]:
    hits = memory.similar(HITS, START_MS + (last + WINDOW) * MINUTE_MS, horizons=(), scale=None)
    return [(int(hit.start.timestamp()) * 1000 - START_MS) // MINUTE_MS for hit in hits]


def _multiplied(matrix: npt.NDArray[np.float32], last: int) -> list[int]:
    similarities = matrix[: last - WINDOW + 1] @ matrix[last]
    best = np.argpartition(similarities, -_LOOKED_INTO)[-_LOOKED_INTO:]
    chosen: list[int] = []
    for start in best[np.argsort(-similarities[best])].tolist():
        if len(chosen) < HITS and all(abs(start - other) >= WINDOW for other in chosen):
            chosen.append(start)
    return chosen


def _matrix(rows: Rows) -> npt.NDArray[np.float32]:
    """A row for each window: mean 0, length 1."""
    windows = np.lib.stride_tricks.sliding_window_view(np.log(rows["close"]), WINDOW)
    matrix = np.empty(windows.shape, np.float32)
    for at in range(0, len(windows), 1 << 14):
        piece = windows[at : at + (1 << 14)]
        centred = piece - piece.mean(axis=1, keepdims=True)
        matrix[at : at + len(piece)] = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return matrix


def _walk(length: int) -> Rows:
    rows = np.ones(length, ROW)
    rows["open_ms"] = START_MS + np.arange(length) * MINUTE_MS
    rows["close"] = 40_000 * np.exp(np.cumsum(np.random.default_rng(1).standard_t(4, length)) * 1e-4)
    return rows


def _asked(ask: Callable[[int], list[int]]) -> tuple[float, set[tuple[int, int]]]:
    """Seconds of CPU of a question, and all hits."""
    took, found = list[float](), set[tuple[int, int]]()
    for last in range(WINDOWS - 1000 * ROUNDS, WINDOWS, 1000):
        begin = time.process_time()
        hits = ask(last)
        took.append(time.process_time() - begin)
        found |= {(last, start) for start in hits}
    return statistics.median(took), found
