"""What real Great Expectations says of rows: the oracle that the compiled suites are held against."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Final

import great_expectations as gx
import pandas
from great_expectations.datasource.fluent import BatchRequest  # noqa: F401 - makes the import complete
from great_expectations.data_context.types.base import ProgressBarsConfig

from data_collector.validation.columns import COLUMNS, GATE_COLUMNS, Kind, Value

DTYPES: Final = {"text": object, "flag": object, "decimal": "float64", "integer": "float64"}
"""Plain numpy types: with nullable ones pair rules raise on nulls (trap N4)."""

RESULT_FORMAT: Final = {"result_format": "COMPLETE", "return_unexpected_index_query": False}

Found = frozenset[int] | str
"""The rows that break a rule, or why it could not be evaluated."""


def frame_of(kind: Kind, rows: Sequence[Sequence[Value]]) -> pandas.DataFrame:
    """Rows in the order of `GATE_COLUMNS` as the audit would put them into a frame."""
    columns = {
        name: pandas.Series([row[place] for row in rows], dtype=DTYPES[COLUMNS[kind][name].type])
        for place, name in enumerate(GATE_COLUMNS[kind])
    }
    return pandas.DataFrame(columns)


class Oracle:
    """One context and one asset: sharing them between threads mixes their results up."""

    def __init__(self) -> None:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("frames").add_dataframe_asset("rows")
        self._batches = asset.add_batch_definition_whole_dataframe("all")

    def rows(self, document: Mapping[str, object], frame: pandas.DataFrame) -> dict[str, Found]:
        """Rule id to the rows of the frame that break it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            suite = gx.ExpectationSuite(**document)
            assert len(suite.expectations) == len(list(document["expectations"])), "none was dropped"
            batch = self._batches.get_batch(batch_parameters={"dataframe": frame})
            results = batch.validate(suite, result_format=RESULT_FORMAT).results
        return {result.expectation_config.meta["rule_id"]: _found(result) for result in results}


def _found(result: gx.ExpectationValidationResult) -> Found:
    rows = result.result.get("unexpected_index_list")
    return str(result.exception_info)[-2000:] if rows is None else frozenset(rows)
