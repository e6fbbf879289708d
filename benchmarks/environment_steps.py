"""Steps of one kind of trading environment, in a Python that has it. For `benchmarks.readers` alone.

    python -m benchmarks.environment_steps WAY

Prints steps in a second of CPU, actions drawn beforehand. WAY is `single`: a CandleEnv; `vector`: a CandleVectorEnv of
`MANY`, each one's steps counted; or `StocksEnv`: that of gym-anytrading, with a window as long.
"""

from __future__ import annotations

import sys
from time import process_time

import numpy as np

from data_collector.client.adapters.environments.candles import Rows
from data_collector.client.adapters.gymnasium import CandleEnv, CandleVectorEnv

ROWS = 20_000
WINDOW = 32
MANY = 64
STEPS = 100_000


def main(way: str) -> None:
    """Measure and print."""
    measure = {"single": _single_s, "vector": _vector_s, "StocksEnv": _stocks_s}[way]
    measure(STEPS // 20)
    print(STEPS * (MANY if way == "vector" else 1) / measure(STEPS))


def _single_s(steps: int) -> float:
    env = CandleEnv(_walk(), window=WINDOW)
    actions = np.random.default_rng(1).integers(3, size=steps).tolist()
    env.reset(seed=1)
    begin = process_time()
    for action in actions:
        _, _, is_ruined, is_over, _ = env.step(action)
        if is_ruined or is_over:
            env.reset()
    return process_time() - begin


def _vector_s(steps: int) -> float:
    envs = CandleVectorEnv(_walk(), MANY, window=WINDOW)
    actions = np.random.default_rng(1).integers(3, size=(steps, MANY))
    envs.reset(seed=1)
    begin = process_time()
    for each in actions:
        envs.step(each)
    return process_time() - begin


def _stocks_s(steps: int) -> float:
    # Whoever measures may have none of the two.
    import pandas as pd  # noqa: PLC0415
    from gym_anytrading.envs import StocksEnv  # noqa: PLC0415

    frame = pd.DataFrame({"Close": pd.Series(_walk()["close"])})
    env = StocksEnv(frame, window_size=WINDOW, frame_bound=(WINDOW, ROWS))
    actions = np.random.default_rng(1).integers(2, size=steps).tolist()
    env.reset(seed=1)
    begin = process_time()
    for action in actions:
        _, _, is_ruined, is_over, _ = env.step(action)
        if is_ruined or is_over:
            env.reset()
    return process_time() - begin


def _walk() -> Rows:
    random = np.random.default_rng(1)
    names = ("open", "high", "low", "close", "volume")
    rows = np.ones(ROWS, [("timestamp", "datetime64[ms]"), *((name, "f8") for name in names)])
    rows["timestamp"] = (60_000 * np.arange(ROWS)).astype("datetime64[ms]")
    rows["close"] = 45_000 * np.exp(np.cumsum(1e-3 * random.standard_normal(ROWS)))
    rows["open"][1:], rows["open"][0] = rows["close"][:-1], 45_000
    rows["high"], rows["low"] = np.maximum(rows["open"], rows["close"]), np.minimum(rows["open"], rows["close"])
    return rows


if __name__ == "__main__":
    main(*sys.argv[1:])
