"""From a suite to Python: one function per kind that judges a record in less than a microsecond.

Two functions are generated from the same conditions. `check` looks at a decoded record once: one conjunction of all
rules, in which whatever the decoder guarantees costs nothing. Only when that is false does `failed` find out which are
broken, with Great Expectations' meaning of nulls. Source text is made of column names and of names of constants,
never of anything else that a suite says (docs/decisions/0006-compiled-suites.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from types import GenericAlias
from typing import Final

import msgspec
from msgspec import Struct

from data_collector.model.gate import Verdict
from data_collector.validation.rules.columns import COLUMNS, DECIMALS, GATE_COLUMNS, INTEGER_MAX, Checked, Kind, Value
from data_collector.validation.rules.conditions import Condition
from data_collector.validation.rules.patterns import Pattern
from data_collector.validation.rules.suite import Rule, Suite

NUMBER_CHARACTERS_MAX: Final = 64
NUMBER_TEXT: Final = "number_text"
NUMBER_LENGTH: Final = "number_length"
READING_RULES: Final = {
    NUMBER_TEXT: "A price or quantity is not a plain decimal number.",
    NUMBER_LENGTH: f"A price or quantity has more than {NUMBER_CHARACTERS_MAX} characters.",
}
"""What is found while the columns are read; such a value is null to the rules of the suite."""

VERDICTS_KEPT: Final = 1_024
"""A record of a kind breaks few combinations of rules; making a verdict costs a microsecond."""

SIGNED: Final = frozenset({"price_change", "price_change_percent"})
"""Decimals that are below zero as often as above; one of another name that is so is judged slowly."""

_UNREADABLE = (msgspec.DecodeError, UnicodeEncodeError)
is_plain: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?").fullmatch
"""JSON's grammar, without exponents (1e308 is 309 digits to whoever writes them out) and blanks around the number."""

_number = msgspec.json.Decoder(float).decode
_NUMBERS: Final = {
    kind: msgspec.json.Decoder(GenericAlias(tuple, (float,) * len(names))).decode for kind, names in DECIMALS.items()
}
"""Decoding "[p,q]" as JSON numbers proves the grammar and gives the floats at once: 0.06 µs each."""


class CompiledSuite(Struct, frozen=True):
    """A suite in force."""

    suite: Suite
    digest: str
    gated: tuple[Rule, ...]
    """The rules that single records are judged by."""
    failed: Callable[..., list[int]]
    """Column values in the order of `GATE_COLUMNS` to the positions in `gated` of the rules that they break."""
    check: Callable[[Checked], Verdict | None]
    """A decoded record to its verdict."""
    source: str
    """The generated text, for people."""

    def verdict_of(self, values: Sequence[Value], reading: Sequence[str] = ()) -> Verdict | None:
        """The verdict on column values, any of which may be null; `reading` are broken rules of `READING_RULES`."""
        positions = self.failed(*values)
        return _verdict(self.gated, positions, reading) if positions or reading else None


def compile_suite(suite: Suite) -> CompiledSuite:
    """Generate and load the functions of a suite."""
    kind = suite.kind
    rules = tuple(rule for rule in suite.rules if rule.gated and not rule.disabled)
    names: dict[str, object] = {
        "__builtins__": {"len": len, "max": max, "min": min, "abs": abs, "map": map},
        "_numbers": _NUMBERS[kind],
        "_unreadable": _UNREADABLE,
        "_whole": whole,
        "OverflowError": OverflowError,
    }
    for number, rule in enumerate(rules):
        names |= {f"_c{number}_{place}": value for place, value in enumerate(_condition(rule).constants)}
    source = f"{_failed_source(kind, rules)}\n\n{_check_source(kind, rules)}"
    exec(compile(source, f"<{kind} suite>", "exec"), names)  # noqa: S102 (see above: names of columns and constants)
    failed = names["failed"]
    check = names["check"]
    assert callable(failed), "it was generated"
    assert callable(check), "it was generated"
    compiled = CompiledSuite(suite, suite.digest, rules, failed, check, source)

    def judge_slowly(record: Checked) -> Verdict | None:
        return compiled.verdict_of(*values_of(kind, record))

    @lru_cache(VERDICTS_KEPT)
    def verdict(*positions: int) -> Verdict | None:
        # Only numbers beyond 2^53 are judged otherwise by `check`, which has them at their full length.
        return _verdict(rules, positions, ()) if positions else None

    names |= {"_judge_slowly": judge_slowly, "_verdict": verdict}
    return compiled


