"""Suites: Great Expectations' own JSON, read strictly. Great Expectations itself would drop a misspelt rule silently.

    {"name": "trade", "expectations": [
      {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "min_value": 0, "strict_min": true},
       "severity": "critical", "description": "The price is above zero.", "meta": {"rule_id": "price_positive"}}]}

`meta` may also hold `audit_only` (the gate does not look, the audit does), `disabled` (a user's way to switch a shipped
rule off) and `locked` (shipped rules that guard the store: nobody may change them).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec
from msgspec import Struct

from data_collector.model.errors import SuiteRefused
from data_collector.validation.rules.arguments import columns_named, shown
from data_collector.validation.rules.columns import COLUMNS, Kind
from data_collector.validation.rules.conditions import GATED, Condition, check_row_condition, condition_of

Severity = Literal["critical", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "info")

DOCUMENT_BYTES_MAX: Final = 256 * 1024
RULES_MAX: Final = 500
"""Each rule is a label of metrics, and costs the audit about 6 ms a batch."""

_RULE_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_META = {"rule_id", "audit_only", "disabled", "locked", "source"}
_KEYS = {"type", "kwargs", "severity", "description", "meta", "id", "notes", "rendered_content"}
SENTENCE_CHARACTERS_MAX: Final = 500
_SUITE_KEYS = {"name", "expectations", "meta", "id", "notes", "suite_parameters"}


class _Vocabulary(Struct):
    """The installed Great Expectations, which takes 2 s and 230 MB to import; a test compares them.

    `python -m tests.integration.gx_vocabulary` makes the file.
    """

    version: str
    sql_only: list[str]
    expectations: dict[str, dict[str, bool]]


_KNOWN = msgspec.json.decode(
    files("data_collector.validation").joinpath("vocabulary.json").read_bytes(), type=_Vocabulary
)

VOCABULARY: Final[Mapping[str, Mapping[str, bool]]] = _KNOWN.expectations
"""Expectation to its arguments, and whether each must be given."""

SQL_ONLY: Final[frozenset[str]] = frozenset(_KNOWN.sql_only)
"""Expectations that do not work on frames."""


class Rule(Struct, frozen=True):
    """One expectation of a suite."""

    id: str
    type: str
    kwargs: dict[str, object]
    severity: Severity
    sentence: str
    """What people read when it is broken: what must hold."""
    condition: Condition | None
    """How a single record is judged; None for rules that only the audit can judge."""
    audit_only: bool = False
    disabled: bool = False
    locked: bool = False
    source: Literal["shipped", "user"] = "shipped"

    @property
    def gated(self) -> bool:
        """Whether the gate judges it."""
        return self.condition is not None and not self.audit_only

    def document(self) -> dict[str, object]:
        """The JSON that Great Expectations reads."""
        meta: dict[str, object] = {"rule_id": self.id, "source": self.source}
        meta |= {name: True for name in ("audit_only", "disabled", "locked") if getattr(self, name)}
        return {
            "type": self.type,
            "kwargs": self.kwargs,
            "severity": self.severity,
            "description": self.sentence,
            "meta": meta,
        }


class Suite(Struct, frozen=True):
    """The rules of one kind that are in force."""

    kind: Kind
    rules: tuple[Rule, ...]

    def document(self) -> dict[str, object]:
        """The whole suite as Great Expectations reads it."""
        return {"name": self.kind, "expectations": [rule.document() for rule in self.rules], "meta": {}}

    def encoded(self) -> bytes:
        """The document as it is sent, kept and hashed."""
        return msgspec.json.encode(self.document(), order="deterministic")

    @property
    def digest(self) -> str:
        """Same digest, same rules."""
        return hashlib.sha256(self.encoded()).hexdigest()[:16]


def read_suite(
    kind: Kind, content: bytes | str, *, source: Literal["shipped", "user"] = "user", origin: str = ""
) -> Suite:
    """The rules of a document. Raises `SuiteRefused` that names every faulty rule and why; `origin` says where."""
    origin = origin or f"the {kind} suite"
    if len(content) > DOCUMENT_BYTES_MAX:
        raise SuiteRefused(origin, [f"it has more than {DOCUMENT_BYTES_MAX} bytes"])
    try:
        document = msgspec.json.decode(content, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SuiteRefused(origin, [f"it is not a JSON object ({error})"]) from error
    return parse_suite(kind, document, source=source, origin=origin)


@cache
def shipped_suite(kind: Kind) -> Suite:
    """The rules that come with the package, in `suites/{kind}.json`."""
    path = files("data_collector.validation").joinpath("suites", f"{kind}.json")
    return read_suite(kind, path.read_bytes(), source="shipped", origin=f"the shipped {kind} suite")


def parse_suite(
    kind: Kind, document: Mapping[str, object], *, source: Literal["shipped", "user"], origin: str
) -> Suite:
    """The rules of a decoded document. Raises `SuiteRefused` that names every faulty rule and why."""
    listed = document.get("expectations")
    if not isinstance(listed, list):
        raise SuiteRefused(origin, ['it has no list "expectations"'])
    faults = [f"there is no key {shown(name)} in a suite" for name in document if name not in _SUITE_KEYS]
    if document.get("name", kind) != kind:
        faults.append(f"its name is {shown(document.get('name'))} and should be {kind!r}")
    if len(listed) > RULES_MAX:
        faults.append(f"it has more than {RULES_MAX} rules")
    rules: dict[str, Rule] = {}
    for number, entry in enumerate(listed[:RULES_MAX], start=1):
        label = _label(entry, number)
        try:
            rule = _parse_rule(kind, entry, source)
        except ValueError as error:
            faults.append(f"{label}: {error}")
            continue
        if rule.id in rules:
            faults.append(f"{label}: another rule of this file has the same id")
        rules[rule.id] = rule
    if faults:
        raise SuiteRefused(origin, faults)
    return Suite(kind, tuple(rules.values()))


def merged(shipped: Suite, user: Suite, *, origin: str = "") -> Suite:
    """The shipped rules with the user's in place of those of the same id, then the user's own.

    Raises `SuiteRefused` when the user changes a rule that guards the store.
    """
    given = {rule.id: rule for rule in user.rules}
    faults = [
        f"rule {rule.id}: it guards the store and cannot be changed; add a stricter rule under an id of its own"
        for rule in shipped.rules
        if rule.locked and rule.id in given and not same_rule(rule, given[rule.id])
    ]
    if faults:
        raise SuiteRefused(origin or f"the {shipped.kind} suite", faults)
    kept = [rule if same_rule(rule, given.get(rule.id, rule)) else given[rule.id] for rule in shipped.rules]
    known = {rule.id for rule in shipped.rules}
    suite = Suite(shipped.kind, (*kept, *(rule for rule in user.rules if rule.id not in known)))
    if len(suite.rules) > RULES_MAX:
        fault = f"with the {len(shipped.rules)} shipped ones there are more than {RULES_MAX} rules"
        raise SuiteRefused(origin or f"the {shipped.kind} suite", [fault])
    if len(suite.encoded()) > DOCUMENT_BYTES_MAX:
        fault = f"with the shipped rules it has more than {DOCUMENT_BYTES_MAX} bytes"
        raise SuiteRefused(origin or f"the {shipped.kind} suite", [fault])
    return suite


def check_guards(shipped: Suite, suite: Suite, *, origin: str) -> None:
    """A suite that comes whole from elsewhere must hold the rules that guard the store. Raises `SuiteRefused`."""
    given = {rule.id: rule for rule in suite.rules}
    faults = [
        f"rule {rule.id}: it guards the store, and is missing or another one"
        for rule in shipped.rules
        if rule.locked and (rule.id not in given or not same_rule(rule, given[rule.id]))
    ]
    if faults:
        raise SuiteRefused(origin, faults)


def same_rule(one: Rule, other: Rule) -> bool:
    """Whether two rules say the same, wherever they come from."""
    return msgspec.structs.replace(one, source=other.source, locked=other.locked) == other


def difference(shipped: Suite, user: Suite) -> Suite:
    """What of a user's suite is not shipped in the same words: this alone needs to be kept."""
    by_id = {rule.id: rule for rule in shipped.rules}
    return Suite(
        user.kind,
        tuple(rule for rule in user.rules if rule.id not in by_id or not same_rule(by_id[rule.id], rule)),
    )


