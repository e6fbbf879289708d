"""What `import data_collector.client` loads: itself, the model, and what the wheel brings by itself."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.tree import ROOT

LOADED = """
import sys
import hiredis, msgspec, redis, redis.asyncio
before = set(sys.modules)
import data_collector.client
print(*set(sys.modules) - before)
"""
"""redis takes along what it finds installed (cryptography, say), and that is not our doing."""


def test_import_of_the_client_loads_no_other_package_and_nothing_of_the_service() -> None:
    loaded = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)

    names = {name for name in loaded.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {".".join(name.split(".")[:2]) for name in names} == {
        "data_collector", "data_collector.client", "data_collector.model",
    }  # fmt: skip
