"""The rules of size and shape that keep the package readable (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.tree import ROOT, project_files, read, source_modules

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
EMPTY_WORDS = {"base", "common", "data", "handler", "helper", "helpers", "info", "manager", "process", "util", "utils"}
"""Words that say nothing: what a module or class of such a name does cannot be guessed."""
PROPER_NAMES = ("DataCollector", "ExchangeInfo")
"""The product's own name, and what Binance calls its symbol list."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULES = source_modules()
PACKAGE_MODULES = [path for path in MODULES if path.is_relative_to(ROOT / "data_collector")]


def test_no_module_is_longer_than_the_limit() -> None:
    lengths = {path: len(read(path).splitlines()) for path in project_files(".py")}

    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MODULE_LINES_MAX} == {}


def test_no_function_is_longer_than_the_limit() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in MODULES
        for function in functions(path)
        if lines_of(function) > FUNCTION_LINES_MAX
    ]

    assert too_long == []


def test_errors_of_task_groups_are_not_caught_with_except_star() -> None:
    # What is raised in one comes wrapped in another group before Python 3.11.4: a sentence becomes a traceback.
    starred = {path for path in PACKAGE_MODULES for node in ast.walk(parse(path)) if isinstance(node, ast.TryStar)}

    assert starred == set()


def test_every_module_says_what_it_is_in_a_sentence() -> None:
    first_lines = {path: (ast.get_docstring(parse(path)) or "").partition("\n")[0] for path in MODULES}

    assert [str(path.relative_to(ROOT)) for path, line in first_lines.items() if not line.endswith(".")] == []


@pytest.mark.parametrize("path", [path for path in PACKAGE_MODULES if path.name == "__init__.py"], ids=str)
def test_package_face_holds_only_names(path: Path) -> None:
    faults = [ast.unparse(node) for node in parse(path).body if not is_face(node)]

    assert faults == []


def test_names_of_modules_and_classes_say_something() -> None:
    modules = {path: path.stem.split("_") for path in PACKAGE_MODULES}
    classes = {
        f"{path}:{node.name}": words_of(node.name)
        for path in PACKAGE_MODULES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
    }

    assert [str(path) for path, words in modules.items() if EMPTY_WORDS & set(words)] == []
    assert [name for name, words in classes.items() if EMPTY_WORDS & set(words)] == []


def parse(path: Path) -> ast.Module:
    return ast.parse(read(path), filename=str(path))


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def is_face(node: ast.stmt) -> bool:
    """A docstring, a re-export, a sorted `__all__` or the version."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=[ast.Name(id="__version__")], value=ast.Constant(value=str())):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")], value=names):
            exported = ast.literal_eval(names)
            return list(exported) == sorted(exported)
    return False


def words_of(name: str) -> list[str]:
    """`BinanceDataCollector` is binance, since the rest is a proper name."""
    for proper_name in PROPER_NAMES:
        name = name.replace(proper_name, "")
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in name)
    return spaced.lower().split()
