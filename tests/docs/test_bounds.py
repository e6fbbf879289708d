"""Whatever loops, descends or reads by a number that somebody else wrote has a bound.

What can be told from the text alone is held here: loops that count, arrays and bodies read whole, JSON that may be
nested without a bottom, patterns that are no constants, waits that are asked for, asserts about replies. A place that
is right nevertheless is listed with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.tree import ROOT, read, source_modules

PACKAGE = ROOT / "data_collector"
OURS = ("simulator", "speaker")
"""The simulated exchange, whose numbers are its own."""

FOREIGN_ROOMS = ("api", "candles", "decoding", "model", "pipeline", "rest", "sinks", "validation/gate", "venues", "web")
"""Where what others wrote is read while others wait."""

A_BOUND = re.compile(r"\b_?[A-Z][A-Z0-9_]{2,}\b|\bbounded\(|\blen\(|\b\w*_max\b")
"""Named constants, lengths of what is there already, and names that end in `_max`."""

Found = Iterator[tuple[ast.AST, str]]
Rule = Callable[[ast.Module], Found]

HALVING = "halves a range of milliseconds or ids: sixty times at most"
MONTHS = "months, of which there are some ten thousand until the calendar ends"

LOOPS = {
    "api/series/redis_klines.py _months": MONTHS,
    "api/series/redis_trades.py _start": HALVING,
    "candles/amounts.py units_of": "the text before has a bound",
    "model/calendar.py missing_range": MONTHS,
    "model/grid.py end_of_closed": MONTHS,
    "model/grid.py first_open": MONTHS,
    "model/grid.py parts": "a generator: whoever takes from it has the bound",
    "pipeline/connections/overlap.py finish": "time",
    "pipeline/repair/closed_epochs.py _put_late": "runs as long as their entries",
    "pipeline/sequence/series.py _next": "passes over what is held and refused, which have bounds",
    "pipeline/spool/spool.py end_id": "covers that are kept, each once",
    "sinks/postgres/reading.py first_id": HALVING,
    "sinks/redis/flow.py _announces_too_many": "forward through bytes that are here",
    "sinks/redis/former_epochs.py end_of_epoch": HALVING,
    "venues/binance/bulk_names.py _months": MONTHS,
    "venues/binance/bulk_names.py days_of": "days of a month",
}

ASSERTS = {
    "api/series/seam.py _newest": "what it is made of",
    "candles/amounts.py units_of": "of a Decimal that is finite",
    "model/errors.py expected_of": "a group that was split by type",
    "sinks/postgres/migrate.py tables_version": "the type of the column",
    "sinks/postgres/quarantine.py _row": "the type of the column",
    "sinks/postgres/reading.py _number": "the query says the type",
    "sinks/redis/connection.py connection_made": "asyncio's own promise",
    "venues/discovery.py find_venue": "our own folders",
    "venues/discovery.py find_speaker": "our own folders",
    "web/answers.py answer_invalid": "registered for this class",
    "web/answers.py answer_refused": "registered for this class",
    "web/answers.py answer_unavailable": "registered for this class",
}

BODIES = {
    "cli/demo.py bring_up": "of our own simulator",
    "cli/plan.py _known": "of our own HTTP side, once",
    "client/answering/http.py _exchange": "of our own HTTP side, for its user alone",
    "client/answering/http.py _piece": "of our own HTTP side, for its user alone",
    "client/answering/http.py _tried": "of our own HTTP side, for its user alone",
}

PATTERNS = {
    "validation/rules/patterns.py __init__": "users' own: looked at by `re`, and run by what can be stopped",
    "venues/binance/bulk_rows.py _bad_row": "the forms of the columns above it",
}


def modules(*rooms: str) -> list[Path]:
    """Those of the package, or of some of its rooms."""
    inside = [path for path in source_modules() if path.is_relative_to(PACKAGE)]
    foreign = [path for path in inside if not set(OURS) & set(path.relative_to(PACKAGE).parts)]
    return [path for path in foreign if not rooms or place(path).startswith(tuple(f"{room}/" for room in rooms))]


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def enclosing(tree: ast.Module, node: ast.AST) -> str:
    """The innermost function that a node stands in."""
    line = getattr(node, "lineno", 0)
    functions = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    around = [each for each in functions if each.lineno <= line <= (each.end_lineno or 0)]
    return max(around, key=lambda each: each.lineno).name if around else ""


def found(rule: Rule, *rooms: str) -> dict[str, str]:
    """Module and function of each place that a rule finds, and what stands there."""
    places: dict[str, str] = {}
    for path in modules(*rooms):
        tree = ast.parse(read(path))
        places |= {f"{place(path)} {enclosing(tree, node)}": text for node, text in rule(tree)}
    return places


def called(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names


def counting_loops(tree: ast.Module) -> Found:
    """Over a range of numbers, or as long as one is smaller than another; what is filled from one, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.While) and not takes_out(node.test):
            orders = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
            compared = [each for each in ast.walk(node.test) if isinstance(each, ast.Compare)]
            if any(isinstance(sign, orders) for each in compared for sign in each.ops):
                yield node, ast.unparse(node.test)
        counted: list[ast.AST] = []
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            counted = [node.iter]
        elif called(node, "list", "set", "tuple", "frozenset", "sorted", "update", "extend", "fromkeys"):
            counted = [each for each in ast.walk(node) if each is not node]
        yield from ((each, ast.unparse(each)) for each in counted if called(each, "range", "repeat"))


