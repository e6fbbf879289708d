"""Real Great Expectations over data frames, by its public interface, and what it found in terms of rules and rows.

Not for several threads: an asset that two of them share gives each the results of the other, without an exception.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

import great_expectations as gx
import msgspec
from great_expectations.core.expectation_validation_result import (
    ExpectationSuiteValidationResult,
    ExpectationValidationResult,
)
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    Expectation,
    MulticolumnMapExpectation,
)
from msgspec import Struct, structs
from pandas import DataFrame

from data_collector.validation.audit import expectations
from data_collector.validation.audit.selection import selected
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.rules.suite import Rule, Suite, read_suite

SUITES_KEPT: Final = 8
"""A kind has one suite in force; another while a change of it is under way."""

MESSAGE_CHARACTERS_MAX: Final = 500

OWN_EXPECTATIONS: Final = expectations.__name__
"""Named here so that nobody takes the import for unused: it registers them."""

# The second sets a level of its own while it is imported.
_LOGGERS: Final = ("great_expectations", "great_expectations.data_context.types.base")

# Rows cost half as much again as the counts, and most batches break few rules, so only those are asked for their rows.
_COUNTS: Final = {"result_format": "BASIC", "partial_unexpected_count": 0}

# No index query: nobody reads it. No index columns: those cost eight times the time when half of the rows are bad.
_ROWS: Final = {"result_format": "COMPLETE", "return_unexpected_index_query": False}


_ROW_BY_ROW: Final = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)

Keep = Callable[[ExpectationSuiteValidationResult], None]
"""Gets a whole result of Great Expectations, and may change it."""


class RuleOutcome(Struct, frozen=True):
    """What Great Expectations says of one rule and one batch."""

    rule: str
    rows: frozenset[int] = frozenset()
    """Rows that break it."""
    whole: bool = False
    """The batch as a whole breaks it."""
    fault: str | None = None
    """Why it could not be evaluated: then nothing is known of any row."""
    pairs: int = 0
    """Rows that it is about, by our count; of a rule that judges the batch as a whole none."""
    evaluated: int | None = 0
    """Those of them that Great Expectations says it has looked at; None when it judged a column as a whole."""


class LoadedSuite(Struct, frozen=True):
    """A suite as Great Expectations has it, without the rules that are switched off."""

    rules: Suite
    expectations: Mapping[str, Expectation]
    """By rule."""
    faults: Mapping[str, str]
    """Rule to why Great Expectations does not take it."""

    @property
    def gated(self) -> list[str]:
        """The rules that the gate judges too."""
        return [rule.id for rule in self.rules.rules if rule.gated and not rule.disabled]


class Engine:
    """Checks frames. One thread only."""

    def __init__(self) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        source = context.data_sources.add_pandas("records")
        self._batches = {
            kind: source.add_dataframe_asset(kind).add_batch_definition_whole_dataframe("all") for kind in KINDS
        }
        self.suite = lru_cache(SUITES_KEPT)(_read)
        """Kind and document to the suite. Raises `SuiteRefused`."""

    def check(self, suite: LoadedSuite, frame: DataFrame, keep: Keep | None = None) -> list[RuleOutcome]:
        """The outcome of every rule that is not switched off, in the order of the suite.

        A rule whose `row_condition` selects no row of the frame cannot be broken and is left out. `keep` gets what
        Great Expectations itself answered, to do with as it likes.
        """
        batch = self._batches[suite.rules.kind].get_batch(batch_parameters={"dataframe": frame})
        pairs = _pairs(suite, frame)
        asked = [rule for rule in suite.expectations if pairs.get(rule) != 0]
        results = {rule: RuleOutcome(rule) for rule in suite.expectations if pairs.get(rule) == 0}
        results |= {rule: RuleOutcome(rule, fault=fault) for rule, fault in suite.faults.items()}
        if keep is None:
            results |= _outcomes(batch, suite, asked, _COUNTS)
            broken = [rule for rule in asked if results[rule].whole]
            results |= _outcomes(batch, suite, broken, _ROWS)
        else:
            results |= _outcomes(batch, suite, asked, _ROWS, keep)
        in_force = [rule.id for rule in suite.rules.rules if not rule.disabled]
        outcomes = [
            results.get(rule, RuleOutcome(rule, fault="Great Expectations gave no result.")) for rule in in_force
        ]
        return [
            structs.replace(outcome, pairs=0 if outcome.evaluated is None else pairs.get(outcome.rule, 0))
            for outcome in outcomes
        ]


def _pairs(suite: LoadedSuite, frame: DataFrame) -> dict[str, int]:
    """Rule to the rows that it is about, of the rules that judge row by row."""
    counts: dict[bytes, int] = {}
    found: dict[str, int] = {}
    for rule in suite.rules.rules:
        if isinstance(suite.expectations.get(rule.id), _ROW_BY_ROW):
            condition = rule.kwargs.get("row_condition")
            key = msgspec.json.encode(condition)
            if key not in counts:
                counts[key] = int(selected(condition, frame).sum())
            found[rule.id] = counts[key]
    return found


def load(suite: Suite) -> LoadedSuite:
    """Hand the rules to Great Expectations, one at a time: it drops what it does not know, without a word."""
    loaded: dict[str, Expectation] = {}
    faults: dict[str, str] = {}
    for rule in suite.rules:
        if rule.disabled:
            continue
        try:
            loaded[rule.id] = _expectation(rule)
        except Exception as error:  # noqa: BLE001 - what its checks of arguments raise is not documented
            faults[rule.id] = _shortened(str(error))
    return LoadedSuite(suite, loaded, faults)


def _read(kind: Kind, document: bytes) -> LoadedSuite:
    return load(read_suite(kind, document, source="shipped", origin=f"the {kind} suite of the request"))


def _expectation(rule: Rule) -> Expectation:
    made = gx.ExpectationSuite(name=rule.id, expectations=[rule.document()]).expectations
    if len(made) != 1:
        raise ValueError(f"Great Expectations does not know {rule.type} with these arguments")
    return made[0]


def _outcomes(
    batch: Batch,
    suite: LoadedSuite,
    rules: Sequence[str],
    result_format: Mapping[str, object],
    keep: Keep | None = None,
) -> dict[str, RuleOutcome]:
    """By rule; without rows a rule that is broken is broken as a whole."""
    if not rules:
        return {}
    expectations = [suite.expectations[rule] for rule in rules]
    asked = gx.ExpectationSuite(name=suite.rules.kind, expectations=expectations)
    found = batch.validate(asked, result_format=result_format)
    outcomes = {outcome.rule: outcome for outcome in map(_outcome, found.results)}
    if keep is not None:
        keep(found)
    return outcomes


def _outcome(result: ExpectationValidationResult) -> RuleOutcome:
    configuration = result.expectation_config
    assert configuration is not None, "we gave it one"
    rule = str(configuration.meta["rule_id"])
    fault = next(_messages(result.exception_info), None)
    if fault is not None:
        return RuleOutcome(rule, fault=_shortened(fault))
    evaluated = _evaluated(result.result)
    if result.success:
        # With `mostly` some rows may break a rule that is kept.
        return RuleOutcome(rule, evaluated=evaluated)
    # `unexpected_list` would end after 200 rows.
    listed = result.result.get("unexpected_index_list")
    rows = frozenset(int(str(row)) for row in listed) if isinstance(listed, list) else frozenset()
    return RuleOutcome(rule, rows, whole=not rows, evaluated=evaluated)


def _evaluated(result: Mapping[str, object]) -> int | None:
    counted = result.get("element_count")
    if isinstance(counted, int):
        return counted
    # The type of a column of numbers is looked at once.
    return None if "observed_value" in result else 0


def _messages(info: Mapping[str, object] | None) -> Iterator[str]:
    """The exceptions of a result: one, or one for each metric that failed."""
    if not info:
        return
    if info.get("raised_exception"):
        yield str(info.get("exception_message") or "It failed.")
    for part in info.values():
        if isinstance(part, dict):
            yield from _messages(part)


def _shortened(message: str) -> str:
    text = " ".join(message.split()) or "It failed."
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else text[: MESSAGE_CHARACTERS_MAX - 1] + "…"
