"""What we use of Backtrader, which ships no types."""

from datetime import datetime
from typing import ClassVar

from backtrader import feed as feed
from backtrader import feeds as feeds
from backtrader import strategies as strategies
from backtrader.cerebro import Cerebro as Cerebro
from backtrader.order import Order as Order
from backtrader.strategy import Strategy as Strategy

class TimeFrame:
    Seconds: ClassVar[int]
    Minutes: ClassVar[int]
    Days: ClassVar[int]
    Weeks: ClassVar[int]
    Months: ClassVar[int]
    NoTimeFrame: ClassVar[int]
    @classmethod
    def getname(cls, tframe: int, compression: int | None = None) -> str: ...

def date2num(dt: datetime) -> float: ...
def num2date(x: float) -> datetime: ...
