"""`plan` before it asks anybody."""

from __future__ import annotations

import pytest

from data_collector.cli.plan import plan
from data_collector.model.errors import Misconfigured


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(Misconfigured, match="--url: "):
        plan(url="foo")
