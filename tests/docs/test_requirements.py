"""The pins of the two requirements files, and that every direct requirement is among them."""

from __future__ import annotations

import re

from tests.docs.tree import read


def test_every_pin_has_a_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        blocks = re.split(r"\n(?=[A-Za-z0-9])", read(name).strip())

        assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_development_pins_hold_the_runtime_pins_unchanged() -> None:
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")

    assert runtime.items() - development.items() == set()


def test_every_direct_requirement_is_pinned() -> None:
    direct = direct_requirements("requirements.in") | direct_requirements("requirements-dev.in")

    assert direct - pins("requirements-dev.txt").keys() == set()
    assert direct_requirements("requirements.in") - pins("requirements.txt").keys() == set()


def pins(name: str) -> dict[str, str]:
    """Package to version of a compiled file."""
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;]+)", read(name), flags=re.MULTILINE))


def direct_requirements(name: str) -> set[str]:
    """The package names of a `.in` file."""
    return set(re.findall(r"^([A-Za-z0-9_.-]+)", read(name), flags=re.MULTILINE)) - {"-r"}
