"""What is said of a Python that is too old, of a package that is not installed, and of what only looks like one."""

from __future__ import annotations

import sys

import pytest

from data_collector.model.errors import without_service


def test_a_package_that_is_not_installed_is_named() -> None:
    assert str(without_service(ModuleNotFoundError(name="fastapi.routing"))).startswith("The service needs fastapi,")


@pytest.mark.parametrize("name", ["data_collector.service.parts", None])
def test_a_module_of_ours_that_is_not_there_stays_the_bug_that_it_is(name: str | None) -> None:
    missing = ModuleNotFoundError(name=name)

    with pytest.raises(ModuleNotFoundError) as raised:
        without_service(missing)

    assert raised.value is missing


def test_import_that_fails_for_another_reason_stays_the_bug_that_it_is() -> None:
    with pytest.raises(ImportError, match="no such name"):
        without_service(ImportError("no such name"))


@pytest.mark.parametrize("missing", [ModuleNotFoundError(name="typer"), ImportError("cannot import name 'UTC'")])
def test_python_that_is_too_old_is_named_whatever_it_lacks(
    missing: ImportError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 13, "final", 0))

    assert str(without_service(missing)).startswith("This is Python 3.10, and the service needs 3.11, 3.12, 3.13 or")
