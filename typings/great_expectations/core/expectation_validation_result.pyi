from collections.abc import Mapping

class ExpectationConfiguration:
    meta: Mapping[str, object]

class ExpectationValidationResult:
    success: bool
    expectation_config: ExpectationConfiguration | None
    exception_info: Mapping[str, object] | None
    result: Mapping[str, object]

class ExpectationSuiteValidationResult:
    meta: dict[str, object]
    results: list[ExpectationValidationResult]
    def to_json_dict(self) -> dict[str, object]: ...

class _Schema:
    def load(self, data: object) -> ExpectationSuiteValidationResult: ...

expectationSuiteValidationResultSchema: _Schema  # noqa: N816 - its own name
