from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

class PPO:
    num_timesteps: int
    def __init__(
        self,
        policy: str,
        env: VecEnv,
        learning_rate: float = ...,
        n_steps: int = ...,
        batch_size: int = ...,
        *,
        n_epochs: int = ...,
        gamma: float = ...,
        ent_coef: float = ...,
        policy_kwargs: Mapping[str, object] | None = ...,
        seed: int | None = ...,
        device: str = ...,
    ) -> None: ...
    def learn(self, total_timesteps: int, *, reset_num_timesteps: bool = ...) -> PPO: ...
    def predict(
        self, observation: npt.NDArray[np.float32], *, deterministic: bool = ...
    ) -> tuple[npt.NDArray[np.generic], Sequence[object] | None]: ...
    def get_parameters(self) -> Mapping[str, Mapping[str, object]]: ...