def takes_out(test: ast.expr) -> bool:
    """`while waiting and …`: a collection that gets shorter."""
    match test:
        case ast.BoolOp(op=ast.And(), values=[ast.Name() | ast.Attribute(), *_]):
            return True
    return False


def unbounded_loops(tree: ast.Module) -> Found:
    for node, text in counting_loops(tree):
        if not A_BOUND.search(text) and not re.fullmatch(r"range\([\d, -]+\)", text):
            yield node, text


def reply_asserts(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and any(called(each, "isinstance") for each in ast.walk(node.test)):
            yield node, ast.unparse(node.test)


def made_patterns(tree: ast.Module) -> Found:
    kinds = ("compile", "search", "match", "fullmatch", "sub", "split", "findall", "finditer")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not called(node, *kinds) or not ast.unparse(node.func).startswith("re."):
            continue
        pattern = node.args[0]
        if not isinstance(pattern, ast.Constant | ast.JoinedStr) and not A_BOUND.search(ast.unparse(pattern)):
            yield node, ast.unparse(pattern)


def shallow_handlers(tree: ast.Module) -> Found:
    """Of what is no JSON, and not of what has no bottom: the decoder raises another error for it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            caught = " ".join(ast.unparse(each.type) for each in node.handlers if each.type is not None)
            if (
                re.search(r"msgspec\.(DecodeError|MsgspecError)|JSONDecodeError", caught)
                and "RecursionError" not in caught
            ):
                yield node, caught


def endless_reads(tree: ast.Module) -> Found:
    """Bodies that are read whole, whatever comes."""
    for node in ast.walk(tree):
        if called(node, "read", "text", "json") and isinstance(node, ast.Call) and not node.args and not node.keywords:
            text = ast.unparse(node.func)
            if re.search(r"\b(answer|response|reply)\.", text):
                yield node, text


def asked_waits(tree: ast.Module) -> Found:
    """Headers that ask for a wait, where they are not read by the one function for it."""
    for node in ast.walk(tree):
        if called(node, "get", "getheader") and "Retry-After" in ast.unparse(node):
            outside = (each for each in ast.walk(tree) if called(each, "retry_after_s"))
            if not any(node in ast.walk(each) for each in outside):
                yield node, ast.unparse(node)


def test_counting_loops_have_a_bound() -> None:
    assert found(unbounded_loops, *FOREIGN_ROOMS).keys() == LOOPS.keys()


def test_replies_are_looked_at_and_not_asserted() -> None:
    assert found(reply_asserts, *FOREIGN_ROOMS).keys() == ASSERTS.keys()


def test_patterns_are_our_own() -> None:
    assert found(made_patterns).keys() == PATTERNS.keys()


def test_who_expects_no_json_expects_none_without_a_bottom() -> None:
    assert found(shallow_handlers) == {}


def test_bodies_have_a_bound() -> None:
    assert found(endless_reads).keys() == BODIES.keys()


def test_waits_that_are_asked_for_are_read_by_one_function() -> None:
    assert found(asked_waits) == {}


@pytest.mark.parametrize(
    ("rule", "faulty", "fine"),
    [
        (unbounded_loops, "while at < until: at = step(at)", "while at < min(until, LOOPS_MAX): at = step(at)"),
        (unbounded_loops, "for each in range(told): pass", "for each in range(bounded(told, most, 0)): pass"),
        (unbounded_loops, "found = set(range(first, last))", "found = range(first, last)"),
        (reply_asserts, "assert isinstance(reply, list)", "assert reply is not None"),
        (made_patterns, "re.search(given, text)", "re.search('[a-z]', text)"),
        (
            shallow_handlers,
            "try: f()\nexcept msgspec.DecodeError: pass",
            "try: f()\nexcept (msgspec.DecodeError, RecursionError): pass",
        ),
        (endless_reads, "await answer.read()", "await answer.read(BODY_MAX)"),
        (asked_waits, "headers.get('Retry-After')", "retry_after_s(headers.get('Retry-After', ''))"),
    ],
)  # fmt: skip
def test_rules_find_what_they_are_for(rule: Rule, faulty: str, fine: str) -> None:
    assert list(rule(ast.parse(faulty)))
    assert list(rule(ast.parse(fine))) == []
