"""Trainings that say something about the environments, in a Python that has Stable-Baselines3.

    python -m tests.foreign.sb3_trainings WHAT STEPS

Prints a line of JSON for each time that the agent was judged on later candles: log of equity after fees, and how many
standard errors the mean reward is from zero. The last line is a digest of all weights. WHAT is `planted`: each move is
partly undone by the next one; `walk`: nothing to learn; `leak`: the same walk, seen one candle too early; or `check`:
Stable-Baselines3's own, which prints nothing.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env

from data_collector.client.adapters.environments.candles import Rows
from data_collector.client.adapters.environments.features import COUNT
from data_collector.client.adapters.gymnasium import CandleEnv, CandleVectorEnv, split
from data_collector.client.adapters.sb3 import as_vec_env
from tests.market import MINUTE_MS, NOON_MS
from tests.walks import walk

ROWS, SEED, FEE, MANY, STEPS_EACH = 20_000, 3, 0.0001, 64, 64
LATER = 16_000
UNDONE, SIZE = 0.4, 0.002


def main(what: str, steps: int) -> None:
    """Train and judge, or check."""
    rows = walk(ROWS, SEED, reverting=UNDONE if what == "planted" else 0.0, size=SIZE)
    if what == "check":
        for positions in ((-1.0, 0.0, 1.0), "box"):
            check_env(CandleEnv(rows, positions=positions))
        check_many(rows)
        return
    train, test = split(rows, NOON_MS + LATER * MINUTE_MS, "1h")
    envs = CandleVectorEnv(train, MANY, fee=FEE, episode=128)
    later = CandleEnv(test, fee=FEE, episode=None, random_start=False)
    if what == "leak":
        for env in (envs, later):
            see_ahead(env)
    torch.set_num_threads(1)
    model = PPO(
        "MlpPolicy", as_vec_env(envs), n_steps=STEPS_EACH, batch_size=512, learning_rate=1e-3, gamma=0.9, n_epochs=5,
        ent_coef=0.001, policy_kwargs={"net_arch": [32, 32]}, seed=0, device="cpu",
    )  # fmt: skip

    def chosen(seen: npt.NDArray[np.float32]) -> SupportsIndex:
        return model.predict(seen, deterministic=True)[0]

    tell(0, later, chosen)
    while model.num_timesteps < steps:
        model.learn(MANY * STEPS_EACH, reset_num_timesteps=False)
        tell(model.num_timesteps, later, chosen)
    weights = model.get_parameters()["policy"]
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(np.asarray(weights[name]).tobytes())
    print(json.dumps(digest.hexdigest()))


def check_many(rows: Rows) -> None:
    """What Stable-Baselines3 gets is what Gymnasium gives."""
    ours, theirs = CandleVectorEnv(rows, 3, episode=20), as_vec_env(CandleVectorEnv(rows, 3, episode=20))
    theirs.seed(5)
    seen, _ = ours.reset(seed=5)
    assert np.array_equal(theirs.reset(), seen)
    actions = np.random.default_rng(1).integers(3, size=(100, 3))
    for each in actions:
        seen, rewards, are_ruined, are_over, told = ours.step(each)
        got, rewarded, ended, infos = theirs.step(each)
        assert np.array_equal(got, seen)
        assert np.array_equal(rewarded, rewards.astype(np.float32))
        assert np.array_equal(ended, are_ruined | are_over)
        if are_over.any():
            final = told["final_obs"]
            assert isinstance(final, np.ndarray)
            last = [info["terminal_observation"] for info in infos]
            assert np.array_equal(np.array(last), np.array(final.tolist()))
            assert all(info["TimeLimit.truncated"] for info in infos)
    assert theirs.env_is_wrapped(PPO) == [False] * 3


def see_ahead(env: CandleEnv | CandleVectorEnv) -> None:
    """The fault that is looked for: an agent sees the candle that is yet to come."""
    course = env._course
    course.features = np.concatenate([course.features[COUNT:], course.features[-COUNT:]])
    if isinstance(env, CandleVectorEnv):
        env._windows = course.windows()


def tell(steps: int, env: CandleEnv, choose: Callable[[npt.NDArray[np.float32]], SupportsIndex]) -> None:
    seen, told = env.reset()
    rewards: list[float] = []
    is_over = False
    while not is_over:
        seen, reward, is_ruined, is_last, told = env.step(choose(seen))
        rewards.append(reward)
        is_over = is_ruined or is_last
    spread = float(np.std(rewards))
    t = float(np.mean(rewards)) / spread * len(rewards) ** 0.5 if spread else 0.0
    print(json.dumps([steps, told["log_equity"], t]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
