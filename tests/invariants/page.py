"""The page's three answers, made by its own module: in the node that comes with the browser of the tests."""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import playwright
from msgspec import Struct
from msgspec import json as msgspec_json

from data_collector.api import pages

NODE = Path(playwright.__file__).parent / "driver" / "node"
ASSETS = Path(pages.__file__).parent / "pages" / "assets"
MODULES = ("verdicts.js", "text.js")
TIMEOUT_S = 60.0

ASK = """
import { readFileSync } from "node:fs";
import { completeVerdict, liveVerdict, tally, validVerdict } from "./verdicts.js";
const { state, rows } = JSON.parse(readFileSync(0, "utf8"));
const connection = { phase: "live", since: 0, reason: "" };
console.log(JSON.stringify({
  live: liveVerdict(connection, state, Date.now()),
  complete: completeVerdict(state, rows === null ? null : tally(rows)),
  valid: validVerdict(state, null, Date.now()),
}));
"""


class Verdict(Struct):
    """An answer of the page."""

    answer: str
    tone: str
    reason: str


class Verdicts(Struct):
    """Live?, Complete?, Valid?"""

    live: Verdict
    complete: Verdict
    valid: Verdict


def verdicts(state: object, rows: object) -> Verdicts:
    """What the page answers when its newest events were these, and no refusal is known by its time."""
    told = json.dumps({"state": state, "rows": rows})
    ran = subprocess.run(
        [NODE, "ask.js"], cwd=_modules(), input=told, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    return msgspec_json.decode(ran.stdout, type=Verdicts)


@cache
def _modules() -> str:
    folder = Path(tempfile.mkdtemp(prefix="verdicts-"))
    for name in MODULES:
        text = (ASSETS / name).read_text(encoding="utf-8").replace('"/assets/', '"./')
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "ask.js").write_text(ASK, encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    return str(folder)
