"""`python -m tests.integration.gx_vocabulary` prints vocabulary.json, as the installed version has it."""

from __future__ import annotations

import sys
from typing import Final

import great_expectations
import msgspec
from great_expectations.expectations.registry import get_expectation_impl, list_registered_expectation_implementations

from data_collector.validation.audit import expectations

SQL_ONLY: Final = (
    "expect_column_values_to_match_like_pattern",
    "expect_column_values_to_match_like_pattern_list",
    "expect_column_values_to_not_match_like_pattern",
    "expect_column_values_to_not_match_like_pattern_list",
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
)
"""They have no metric for pandas, which Great Expectations itself finds out only when it validates."""

_NOT_ARGUMENTS: Final = {
    "id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content", "severity",
    "version", "windows", "batch_id", "table", "library_metadata",
}  # fmt: skip
"""Fields that every expectation has, and that no rule sets in its `kwargs`."""


def vocabulary_json() -> bytes:
    """The file's content."""
    assert expectations.__name__, "importing it registers ours"
    known = sorted(set(list_registered_expectation_implementations()) - set(SQL_ONLY))
    content = {
        "version": great_expectations.__version__,
        "sql_only": SQL_ONLY,
        "expectations": {expectation: _arguments(expectation) for expectation in known},
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def _arguments(expectation: str) -> dict[str, bool]:
    """Argument to whether it must be given."""
    fields = get_expectation_impl(expectation).__fields__
    return {name: bool(field.required) for name, field in fields.items() if name not in _NOT_ARGUMENTS}


if __name__ == "__main__":
    sys.stdout.buffer.write(vocabulary_json())
