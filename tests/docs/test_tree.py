"""Nothing in the tree belongs to one machine: no path of a checkout, no package index that only one network has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.tree import ROOT, project_files

# Places that a Dockerfile or a document may name wherever the checkout happens to lie.
ORDINARY_PLACES = {"/", "/app", "/home", "/opt", "/root", "/srv", "/tmp", "/usr/src", "/var/tmp"}  # noqa: S108 (words)
# Where pip fetches files whatever index is configured; in two parts, so that this file does not name it.
FILE_HOST = "files." + "pythonhosted.org"


def test_no_file_names_a_path_of_this_machine() -> None:
    places = {str(ROOT), str(ROOT.parent), str(Path.home())} - ORDINARY_PLACES

    assert find_in_tree({f"{place}/" for place in places}) == []


def test_no_file_names_a_package_index() -> None:
    assert find_in_tree(index_hosts() | {FILE_HOST}) == []


def find_in_tree(needles: set[str]) -> list[str]:
    """Where any of `needles` stands, as `path:line: needle`."""
    pattern = re.compile("|".join(map(re.escape, sorted(needles))))
    found = []
    for path in project_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(ROOT)}:{line}: {match.group()}")
    return found


def index_hosts() -> set[str]:
    """The package indexes that pip or uv on this machine is told to use."""
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    variables = "\n".join(
        f"{value}/" for name, value in os.environ.items() if re.match(r"(?i)(pip|uv)_.*(url|index)", name)
    )
    hosts = re.findall(r"https?://(?:[^@/\s]*@)?([^/:\s'\"]+)", configured + "\n" + variables)
    return set(hosts)
