"""Settings, their document and `.env.example` name the same variables."""

from __future__ import annotations

import re

from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.settings.fields import FIELDS, variable_of, variables
from tests.docs.tree import read

# Set by the image, not by people.
INTERNAL = {"DATA_COLLECTOR_IMAGE"}
DECLARED = set(variables()) - INTERNAL
SHOWN = {variable_of(field, FIRST_EXCHANGE) for field in FIELDS} - INTERNAL
"""Other exchanges have the same ones, after the pattern that the document tells."""


def test_every_setting_has_a_row_in_the_document_and_every_row_a_setting() -> None:
    rows = [line.split("|")[1] for line in read("docs/settings.md").splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row)}

    assert documented - INTERNAL <= DECLARED
    assert SHOWN - documented == set()


def test_the_sample_file_shows_every_setting_and_nothing_else() -> None:
    shown = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", read(".env.example"), flags=re.MULTILINE))

    assert shown - INTERNAL <= DECLARED
    assert SHOWN - shown == set()


def test_the_readme_names_only_settings_that_exist() -> None:
    section = read("README.md").partition("## Settings")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}

    assert named
    assert named - DECLARED == set()
