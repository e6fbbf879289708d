"""What real Great Expectations says of rows and records. Importing this imports it, which takes seconds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import great_expectations as gx
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from msgspec import Raw as Encoded
from msgspec import Struct
from pandas import DataFrame, Series

from data_collector.validation.audit.engine import Engine, LoadedSuite, load
from data_collector.validation.audit.frames import AuditBatch, frame_of_batch, frame_of_rows
from data_collector.validation.audit.memory import Memory
from data_collector.validation.auditing.messages import Chunk
from data_collector.validation.rules.columns import Value
from data_collector.validation.rules.suite import Suite
from tests.differential.comparison import Tally


class Raw(Struct, frozen=True):
    """A result as Great Expectations gives it."""

    success: bool
    rows: list[object] | None
    """None where it raised, or where it speaks of the column as a whole."""
    message: str


class Oracle:
    """Real Great Expectations, by the engine and the frames of the audit. One thread only."""

    def __init__(self, tally: Tally) -> None:
        self._engine = Engine()
        self._tally = tally
        source = gx.get_context(mode="ephemeral").data_sources.add_pandas("raw")
        self._raw = source.add_dataframe_asset("raw").add_batch_definition_whole_dataframe("all")

    def broken_by_rows(self, suite: Suite, rows: Sequence[Sequence[Value]]) -> list[set[str]]:
        """Per row the gated rules that Great Expectations finds broken."""
        return self._broken(suite, frame_of_rows(suite.kind, rows))

    def broken_by_records(self, suite: Suite, chunk: Chunk) -> list[set[str]]:
        """The same of decoded records."""
        batch = AuditBatch(chunk.kind, chunk.digest)
        batch.add(chunk, Encoded())
        return self._broken(suite, frame_of_batch("test", batch, Memory()))

    def raw(self, expectations: Sequence[Mapping[str, object]], frame: DataFrame) -> dict[str, Raw]:
        """What it makes of expectations that no reader of ours has seen, by rule id; dropped ones are not there."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            suite = gx.ExpectationSuite(name="raw", expectations=expectations)
            found = self._raw.get_batch(batch_parameters={"dataframe": frame}).validate(
                suite, result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False}
            )
        return dict(map(_raw, found.results))

    def _broken(self, suite: Suite, frame: DataFrame) -> list[set[str]]:
        loaded = load(suite)
        assert not loaded.faults, f"what the strict reader takes, Great Expectations takes: {loaded.faults}"
        with warnings.catch_warnings():
            # pandas warns of groups in regexes, numpy of what overflows: neither changes a verdict.
            warnings.simplefilter("ignore")
            found = self._gated(loaded, frame)
        self._tally.examples += 1
        self._tally.rule_batches += len(loaded.gated)
        self._tally.rows += len(frame)
        self._tally.broken += sum(map(len, found))
        return found

    def _gated(self, loaded: LoadedSuite, frame: DataFrame) -> list[set[str]]:
        found: list[set[str]] = [set() for _ in range(len(frame))]
        gated = set(loaded.gated)
        for outcome in self._engine.check(loaded, frame):
            if outcome.rule not in gated:
                continue
            # An exception of Great Expectations says nothing of any row (trap S3): the reader refuses what raises one.
            assert outcome.fault is None, f"{outcome.rule}: {outcome.fault}"
            assert not outcome.whole, f"{outcome.rule} speaks of rows"
            for row in outcome.rows:
                found[row].add(outcome.rule)
        return found


def _raw(result: ExpectationValidationResult) -> tuple[str, Raw]:
    assert result.expectation_config is not None
    rows = result.result.get("unexpected_index_list")
    rule = str(result.expectation_config.meta["rule_id"])
    return rule, Raw(result.success, rows if isinstance(rows, list) else None, str(result.exception_info))


def frame_of(columns: Mapping[str, tuple[str, Sequence[object]]], index: Sequence[int] | None = None) -> DataFrame:
    """A frame of any types, also such as the audit never makes: name to type and values."""
    series = {
        name: Series(values, index=index, dtype=dtype)  # type: ignore[arg-type] # the stubs have what the audit uses
        for name, (dtype, values) in columns.items()
    }
    return DataFrame(series)
