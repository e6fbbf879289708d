from typing import ClassVar

from backtrader.cerebro import Cerebro
from backtrader.feed import AbstractDataBase

class Strategy:
    params: ClassVar[tuple[tuple[str, object], ...]]
    datas: list[AbstractDataBase]
    data: AbstractDataBase
    env: Cerebro
    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def next(self) -> None: ...
