"""Candles as environments of Gymnasium, in which an agent learns to hold a position: one, or many beside each other.

    train, test = split(client.klines("BTCUSDT", "1m", start="-90d"), at="-14d", embargo="1d")
    env = CandleEnv(train)

On the close of a candle the agent sees it and the ones before it, and says which share of its equity it wants to hold.
The next candle's open is the price at which it gets that, paying `fee` and `slippage` on what it changes, and the
reward is the logarithm of equity at that candle's close ÷ equity before. docs/rl.md has all of it.

`gymnasium.make("data_collector/Candles-v1", candles=train)` gives the same, and `make_vec` many.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from data_collector.client.adapters.environments.candles import Candles, split
from data_collector.client.adapters.environments.course import (
    LOG_RUIN,
    TINY,
    Course,
    Execution,
    Features,
    Positions,
    Reward,
    Rules,
)
from data_collector.client.adapters.environments.features import BOUND, COUNT
from data_collector.client.errors import NotInstalled, WrongQuestion

try:
    import gymnasium
    from gymnasium import error, spaces
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError as problem:
    raise NotInstalled("CandleEnv is for Gymnasium: pip install 'btc-data-collector[rl]'.") from problem

__all__ = ["CandleEnv", "CandleVectorEnv", "split"]

Observation = npt.NDArray[np.float32]
Told = dict[str, object]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_NOT_BEGUN = -1


class CandleEnv(gymnasium.Env[Observation, SupportsIndex]):
    """One account that trades one symbol.

    `candles` are those of `client.klines(…)`, or its `to_numpy()`. Seen are `window` of them, four numbers each
    (docs/rl.md), and the position. `positions` are the shares of equity to choose among, below 0 is sold short; "box"
    lets any from -1 to 1 be said. Each episode has `episode` steps without a missing candle in it, or goes to where one
    is missing with None; with `random_start` False they come one after the other, and a seeded `reset` begins anew.

    `info` says `timestamp_ms` (open time of the newest candle seen), `position`, `log_equity` and `turnover` (what was
    changed) since the episode began. Raises `WrongQuestion` for what cannot be learned in.
    """

    def __init__(
        self,
        candles: Candles,
        *,
        window: int = 32,
        positions: Positions = (-1.0, 0.0, 1.0),
        fee: float = 0.001,
        slippage: float = 0.0,
        execution: Execution = "next_open",
        episode: int | None = 512,
        random_start: bool = True,
        features: Features = "candles/1",
        reward: Reward = "log_return",
        reward_scale: float = 100.0,
    ) -> None:
        self._course = course = Course(
            candles,
            Rules(
                window=window,
                positions=positions,
                fee=fee,
                slippage=slippage,
                execution=execution,
                episode=episode,
                random_start=random_start,
                features=features,
                reward=reward,
                reward_scale=reward_scale,
            ),
        )
        self.observation_space, self.action_space = _spaces_of(course)
        self._row = self._last_row = _NOT_BEGUN
        self._turn = 0

    @property
    def episodes(self) -> int:
        """How many different ones there are."""
        return len(self._course.episodes)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, object] | None = None
    ) -> tuple[Observation, Told]:
        """Begin another episode, without a position."""
        super().reset(seed=seed)
        _check_options(options)
        if seed is not None:
            self._turn = 0
        self._row, self._last_row = self._course.episodes.begin(self.np_random, self._turn)
        self._turn += 1
        self._position = self._log_equity = self._turnover = 0.0
        return self._seen(), self._told()

    def step(self, action: SupportsIndex) -> tuple[Observation, float, bool, bool, Told]:
        """Change to this position at the next candle's open, and go on to its close."""
        row = self._row + 1
        if row > self._last_row:
            raise error.ResetNeeded("The episode is over, or none has begun: call reset().")
        course, old = self._course, self._position
        new = self._target(action)
        changed = abs(new - old)
        # As in CandleVectorEnv, operation by operation: both are to be the same to the last bit.
        left = (
            max(1.0 + old * course.gaps.item(row), 0.0)
            * max(1.0 - changed * course.cost, 0.0)
            * max(1.0 + new * course.bodies.item(row), 0.0)
        )
        log_equity = max(self._log_equity + float(np.log(max(left, TINY))), LOG_RUIN)
        reward = (log_equity - self._log_equity) * course.rules.reward_scale
        is_ruined, is_over = log_equity <= LOG_RUIN, row == self._last_row
        self._row, self._position, self._log_equity = row, new, log_equity
        self._turnover += changed
        if is_ruined:
            self._last_row = row
        return self._seen(), reward, is_ruined, is_over, self._told()

    def _target(self, action: SupportsIndex) -> float:
        choices = self._course.choices
        if choices is None:
            share = np.asarray(action, np.float64).item()
            if not -1.0 <= share <= 1.0:
                raise error.InvalidAction(f"{action!r} is no share from -1 to 1.")
            return share
        number = operator.index(action)
        if not 0 <= number < len(choices):
            raise error.InvalidAction(f"{action!r} is none of the {len(choices)} positions: they begin with 0.")
        return choices[number]

    def _seen(self) -> Observation:
        course, until = self._course, (self._row + 1) * COUNT
        seen = np.empty(course.size, np.float32)
        seen[:-1] = course.features[until - course.size + 1 : until]
        seen[-1] = self._position
        return seen

    def _told(self) -> Told:
        return {
            "timestamp_ms": self._course.time_ms.item(self._row),
            "position": self._position,
            "log_equity": self._log_equity,
            "turnover": self._turnover,
        }


