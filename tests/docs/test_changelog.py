"""The newest entry of the changelog is about the version that this is."""

from __future__ import annotations

import re

from data_collector import __version__
from tests.docs.tree import read


def test_the_newest_entry_is_unreleased_or_about_this_version() -> None:
    entries = re.findall(r"^## \[([^\]]+)\]", read("CHANGELOG.md"), flags=re.MULTILINE)

    assert entries[0] in {"Unreleased", __version__}
    assert __version__ in entries