def _verdict(rules: Sequence[Rule], positions: Sequence[int], reading: Sequence[str]) -> Verdict:
    broken = [rules[position] for position in positions]
    return Verdict(
        critical=(*reading, *(rule.id for rule in broken if rule.severity == "critical")),
        warnings=tuple(rule.id for rule in broken if rule.severity == "warning"),
        infos=tuple(rule.id for rule in broken if rule.severity == "info"),
        readable=not reading,
    )


def values_of(kind: Kind, record: Checked) -> tuple[list[Value], list[str]]:
    """The column values of a decoded record, and the reading rules that it breaks."""
    broken: dict[str, None] = {}
    values: list[Value] = []
    for name in GATE_COLUMNS[kind]:
        column = COLUMNS[kind][name]
        if name == "received_ms":
            values.append(record.received_ns // 1_000_000 or None)
        elif column.type == "decimal":
            values.append(_decimal(getattr(record, name), broken))
        elif column.type == "integer":
            values.append(whole(getattr(record, name)))
        else:
            values.append(getattr(record, name))
    return values, list(broken)


def whole(number: int | None) -> int | None:
    """An integer as rules see it: what is beyond 2^53 stays beyond and does not grow."""
    return None if number is None else max(-INTEGER_MAX - 1, min(number, INTEGER_MAX + 1))


def _decimal(text: str | None, broken: dict[str, None]) -> float | None:
    if text is None:
        return None
    try:
        number = _number(text)
    except _UNREADABLE:
        broken[NUMBER_TEXT] = None
        return None
    if not is_plain(text):
        broken[NUMBER_TEXT] = None
        return None
    if len(text) > NUMBER_CHARACTERS_MAX:
        broken[NUMBER_LENGTH] = None
        return None
    return number


def condition_text(kind: Kind, rule: Rule) -> str:
    """What `check` asks of a decoded record for a gated rule, for people: with the constants in their places."""
    nullable = _nullable_in_check(kind)
    return _guarded(_condition(rule), nullable).format(*map(_constant_text, _condition(rule).constants))


def _constant_text(value: object) -> str:
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    owner = getattr(value, "__self__", None)
    if isinstance(owner, Pattern):
        return f"re.compile({owner.text!r}).search"
    if isinstance(owner, dict):
        return "milliseconds_of"
    return getattr(value, "__name__", None) or repr(value)


def _condition(rule: Rule) -> Condition:
    assert rule.condition is not None, "gated rules have one"
    return rule.condition


def _failed_source(kind: Kind, rules: Sequence[Rule]) -> str:
    lines = [f"def failed({', '.join(GATE_COLUMNS[kind])}):", "    found = []"]
    everything = set(GATE_COLUMNS[kind])
    for number, rule in enumerate(rules):
        lines += [f"    if not {_keeps(rule, number, nullable=everything)}:", f"        found.append({number})"]
    return "\n".join([*lines, "    return found"])


def _check_source(kind: Kind, rules: Sequence[Rule]) -> str:
    nullable = _nullable_in_check(kind)
    decimals = DECIMALS[kind]
    unsigned = [name for name in decimals if name not in SIGNED]
    # Whatever is no plain number is no number with a sign before it and an exponent behind it: blanks, exponents.
    texts = ",".join(f"{'' if name in SIGNED else '-'}{{record.{name}}}e0" for name in decimals)
    blanks = " or ".join(f"record.{name} < '-'" for name in decimals if name in SIGNED)
    asked = [(number, rule) for number, rule in enumerate(rules) if not _is_given(rule, nullable)]
    conjunction = "\n            and ".join(_keeps(rule, number, nullable=nullable) for number, rule in asked)
    lengths = ", ".join(f"record.{name}" for name in decimals)
    return "\n".join([
        "def check(record):",
        f'    text = f"[{texts}]"',
        "    try:",
        f"        {', '.join(decimals)} = _numbers(text)",
        "    except _unreadable:",
        "        return _judge_slowly(record)",
        *([f"    if {blanks}:", "        return _judge_slowly(record)"] if blanks else []),
        f"    {', '.join(unsigned)} = {', '.join(f'-{name}' for name in unsigned)}",
        f"    if len(text) > {NUMBER_CHARACTERS_MAX} and max(map(len, ({lengths}))) > {NUMBER_CHARACTERS_MAX}:",
        "        return _judge_slowly(record)",
        *_loads(kind, {name for _, rule in asked for name in _names(rule)}),
        "    try:",
        "        if (",
        f"            {conjunction or True}",
        "        ):",
        "            return None",
        "    except OverflowError:",
        "        pass",
        f"    positions = failed({', '.join(_passed(kind))})",
        "    return _verdict(*positions) if positions else None",
    ])  # fmt: skip


def _nullable_in_check(kind: Kind) -> set[str]:
    """A record that lacks a decimal is judged slowly: its text is no JSON number."""
    return {name for name, column in COLUMNS[kind].items() if column.nullable and column.type != "decimal"}


def _passed(kind: Kind) -> Iterator[str]:
    """What the exact function is given: integers as Great Expectations sees them, whatever their length."""
    for name in GATE_COLUMNS[kind]:
        if COLUMNS[kind][name].type == "integer":
            yield f"_whole({_loaded(name)})"
        else:
            yield name if name in DECIMALS[kind] else _loaded(name)


def _loaded(name: str) -> str:
    return "record.received_ns // 1000000 or None" if name == "received_ms" else f"record.{name}"


def _loads(kind: Kind, used: Collection[str]) -> Iterator[str]:
    for name in GATE_COLUMNS[kind]:
        if name in used and name not in DECIMALS[kind]:
            yield f"    {name} = {_loaded(name)}"


def _names(rule: Rule) -> tuple[str, ...]:
    condition = _condition(rule)
    return condition.columns + condition.applies_columns


def _is_given(rule: Rule, nullable: Collection[str]) -> bool:
    """Whether the decoder guarantees the rule: a column that no decoded record lacks is present."""
    condition = _condition(rule)
    return (
        condition.nulls == "asked" and condition.holds.endswith("is not None") and condition.columns[0] not in nullable
    )


def _keeps(rule: Rule, number: int, *, nullable: Collection[str]) -> str:
    """An expression that is true when the rule is kept, given which columns may be null."""
    condition = _condition(rule)
    places = [f"_c{number}_{place}" for place in range(len(condition.constants))]
    return _guarded(condition, nullable).format(*places)


def _guarded(condition: Condition, nullable: Collection[str]) -> str:
    """With its nulls and with the records that it applies to; constants are still `{0}`, `{1}` …"""
    text = _with_nulls(condition, nullable)
    return text if condition.applies is None else f"(not {condition.applies} or {text})"


def _with_nulls(condition: Condition, nullable: Collection[str]) -> str:
    holds = condition.holds
    asked = [name for name in condition.columns if name in nullable]
    if condition.nulls == "asked" or not asked:
        return f"({holds})"
    some_null = " or ".join(f"{name} is None" for name in asked)
    none_null = " and ".join(f"{name} is not None" for name in asked)
    if condition.nulls == "skip_any":
        return f"({some_null} or ({holds}))"
    if condition.nulls == "skip_all" and len(asked) == len(condition.columns):
        all_null = " and ".join(f"{name} is None" for name in asked)
        return f"({all_null} or {none_null} and ({holds}))"
    return f"({none_null} and ({holds}))"
