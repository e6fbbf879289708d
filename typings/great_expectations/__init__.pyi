"""What we use of Great Expectations; mypy would take minutes over the whole, and find Any in most of it."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.expectations.expectation import Expectation
from pandas import DataFrame

__version__: str

class ExpectationSuite:
    def __init__(self, name: str, expectations: Sequence[Mapping[str, object]] | Sequence[Expectation]) -> None: ...
    expectations: list[Expectation]

class BatchDefinition:
    def get_batch(self, batch_parameters: Mapping[str, DataFrame]) -> Batch: ...

class DataFrameAsset:
    def add_batch_definition_whole_dataframe(self, name: str) -> BatchDefinition: ...

class PandasDatasource:
    def add_dataframe_asset(self, name: str) -> DataFrameAsset: ...

class _DataSources(Protocol):
    def add_pandas(self, name: str) -> PandasDatasource: ...

class _Variables(Protocol):
    progress_bars: ProgressBarsConfig

class EphemeralDataContext:
    @property
    def data_sources(self) -> _DataSources: ...
    @property
    def variables(self) -> _Variables: ...

def get_context(mode: Literal["ephemeral"]) -> EphemeralDataContext: ...
