"""What is said of a package that is not installed, and of what only looks like one."""

from __future__ import annotations

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
