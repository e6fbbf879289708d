"""Candles for Stable-Baselines3, which has vectorised environments of its own kind.

vec = as_vec_env(CandleVectorEnv(train, num_envs=64))
PPO("MlpPolicy", vec, device="cpu", seed=0).learn(40_000)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from data_collector.client.adapters.gymnasium import Bools, CandleVectorEnv, Observation, Told
from data_collector.client.errors import NotInstalled

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as problem:
    raise NotInstalled(
        "as_vec_env is for Stable-Baselines3: pip install 'btc-data-collector[rl-train]' (docs/rl.md has more)."
    ) from problem

_INFOS = ("timestamp_ms", "position", "log_equity", "turnover")

Indices = int | Iterable[int] | None


def as_vec_env(envs: CandleVectorEnv) -> VecEnv:
    """The same environments, over the same arrays."""
    return _CandleVecEnv(envs)


class _CandleVecEnv(VecEnv):
    """What Stable-Baselines3 asks is asked of Gymnasium's environment."""

    def __init__(self, envs: CandleVectorEnv) -> None:
        self._envs = envs
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Observation:
        """With the seeds that `seed` left, once."""
        seen, told = self._envs.reset(seed=self._seeds)
        self.reset_infos = _each(told)
        self._reset_seeds()
        self._reset_options()
        return seen

    def step_async(self, actions: npt.NDArray[np.generic]) -> None:
        """Nothing runs beside us."""
        self._actions = actions

    def step_wait(self) -> tuple[Observation, npt.NDArray[np.float32], Bools, list[Told]]:
        """`terminal_observation` is in the info of what ended."""
        seen, rewards, are_ruined, are_over, told = self._envs.step(self._actions)
        ended = are_ruined | are_over
        infos = _each(told)
        if ended.any():
            final, truncated = told["final_obs"], are_over & ~are_ruined
            assert isinstance(final, np.ndarray), "CandleVectorEnv gives it"
            last = _each(told["final_info"])
            for number in np.flatnonzero(ended).tolist():
                infos[number] = last[number]
                infos[number]["terminal_observation"] = final[number]
                infos[number]["TimeLimit.truncated"] = bool(truncated[number])
        return seen, rewards.astype(np.float32), ended, infos

    def close(self) -> None:
        """Gymnasium's too."""
        self._envs.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[object]:
        """They have all in common."""
        return [getattr(self._envs, attr_name)] * len(self._numbers(indices))

    def set_attr(self, attr_name: str, value: object, indices: Indices = None) -> None:
        """Raises `AttributeError`."""
        raise AttributeError(f"{attr_name} cannot be changed in candles that are being traded: make others.")

    def env_method(self, method_name: str, *args: object, indices: Indices = None, **kwargs: object) -> list[object]:
        """Raises `AttributeError`."""
        raise AttributeError(f"There is no single environment whose {method_name}() could be called.")

    def env_is_wrapped(self, wrapper_class: type[object], indices: Indices = None) -> list[bool]:
        """None is."""
        return [False] * len(self._numbers(indices))

    def _numbers(self, indices: Indices) -> Sequence[int]:
        return list(self._get_indices(indices))


def _each(told: object) -> list[Told]:
    """The info of each environment."""
    assert isinstance(told, dict), "CandleVectorEnv gives it"
    columns = [told[name].tolist() for name in _INFOS]
    return [dict(zip(_INFOS, values, strict=True)) for values in zip(*columns, strict=True)]
