"""Links and mentions of documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.tree import ROOT, project_files, read

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MENTION = re.compile(r"\b(?:docs|tests|benchmarks)/[\w./-]+\.(?:md|py)\b")
URL = re.compile(r"\w+://\S+")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"`([\w/-]+/(?:[\w-]+\.(?:py|lua|json))?)`")
"""A path in code type: a folder, or a file of ours."""
PACKAGE = ROOT / "data_collector"
GUIDES = [ROOT / "docs" / f"adding-a-{what}.md" for what in ("channel", "route")]
DOCUMENTS = sorted(path for path in project_files(".md") if "vendored" not in path.parts)


def test_relative_links_of_documents_resolve() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in LINK.findall(without_code(document))
        if "://" not in target and not resolves(document, target)
    ]

    assert broken == []


def test_files_that_code_and_documents_mention_exist() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {mention}"
        for path in project_files(".md", ".py", ".in", ".toml", ".lua", "Makefile", ".example")
        for mention in MENTION.findall(URL.sub("", read(path)))
        if not ((ROOT / mention).exists() or (path.parent / mention).exists())
    ]

    assert broken == []


def test_files_that_a_guide_names_without_a_link_exist() -> None:
    named = {place for guide in GUIDES for place in PLACE.findall(without_code(guide)) if not place.startswith("/")}

    assert len(named) > 5
    assert [place for place in sorted(named) if not ((ROOT / place).exists() or (PACKAGE / place).exists())] == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    waiting = list(reached)
    while waiting:
        document = waiting.pop()
        targets = {(document.parent / target.partition("#")[0]).resolve() for target in LINK.findall(read(document))}
        # A link to a folder reaches what lies in it.
        found = {path for target in targets for path in (target.glob("*.md") if target.is_dir() else [target])}
        waiting += [path for path in found - reached if path.suffix == ".md" and path.is_file()]
        reached |= found

    assert [str(path) for path in DOCUMENTS if path.is_relative_to(ROOT / "docs") and path not in reached] == []


def resolves(document: Path, target: str) -> bool:
    """Whether the file is there, and the heading, when the target names one."""
    name, _, anchor = target.partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.exists():
        return False
    return not anchor or anchor in {slug(heading) for heading in HEADING.findall(without_code(path))}


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def without_code(document: Path) -> str:
    return CODE_BLOCK.sub("", read(document))
