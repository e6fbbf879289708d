"""Which expectations there are and what arguments they take, known without importing Great Expectations (2 s, 230 MB).

`python -m data_collector.validation.audit.vocabulary` makes the file from the installed version; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct


class _Vocabulary(Struct):
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