def _label(entry: object, number: int) -> str:
    if isinstance(entry, dict):
        meta = entry.get("meta")
        rule_id = meta.get("rule_id") if isinstance(meta, dict) else None
        if isinstance(rule_id, str) and rule_id:
            return f"rule {rule_id[:64]}"
    return f"expectation {number}"


def _parse_rule(kind: Kind, entry: object, source: Literal["shipped", "user"]) -> Rule:
    if not isinstance(entry, dict):
        raise ValueError("it is not a JSON object")
    unknown = sorted(str(name) for name in entry if name not in _KEYS)
    if unknown:
        raise ValueError(f"there is no key {shown(unknown[0])} in an expectation{_meant(unknown[0], _KEYS)}")
    expectation = _known_type(entry.get("type"))
    meta = _meta(entry.get("meta"))
    severity = entry.get("severity", "critical")
    if severity not in SEVERITIES:
        known = ", ".join(SEVERITIES)
        raise ValueError(f"severity {shown(severity)} is none of {known}{_meant(shown(severity), SEVERITIES)}")
    sentence = entry.get("description")
    if not isinstance(sentence, str) or not sentence.strip() or len(sentence) > SENTENCE_CHARACTERS_MAX:
        raise ValueError(
            f'"description" must be the sentence that people read (1 to {SENTENCE_CHARACTERS_MAX} characters)'
        )
    kwargs = _kwargs(kind, expectation, entry.get("kwargs", {}))
    return _gated_rule(
        kind,
        Rule(
            id=_rule_id(meta),
            type=expectation,
            kwargs=kwargs,
            severity=severity,
            sentence=sentence.strip(),
            condition=None,
            audit_only=_flag(meta, "audit_only"),
            disabled=_flag(meta, "disabled"),
            locked=source == "shipped" and _flag(meta, "locked"),
            source="user" if meta.get("source") == "user" else source,
        ),
    )


