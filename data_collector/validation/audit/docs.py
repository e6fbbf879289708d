"""Real Data Docs of the newest audits: the site that Great Expectations builds, made to work offline."""

from __future__ import annotations

import json
import re
import shutil
from collections import deque
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Final

import great_expectations as gx
from great_expectations.core.expectation_validation_result import (
    ExpectationSuiteValidationResult,
    expectationSuiteValidationResultSchema,
)
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from msgspec import Struct

from data_collector.observe.logs import get_log
from data_collector.validation.audit.pages import make_offline
from data_collector.validation.rules.columns import Kind
from data_collector.validation.rules.suite import Suite

RESULTS_MAX: Final = 50
"""Of up to 100 KiB each; building takes 25 ms each."""

SITE: Final = "Audits"

_LONG: Final = ("unexpected_list", "unexpected_index_list", "partial_unexpected_index_list")
"""Grow with the rows of a batch. What is shown is the first twenty values."""

_CHECKED: Final = frozenset({"type", "operator"})
"""Texts of suites that are names out of a list."""

_IN_PATHS: Final = re.compile(r"[^A-Za-z0-9_.-]+")

_log = get_log()


class _Kept(Struct, frozen=True):
    """A validation result as text."""

    kind: Kind
    source: str
    at: datetime
    batch: str
    result: str


class Docs:
    """Keeps the newest `RESULTS_MAX` validation results, and builds a site of them when asked."""

    def __init__(self) -> None:
        self._kept: deque[_Kept] = deque(maxlen=RESULTS_MAX)
        self._suites: dict[Kind, str] = {}
        self._count = 0

    def remember(self, source: str, suite: Suite, rows: int, found: ExpectationSuiteValidationResult) -> None:
        """A batch has been checked. Shortens `found`, which nobody may need any more."""
        at = datetime.now(UTC)
        for result in found.results:
            result.result = {name: value for name, value in result.result.items() if name not in _LONG}
        found.meta["run_id"] = RunIdentifier(run_name=source, run_time=at)
        try:
            text = _text(found.to_json_dict())
        except Exception:  # noqa: BLE001 - the audit itself is done, and what is shown of it must not undo it
            _log.warning("audit_not_in_data_docs", kind=suite.kind, exc_info=True)
            return
        self._count += 1
        self._suites[suite.kind] = _text([rule.document() for rule in suite.rules if not rule.disabled])
        self._kept.append(_Kept(suite.kind, source, at, f"{self._count}-{suite.kind}-{rows}-rows", text))

    def build(self, folder: Path, keep: int) -> int:
        """Write the site into a folder that does not exist yet; returns how many results it shows. None: no folder."""
        kept = list(self._kept)[-keep:]
        if not kept:
            return 0
        folder.mkdir(mode=0o700, parents=True)
        try:
            _build(folder, kept, self._suites)
            make_offline(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return len(kept)


def _build(folder: Path, kept: list[_Kept], suites: dict[Kind, str]) -> None:
    # A context of its own each time: nothing of it stays, and the engine's is not touched.
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for kind, rules in suites.items():
        context.suites.add(gx.ExpectationSuite(name=kind, expectations=json.loads(rules)))
    for each in kept:
        name = _IN_PATHS.sub("_", each.source).strip(".") or "unnamed"
        identifier = ValidationResultIdentifier(
            expectation_suite_identifier=ExpectationSuiteIdentifier(each.kind),
            run_id=RunIdentifier(run_name=name, run_time=each.at),
            batch_identifier=each.batch,
        )
        result = expectationSuiteValidationResultSchema.load(json.loads(each.result))
        context.validation_results_store.set(identifier, result)
    context.add_data_docs_site(
        site_name=SITE,
        site_config={
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        },
    )
    context.build_data_docs(site_names=[SITE])


def _text(document: object) -> str:
    return json.dumps(_escaped(document))


def _escaped(value: object) -> object:
    """No text of it is HTML: Great Expectations puts values and descriptions into pages as they are."""
    if isinstance(value, str):
        return escape(value, quote=False)
    if isinstance(value, dict):
        return {str(name): each if name in _CHECKED else _escaped(each) for name, each in value.items()}
    return [_escaped(each) for each in value] if isinstance(value, list) else value
