from collections.abc import Callable
from types import ModuleType

from pathway import Table
from pathway.io import python as python

redis: ModuleType

def subscribe(table: Table, *, on_change: Callable[[object, dict[str, object], int, bool], None]) -> None: ...
