"""A real store for the tests of the invariants."""

from __future__ import annotations

from tests.integration.conftest import folder, store, store_server

__all__ = ["folder", "store", "store_server"]
