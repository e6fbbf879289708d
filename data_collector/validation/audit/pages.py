"""Makes the pages of the Data Docs ask nobody: no scripts, nothing from elsewhere, own style sheets.

As Great Expectations writes them, each page loads fifteen files of other hosts, one of which counts visits, and fills
its tables by script.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Mapping, Sequence
from html import escape
from html.parser import HTMLParser
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

ASSETS: Final = "assets"

_DROPPED: Final = frozenset({"script", "footer", "button", "iframe", "object", "noscript", "form"})
"""Elements that go with all that is in them."""

_DROPPED_ALONE: Final = frozenset({"link", "base", "embed", "input", "source", "track"})
"""Elements that have no content."""

_ADDRESSES: Final = frozenset({"href", "src", "xlink:href", "poster", "background"})
_DROPPED_ATTRIBUTES: Final = frozenset(
    {"srcset", "ping", "action", "formaction", "target", "integrity", "data", "http-equiv"}
)
_ELSEWHERE: Final = re.compile(r"[\s\x00-\x20]*(?:[a-zA-Z][a-zA-Z0-9+.-]*:|[/\\]{2})")
_STYLE_ADDRESS: Final = re.compile(r"(?i)url\([^)]*\)|@import[^;]*;?")
_SCRIPTED_TABLE: Final = re.compile(
    r"\$\('#(?P<id>[\w-]+)'\)\.bootstrapTable\(\s*Object\.assign\(\s*\{"
    r"\s*columns: (?P<columns>\[.*\]),\n\s*data: (?P<rows>\[.*\]),\n"
)
_LINK: Final = "_table_row_link_path"


def make_offline(site: Path) -> None:
    """Rewrite every page of a built site in place."""
    shutil.rmtree(site / "static", ignore_errors=True)
    vendored = files("data_collector.validation.audit") / "vendored"
    (site / ASSETS).mkdir(mode=0o700)
    for asset in (
        vendored / "site.css",
        vendored / "bootstrap" / "bootstrap.min.css",
        vendored / "bootstrap" / "LICENSE",
    ):
        with as_file(asset) as path:
            shutil.copyfile(path, site / ASSETS / asset.name)
    for page in sorted(site.rglob("*.html")):
        up = "../" * (len(page.relative_to(site).parts) - 1)
        page.write_text(offline(page.read_text(encoding="utf-8"), up), encoding="utf-8")


def offline(page: str, up: str) -> str:
    """One page; `up` leads from it to the root of the site."""
    rewriter = _Rewriter(up)
    rewriter.feed(_with_tables(page))
    rewriter.close()
    return "".join(rewriter.written)


class _Rewriter(HTMLParser):
    """Copies a page without what it drops. The parser calls the methods `handle_*`."""

    def __init__(self, up: str) -> None:
        super().__init__(convert_charrefs=False)
        self.written: list[str] = []
        self._up = up
        self._dropping: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._dropping.append(tag)
        if self._dropping or tag in _DROPPED_ALONE or (tag == "img" and _is_elsewhere(dict(attrs).get("src"))):
            return
        self._in_style = tag == "style"
        self.written.append(f"<{tag}{_attributes(attrs)}>")
        if tag == "head":
            self.written.append(_stylesheet(f"{self._up}{ASSETS}/bootstrap.min.css"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """The parser calls this for `<tag/>`, which is what `<tag>` is in HTML."""
        if tag not in _DROPPED:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False
        if self._dropping:
            if tag == self._dropping[-1]:
                self._dropping.pop()
            return
        if tag == "head":
            self.written.append(_stylesheet(f"{self._up}{ASSETS}/site.css"))
        self.written.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._write(_STYLE_ADDRESS.sub("none", data) if self._in_style else data.replace("<", "&lt;"))

    def handle_entityref(self, name: str) -> None:
        self._write(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._write(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self._write(f"<!{decl}>")

    def _write(self, text: str) -> None:
        if not self._dropping:
            self.written.append(text)


def _attributes(attributes: Sequence[tuple[str, str | None]]) -> str:
    return "".join(
        f" {name}" if value is None else f' {name}="{escape(value)}"'
        for name, value in attributes
        if _is_kept(name, value)
    )


def _is_kept(name: str, value: str | None) -> bool:
    if name.startswith("on") or name in _DROPPED_ATTRIBUTES or not re.fullmatch(r"[a-z][\w:-]*", name):
        return False
    if name == "style":
        return not _STYLE_ADDRESS.search(value or "")
    return name not in _ADDRESSES or not _is_elsewhere(value)


def _is_elsewhere(address: str | None) -> bool:
    return address is not None and _ELSEWHERE.match(address) is not None


def _stylesheet(address: str) -> str:
    return f'<link rel="stylesheet" href="{address}">'


def _with_tables(page: str) -> str:
    """The page with rows in the tables that a script would fill."""
    for found in list(_SCRIPTED_TABLE.finditer(page)):
        try:
            columns, rows = ast.literal_eval(found["columns"]), ast.literal_eval(found["rows"])
        except (ValueError, SyntaxError):
            continue
        begins = re.search(rf'<table\s+id="{found["id"]}"[^>]*>', page)
        if begins is not None:
            page = f"{page[: begins.end()]}{_table(columns, rows)}{page[begins.end() :]}"
    return page


def _table(columns: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, object]]) -> str:
    titles = "".join(f"<th>{escape(column['title'])}</th>" for column in columns)
    fields = [column["field"] for column in columns]
    body = "".join(f"<tr>{''.join(_cell(row, field) for field in fields)}</tr>" for row in rows)
    return f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody>"


def _cell(row: Mapping[str, object], field: str) -> str:
    content = str(row.get(field, ""))
    link = row.get(_LINK)
    if link is not None and field in {"run_time", "expectation_suite_name"} and "<a " not in content:
        content = f'<a href="{escape(str(link))}">{content}</a>'
    return f"<td>{content}</td>"
