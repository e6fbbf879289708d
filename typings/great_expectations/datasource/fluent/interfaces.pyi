from collections.abc import Mapping

from great_expectations import ExpectationSuite
from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult

class Batch:
    def validate(
        self, expect: ExpectationSuite, *, result_format: Mapping[str, object]
    ) -> ExpectationSuiteValidationResult: ...
