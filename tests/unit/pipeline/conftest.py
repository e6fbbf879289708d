"""What tests of the intake share."""

from __future__ import annotations

import pytest

from tests.unit.pipeline.intake_scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()