def _gated_rule(kind: Kind, rule: Rule) -> Rule:
    """The rule with its condition, if a single record can be judged by it."""
    why_not = why_not_gated(kind, rule)
    if why_not is None:
        return msgspec.structs.replace(rule, condition=condition_of(kind, rule.type, rule.kwargs))
    if rule.type in GATED:
        condition_of(kind, rule.type, rule.kwargs)
    else:
        check_row_condition(kind, rule.kwargs)
    if rule.severity == "critical" and not rule.disabled:
        raise ValueError(
            f"a critical rule must be decided for each record alone, and {why_not}; make it warning or info"
        )
    return rule


def why_not_gated(kind: Kind, rule: Rule) -> str | None:
    """Why only the audit judges a rule, as the end of a sentence; None where the gate can."""
    if rule.audit_only:
        return "it is audit_only"
    if rule.type not in GATED:
        return f"{rule.type} judges batches"
    if float(str(rule.kwargs.get("mostly", 1))) < 1:
        return "mostly below 1 judges batches"
    beyond = [name for name in columns_named(rule.kwargs) if COLUMNS[kind][name].audit_only]
    return f"the column {beyond[0]} is known to the audit only" if beyond else None


def _known_type(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError('"type" must be the name of an expectation')
    if given in SQL_ONLY:
        raise ValueError(f"{given} works on SQL databases only")
    if given not in VOCABULARY:
        raise ValueError(f"there is no expectation {shown(given)}{_meant(given, VOCABULARY)}")
    return given


def _meta(given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        raise ValueError('"meta" must hold at least {"rule_id": "…"}')
    return given


def _rule_id(meta: Mapping[str, object]) -> str:
    rule_id = meta.get("rule_id")
    if not isinstance(rule_id, str) or not _RULE_ID.fullmatch(rule_id):
        raise ValueError("meta.rule_id must be 1 to 64 of a-z, 0-9 and _, and begin with a letter")
    unknown = sorted(str(name) for name in meta if name not in _META)
    if unknown:
        raise ValueError(f"there is no meta.{unknown[0][:100]}{_meant(unknown[0], _META)}")
    return rule_id


def _flag(meta: Mapping[str, object], name: str) -> bool:
    value = meta.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"meta.{name} must be true or false")
    return value


def _kwargs(kind: Kind, expectation: str, given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        raise ValueError('"kwargs" must be a JSON object')
    arguments = VOCABULARY[expectation]
    for name in given:
        if name not in arguments:
            raise ValueError(f"{expectation} has no argument {shown(name)}{_meant(str(name), arguments)}")
    missing = [name for name, required in arguments.items() if required and name not in given]
    if missing:
        raise ValueError(f"{expectation} needs the argument {missing[0]}")
    mostly = given.get("mostly", 1)
    if isinstance(mostly, bool) or not isinstance(mostly, int | float) or not 0 <= mostly <= 1:
        raise ValueError("mostly must be a number from 0 to 1")
    for name in columns_named(given):
        if name not in COLUMNS[kind]:
            raise ValueError(f"a {kind} has no column {shown(name)}{_meant(name, COLUMNS[kind])}")
    return given


def _meant(given: str, known: Sequence[str] | Mapping[str, object] | set[str]) -> str:
    close = difflib.get_close_matches(given, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
