from collections.abc import Callable
from typing import ClassVar, TypeVar

from great_expectations.execution_engine import PandasExecutionEngine
from pandas import Series

_Condition = TypeVar("_Condition", bound=Callable[..., Series])

class _MapMetricProvider:
    condition_metric_name: ClassVar[str]
    condition_domain_keys: ClassVar[tuple[str, ...]]
    condition_value_keys: ClassVar[tuple[str, ...]]

class ColumnPairMapMetricProvider(_MapMetricProvider): ...
class MulticolumnMapMetricProvider(_MapMetricProvider): ...

def column_pair_condition_partial(engine: type[PandasExecutionEngine]) -> Callable[[_Condition], _Condition]: ...
def multicolumn_condition_partial(engine: type[PandasExecutionEngine]) -> Callable[[_Condition], _Condition]: ...
