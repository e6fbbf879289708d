import gymnasium
import numpy as np
import numpy.typing as npt
import pandas as pd

class StocksEnv(gymnasium.Env[npt.NDArray[np.float32], int]):
    def __init__(self, df: pd.DataFrame, window_size: int, frame_bound: tuple[int, int]) -> None: ...
