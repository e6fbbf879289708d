"""The part of PromQL that our alerts use, as a tree: what Prometheus reads in `rules/`, `evaluation` reads here."""

from __future__ import annotations

import re
from typing import Final, Literal, NoReturn, TypeAlias

from msgspec import Struct

Comparing = Literal["==", "!=", ">", "<", ">=", "<="]
Computing = Literal["+", "-", "*", "/"]
Joining = Literal["and", "or", "unless"]
RangeFunction = Literal["rate", "increase", "changes", "predict_linear"]

COMPARING: Final[dict[str, Comparing]] = {sign: sign for sign in ("==", "!=", ">", "<", ">=", "<=")}
COMPUTING: Final[dict[str, Computing]] = {sign: sign for sign in ("+", "-", "*", "/")}
JOINING: Final[dict[str, Joining]] = {word: word for word in ("and", "or", "unless")}
RANGE_FUNCTIONS: Final[dict[str, RangeFunction]] = {
    name: name for name in ("rate", "increase", "changes", "predict_linear")
}


class Number(Struct, frozen=True):
    """A constant."""

    value: float


class Now(Struct, frozen=True):
    """`time()`: Unix time of the evaluation."""


class Selector(Struct, frozen=True):
    """Series of a name, by labels: the newest value, or all of the last `range_s` seconds; as of `offset_s` ago."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    range_s: float | None = None
    offset_s: float = 0.0


class OverTime(Struct, frozen=True):
    """A function of what the samples of a range say together."""

    function: RangeFunction
    series: Selector
    ahead_s: float = 0.0
    """Of `predict_linear`: how far."""


class Absolute(Struct, frozen=True):
    """`abs(…)`."""

    of: Expression


class Sum(Struct, frozen=True):
    """`sum by (…)`."""

    of: Expression
    by: tuple[str, ...]


class Operation(Struct, frozen=True):
    """Two sides: numbers are computed with, comparisons keep what they are true for, sets are joined by labels."""

    left: Expression
    sign: Comparing | Computing | Joining
    right: Expression
    on: tuple[str, ...] | None = None
    """The labels that must be equal; None: all of them."""


Expression: TypeAlias = Number | Now | Selector | OverTime | Absolute | Sum | Operation

_LEVELS: Final = (("or",), ("and", "unless"), tuple(COMPARING), ("+", "-"), ("*", "/"))
"""Of operators, from those that bind least."""

_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"([0-9]+)([smhd])")
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<duration>[0-9]+[smhd]\b)|(?P<number>[0-9.]+(?:e[0-9]+)?)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<text>\"[^\"]*\")|(?P<sign>==|!=|>=|<=|[-+*/<>(){}\[\],=]))"
)
_DEPTH_MAX: Final = 50


def parse(text: str) -> Expression:
    """The tree of an expression. Raises `ValueError` for what is not of the part that we know."""
    reader = _Reader(text)
    tree = reader.expression(0)
    if reader.next is not None:
        reader.refuse()
    return tree


def selectors(tree: Expression) -> list[Selector]:
    """All series that an expression reads."""
    match tree:
        case Selector():
            return [tree]
        case OverTime(series=series):
            return [series]
        case Absolute(of=of) | Sum(of=of):
            return selectors(of)
        case Operation(left=left, right=right):
            return [*selectors(left), *selectors(right)]
        case Number() | Now():
            return []


class _Reader:
    """From words to a tree, by descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words: list[tuple[str, str]] = []
        at = 0
        stripped = text.rstrip()
        while at != len(stripped):
            found = _TOKEN.match(stripped, at)
            if found is None or found.lastgroup is None:
                raise ValueError(f"{text!r} cannot be read from {stripped[at : at + 20]!r} on")
            self._words.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self._at = 0
        self._depth = 0

    @property
    def next(self) -> str | None:
        """The word that comes; None at the end."""
        return self._words[self._at][1] if self._at < len(self._words) else None

    def refuse(self) -> NoReturn:
        """Raise `ValueError` about the word that comes."""
        raise ValueError(f"{self._text!r}: {self.next!r} is not of the part of PromQL that we know")

    def expression(self, level: int) -> Expression:
        """What the operators of this level and of those above it join."""
        if level == len(_LEVELS):
            return self._operand()
        left = self.expression(level + 1)
        while (sign := self.next) in _LEVELS[level]:
            self._at += 1
            on = self._names() if sign in JOINING and self._take("on") else None
            right = self.expression(level + 1)
            left = Operation(left, _operator(sign or ""), right, on)
        return left

    def _operand(self) -> Expression:
        self._depth += 1
        if self._depth > _DEPTH_MAX or self.next is None:
            self.refuse()
        kind, word = self._words[self._at]
        self._at += 1
        if word == "(":
            found = self.expression(0)
            self._demand(")")
        elif kind == "number":
            found = Number(float(word))
        elif word == "sum":
            self._demand("by")
            by = self._names()
            found = Sum(self._in_parentheses(), by)
        elif word == "abs":
            found = Absolute(self._in_parentheses())
        elif word == "time":
            self._demand("(")
            self._demand(")")
            found = Now()
        elif word in RANGE_FUNCTIONS:
            found = self._over_time(RANGE_FUNCTIONS[word])
        elif kind == "word":
            found = self._selector(word)
        else:
            self._at -= 1
            self.refuse()
        self._depth -= 1
        return found

    def _over_time(self, function: RangeFunction) -> OverTime:
        self._demand("(")
        series = self._operand()
        ahead_s = 0.0
        if function == "predict_linear":
            self._demand(",")
            ahead = self._operand()
            ahead_s = ahead.value if isinstance(ahead, Number) else 0.0
        self._demand(")")
        if not isinstance(series, Selector) or series.range_s is None:
            self.refuse()
        return OverTime(function, series, ahead_s)

    def _selector(self, name: str) -> Selector:
        labels = []
        if self._take("{"):
            while not self._take("}"):
                label = self._word()
                self._demand("=")
                labels.append((label, self._word().strip('"')))
                self._take(",")
        range_s = None
        if self._take("["):
            range_s = _seconds(self._word())
            self._demand("]")
        offset_s = _seconds(self._word()) if self._take("offset") else 0.0
        return Selector(name, tuple(labels), range_s, offset_s)

    def _in_parentheses(self) -> Expression:
        self._demand("(")
        found = self.expression(0)
        self._demand(")")
        return found

    def _names(self) -> tuple[str, ...]:
        self._demand("(")
        names = []
        while not self._take(")"):
            names.append(self._word())
            self._take(",")
        return tuple(names)

    def _word(self) -> str:
        word = self.next
        if word is None:
            self.refuse()
        self._at += 1
        return word

    def _take(self, word: str) -> bool:
        taken = self.next == word
        self._at += taken
        return taken

    def _demand(self, word: str) -> None:
        if not self._take(word):
            self.refuse()


def _operator(sign: str) -> Comparing | Computing | Joining:
    return COMPARING.get(sign) or COMPUTING.get(sign) or JOINING[sign]


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    return int(found[1]) * _UNITS_S[found[2]]
