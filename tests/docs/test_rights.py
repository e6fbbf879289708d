"""Rights of the store's user: what the functions do is asked for at the start, and given by the documented command."""

from __future__ import annotations

import re

from tests.docs.tree import read

SCRIPT = read("data_collector/sinks/redis/functions.lua")
USED = set(re.findall(r"redis\.p?call\('([A-Z]+)'", SCRIPT))


def test_every_command_of_the_functions_is_asked_for_before_the_first_write() -> None:
    """One that is missing would show itself in the midst of a function, and for ever."""
    (needed,) = re.findall(r"^local NEEDED = \{(.*?)^\]\]\}", SCRIPT, re.MULTILINE | re.DOTALL)

    assert len(USED) > 10
    assert set(re.findall(r"^(?:.*\[\[\n)?([A-Z]+) ", needed, re.MULTILINE)) >= USED


def test_every_command_of_the_functions_is_in_the_documented_rights() -> None:
    (rights,) = re.findall(
        r"^redis-cli ACL SETUSER collector (.*?)^```", read("docs/operations.md"), re.MULTILINE | re.DOTALL
    )

    assert {name.lower() for name in USED} <= set(re.findall(r"\+([a-z]+)", rights))
