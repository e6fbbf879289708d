"""What `import data_collector.client` loads: itself, the model, and what the wheel brings by itself."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.tree import ROOT

LOADED = """
import sys
import hiredis, msgspec, redis, redis.asyncio
before = set(sys.modules)
import data_collector.client{}
print(*set(sys.modules) - before)
"""
"""redis takes along what it finds installed (cryptography, say), and that is not our doing."""


def test_import_of_the_client_loads_no_other_package_and_nothing_of_the_service() -> None:
    assert loaded("") == {"data_collector", "data_collector.client", "data_collector.model"}


def test_memory_loads_numpy_beside_it_and_neither_arrow_nor_a_driver() -> None:
    names = {name.partition(".")[0] for name in loaded(".adapters.memory")}

    assert names == {"data_collector", "numpy"}


def loaded(module: str) -> set[str]:
    """Packages, and the first rooms of ours."""
    told = subprocess.run(
        [sys.executable, "-c", LOADED.format(module)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = {name for name in told.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    return {".".join(name.split(".")[:2]) for name in names}
