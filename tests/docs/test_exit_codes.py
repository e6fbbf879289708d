"""Every error class stands in the table of exit codes, with its code."""

from __future__ import annotations

import inspect
import re

from data_collector.model import errors
from tests.docs.tree import read

ROW = re.compile(r"^\| (\d+) \| ([^|]*) \|", re.MULTILINE)


def test_every_error_class_is_in_the_table_with_its_exit_code() -> None:
    classes = inspect.getmembers(errors, inspect.isclass)
    codes = {(name, kind.exit_code) for name, kind in classes if issubclass(kind, errors.CollectorError)}

    documented = {
        (name, int(code))
        for code, names in ROW.findall(read("docs/operations.md"))
        for name in re.findall(r"`(\w+)`", names)
    }

    assert documented == codes
