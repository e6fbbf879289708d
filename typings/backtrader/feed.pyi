import datetime as dt
from typing import ClassVar

from backtrader.lines import Line, Lines

class AbstractDataBase:
    CONNECTED: ClassVar[int]
    DISCONNECTED: ClassVar[int]
    CONNBROKEN: ClassVar[int]
    DELAYED: ClassVar[int]
    LIVE: ClassVar[int]
    lines: ClassVar[tuple[str, ...]]
    params: ClassVar[tuple[tuple[str, object], ...]]
    l: Lines
    datetime: Line
    resampling: int
    _calendar: object
    _laststatus: int
    _qcheck: float
    _name: str
    _timeframe: int
    _compression: int
    def __init__(self, **parameters: object) -> None: ...
    def __len__(self) -> int: ...
    def getlinealiases(self) -> tuple[str, ...]: ...
    def put_notification(self, status: int, *args: object) -> None: ...
    def resample(self, **kwargs: object) -> None: ...
    def start(self) -> None: ...
    @classmethod
    def _getstatusname(cls, status: int) -> str: ...
    def _getnexteos(self) -> tuple[dt.datetime, float]: ...

class DataBase(AbstractDataBase): ...
class DataClone(AbstractDataBase): ...
