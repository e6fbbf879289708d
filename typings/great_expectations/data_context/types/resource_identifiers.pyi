from great_expectations.core.run_identifier import RunIdentifier

class ExpectationSuiteIdentifier:
    def __init__(self, name: str) -> None: ...

class ValidationResultIdentifier:
    def __init__(
        self, expectation_suite_identifier: ExpectationSuiteIdentifier, run_id: RunIdentifier, batch_identifier: str
    ) -> None: ...
