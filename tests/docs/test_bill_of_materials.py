"""`make sbom` lists what we install, no more and no less."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pins import pins
from tests.docs.tree import ROOT


@pytest.mark.slow
def test_bill_of_materials_lists_every_pinned_package_with_its_hashes(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"} or name.startswith("PIP_")}
    subprocess.run(["make", "sbom"], cwd=tmp_path, env=kept, check=True, capture_output=True, timeout=300)

    listed = json.loads((tmp_path / "sbom.cdx.json").read_text())

    found = {part["name"]: part["version"] for part in listed["components"]}
    assert listed["bomFormat"] == "CycloneDX"
    assert found == pins("requirements.txt")
    assert all(reference["hashes"] for part in listed["components"] for reference in part["externalReferences"])
