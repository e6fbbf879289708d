from typing import ClassVar, Protocol

class _Field(Protocol):
    @property
    def required(self) -> bool: ...

class Expectation:
    __fields__: ClassVar[dict[str, _Field]]

class ColumnMapExpectation(Expectation): ...

class ColumnPairMapExpectation(Expectation):
    map_metric: ClassVar[str]
    domain_keys: ClassVar[tuple[str, ...]]
    success_keys: ClassVar[tuple[str, ...]]

class MulticolumnMapExpectation(Expectation):
    ignore_row_if: str
    map_metric: ClassVar[str]
    domain_keys: ClassVar[tuple[str, ...]]
    success_keys: ClassVar[tuple[str, ...]]
