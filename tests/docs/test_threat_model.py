"""Each attack that the threat model lists is a test, and there are as many as it takes."""

from __future__ import annotations

import re

from tests.docs.tree import ROOT, read

ATTACKS_MIN = 20


def test_every_attack_of_the_page_is_a_test() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `(test_\w+)` \|$", read("docs/threat-model.md"), re.MULTILINE)
    defined = {
        name
        for path in (ROOT / "tests/contract").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }

    assert len({attack for attack, _ in rows}) >= ATTACKS_MIN
    assert [name for _, name in rows if name not in defined] == []


def test_every_attack_in_the_tests_is_on_the_page() -> None:
    page = read("docs/threat-model.md")
    attacks = re.findall(r"^def (test_\w+)\(", read("tests/contract/test_http_attacks.py"), re.MULTILINE)

    assert [name for name in attacks if f"`{name}`" not in page] == []
