"""What pyproject.toml says is needed: all that is imported is in it, and the two files of pins hold all of it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.docs.pins import pins
from tests.docs.tree import ROOT, read

PACKAGE = ROOT / "data_collector"
CLIENT = PACKAGE / "client"
USERS_OWN = {"pandas", "polars"}
"""The client makes frames of these for who has them; neither comes with it."""


def test_every_pin_has_a_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        blocks = re.split(r"\n(?=[A-Za-z0-9])", read(name).strip())

        assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_development_pins_hold_the_runtime_pins_unchanged() -> None:
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")

    assert runtime.items() - development.items() == set()


def test_every_direct_requirement_is_pinned() -> None:
    service = declared() | declared("service")
    development = names(read("requirements-dev.in").splitlines())

    assert service - pins("requirements.txt").keys() == set()
    assert development - pins("requirements-dev.txt").keys() == set()


def test_service_declares_every_package_that_it_imports() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(CLIENT)]

    assert imported([*modules, ROOT / "api.py", ROOT / "collector.py"]) - declared() - declared("service") == set()


def test_client_declares_every_package_that_it_imports() -> None:
    optional = declared("postgres", "frames", "pathway", "backtrader", "rl", "rl-train")

    assert imported(CLIENT.rglob("*.py")) - declared() - optional - USERS_OWN == set()


def declared(*extras: str) -> set[str]:
    """The packages of these extras; without one those that everybody gets."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    optional = project["optional-dependencies"]
    return names(line for extra in extras for line in optional[extra]) if extras else names(project["dependencies"])


def names(requirements: Iterable[str]) -> set[str]:
    """The packages of lines as pip reads them."""
    found = (re.match(r"[A-Za-z0-9_.-]+", line) for line in requirements)
    return {name[0] for name in found if name is not None}


def imported(modules: Iterable[Path]) -> set[str]:
    """The packages of all imports that the modules hold; by the module's name where none is installed."""
    packages = packages_distributions()
    roots = {
        name.partition(".")[0] for path in modules for node in ast.walk(ast.parse(read(path))) for name in targets(node)
    }
    # Of `_typeshed` there are types alone.
    ours = {"data_collector", "_typeshed", *sys.stdlib_module_names}
    return {packages.get(root, [root])[0].lower().replace("_", "-") for root in roots - ours}


def targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module is not None else []
