from collections.abc import Mapping

class ExpectationConfiguration:
    meta: Mapping[str, object]

class ExpectationValidationResult:
    success: bool
    expectation_config: ExpectationConfiguration | None
    exception_info: Mapping[str, object] | None
    result: Mapping[str, object]

class ExpectationSuiteValidationResult:
    results: list[ExpectationValidationResult]