class CandleVectorEnv(VectorEnv[Observation, npt.NDArray[np.generic], npt.NDArray[np.generic]]):
    """As many accounts as are wanted, in episodes of their own: to the last bit what as many `CandleEnv` do.

    Seeds are those that `gymnasium.vector.SyncVectorEnv` gives: `seed`, `seed + 1` … What is over begins anew in the
    same step, and `final_obs` and `final_info` of the infos have what it ended with.
    """

    def __init__(
        self,
        candles: Candles,
        num_envs: int = 1,
        *,
        window: int = 32,
        positions: Positions = (-1.0, 0.0, 1.0),
        fee: float = 0.001,
        slippage: float = 0.0,
        execution: Execution = "next_open",
        episode: int | None = 512,
        random_start: bool = True,
        features: Features = "candles/1",
        reward: Reward = "log_return",
        reward_scale: float = 100.0,
    ) -> None:
        """Parameters are those of `CandleEnv`."""
        if num_envs < 1:
            raise WrongQuestion(f"num_envs={num_envs} environments are none: give 1 or more.")
        self._course = course = Course(
            candles,
            Rules(
                window=window,
                positions=positions,
                fee=fee,
                slippage=slippage,
                execution=execution,
                episode=episode,
                random_start=random_start,
                features=features,
                reward=reward,
                reward_scale=reward_scale,
            ),
        )
        self.num_envs = num_envs
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = _spaces_of(course)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._windows = course.windows()
        self._choices = None if course.choices is None else np.array(course.choices)
        self._randoms = [seeding.np_random()[0] for _ in range(num_envs)]
        self._turns = [0] * num_envs
        self._rows = np.full(num_envs, _NOT_BEGUN)
        self._last_rows = np.full(num_envs, _NOT_BEGUN)
        self._positions, self._log_equities, self._turnovers = (np.zeros(num_envs) for _ in range(3))
        self._all = np.ones(num_envs, np.bool_)

    @property
    def episodes(self) -> int:
        """How many different ones there are."""
        return len(self._course.episodes)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, object] | None = None
    ) -> tuple[Observation, Told]:
        """Begin other episodes, all without a position."""
        _check_options(options)
        seeds = [seed + number for number in range(self.num_envs)] if isinstance(seed, int) else seed
        if seeds is not None and len(seeds) != self.num_envs:
            raise WrongQuestion(f"seed= has {len(seeds)} of them, and there are {self.num_envs} environments.")
        for number, each in enumerate(seeds or ()):
            if each is not None:
                self._randoms[number], _ = seeding.np_random(each)
                self._turns[number] = 0
        self._begin(self._all)
        return self._seen(), self._told(self._all)

    def step(self, actions: npt.NDArray[np.generic]) -> tuple[Observation, Floats, Bools, Bools, Told]:
        """Change to these positions at the next candle's open, and go on to its close."""
        course, old = self._course, self._positions
        rows = self._rows + 1
        if rows[0] == 0:
            raise error.ResetNeeded("No episode has begun: call reset().")
        new = self._targets(actions)
        changed = np.abs(new - old)
        left = (
            np.maximum(1.0 + old * course.gaps[rows], 0.0)
            * np.maximum(1.0 - changed * course.cost, 0.0)
            * np.maximum(1.0 + new * course.bodies[rows], 0.0)
        )
        log_equities = np.maximum(self._log_equities + np.log(np.maximum(left, TINY)), LOG_RUIN)
        rewards = (log_equities - self._log_equities) * course.rules.reward_scale
        are_ruined, are_over = log_equities <= LOG_RUIN, rows == self._last_rows
        self._rows, self._positions, self._log_equities = rows, new, log_equities
        self._turnovers = self._turnovers + changed
        ended = are_ruined | are_over
        final: Told = {}
        if ended.any():
            final = self._final(ended)
            self._begin(ended)
        return self._seen(), rewards, are_ruined, are_over, {**final, **self._told(self._all)}

    def _begin(self, which: Bools) -> None:
        for number in np.flatnonzero(which).tolist():
            begun = self._course.episodes.begin(self._randoms[number], self._turns[number])
            self._rows[number], self._last_rows[number] = begun
            self._turns[number] += 1
        for values in (self._positions, self._log_equities, self._turnovers):
            values[which] = 0.0

    def _targets(self, actions: npt.NDArray[np.generic]) -> Floats:
        if self._choices is None:
            shares = np.array(actions, np.float64).reshape(self.num_envs)
            if not (np.abs(shares) <= 1.0).all():
                raise error.InvalidAction(f"{actions!r} are no shares from -1 to 1.")
            return shares
        numbers = np.asarray(actions).reshape(self.num_envs)
        # A negative one would count from the end.
        if numbers.min() < 0 or numbers.max() >= len(self._choices):
            raise error.InvalidAction(f"{actions!r} are none of the {len(self._choices)} positions: they begin with 0.")
        return self._choices[numbers]

    def _seen(self) -> Observation:
        seen = np.empty((self.num_envs, self._course.size), np.float32)
        seen[:, :-1] = self._windows[self._rows - (self._course.rules.window - 1)]
        seen[:, -1] = self._positions
        return seen

    def _told(self, which: Bools) -> Told:
        """Gymnasium's form: an array of each, and one that says of which environments it is."""
        told: Told = {}
        for name, values in (
            ("timestamp_ms", self._course.time_ms[self._rows]),
            ("position", self._positions),
            ("log_equity", self._log_equities),
            ("turnover", self._turnovers),
        ):
            told[name] = values.copy() if which is self._all else np.where(which, values, 0)
            told[f"_{name}"] = which.copy()
        return told

    def _final(self, ended: Bools) -> Told:
        seen, last = self._seen(), np.full(self.num_envs, None, object)
        for number in np.flatnonzero(ended).tolist():
            last[number] = seen[number]
        return {"final_obs": last, "_final_obs": ended, "final_info": self._told(ended), "_final_info": ended.copy()}


def _check_options(options: Mapping[str, object] | None) -> None:
    if options:
        raise WrongQuestion(f"options= says {', '.join(options)}, and there is nothing to choose: leave it out.")


def _spaces_of(course: Course) -> tuple[spaces.Box[np.float32], spaces.Discrete | spaces.Box]:
    seen = spaces.Box(-BOUND, BOUND, (course.size,), np.float32)
    if course.choices is None:
        return seen, spaces.Box(-1.0, 1.0, (1,), np.float32)
    return seen, spaces.Discrete(len(course.choices))


gymnasium.register(
    "data_collector/Candles-v1", f"{__name__}:CandleEnv", vector_entry_point=f"{__name__}:CandleVectorEnv"
)
