"""Commands that documents tell people to type exist."""

from __future__ import annotations

import codeop
import json
import re
import subprocess
import sys

import pytest

from tests.docs.test_links import DOCUMENTS
from tests.docs.tree import ROOT, read

MAKE = re.compile(r"(?:^|`|\n)make((?: [a-z-]+)+)")
COMMAND = re.compile(r"(?:data-collector|-m data_collector) ([a-z]+)")
READERS = (
    "README.md", "docs/reading.md", "docs/client.md", "docs/pathway.md",
    "docs/backtrader.md", "docs/memory.md", "docs/rl.md",
)  # fmt: skip
"""What their blocks show is to be pasted."""
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), flags=re.MULTILINE))
    named = {word for text in map(read, DOCUMENTS) for words in MAKE.findall(text) for word in words.split()}

    assert named >= {"demo", "run", "test", "lint", "bench"}
    assert named - targets == set()


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (help .+)$", read("Makefile"), flags=re.MULTILINE)

    assert phony is not None
    assert [target for target in phony.group(1).split() if f"make {target} " not in listed] == []


def test_subcommands_that_documents_name_exist() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "data_collector", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    named = {command for text in map(read, DOCUMENTS) for command in COMMAND.findall(text)}

    assert named >= {"run", "demo", "simulate", "tail", "redis", "doctor", "version"}
    assert [command for command in sorted(named) if not re.search(rf"\b{command}\b", printed)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_and_json_of_documents_can_be_parsed(document: str) -> None:
    for language, text in FENCE.findall(read(document)):
        if language == "python":
            compile(text, document, "exec")
        if language == "json":
            json.loads(text)


@pytest.mark.parametrize("document", READERS)
def test_python_for_readers_can_be_pasted_into_an_interpreter(document: str) -> None:
    """Line by line, as that of Python 3.11 takes it: a block that is indented ends with an empty line."""
    blocks = [text for language, text in FENCE.findall(read(document)) if language == "python"]

    assert blocks
    for text in blocks:
        waiting: list[str] = []
        for line in [*text.splitlines(), ""]:
            waiting.append(line)
            if codeop.compile_command("\n".join(waiting), document) is not None:
                waiting.clear()
        assert not waiting, text
