"""`python -m deploy.prometheus`: writes the alerts' files anew."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

from data_collector.alerting.rules import GROUPS, RUNBOOK, Alert, Group
from data_collector.alerting.wording import template_of
from deploy.written import write_all

FOLDER: Final = Path(__file__).parent / "rules"

COMMENT_WIDTH: Final = 110


def files() -> dict[str, str]:
    """What the folder holds: name and content of each file."""
    return {f"{group.name}.yml": _file(group) for group in GROUPS}


def _file(group: Group) -> str:
    lines = [
        f"# {group.about} What each alert means and what to do: its section in {RUNBOOK}.",
        "# Written by `make alerts` from data_collector/alerting/rules.py: change that.",
        "groups:",
        f"  - name: {group.name}",
        "    rules:",
        *(f"      {line}" for alert in group.alerts for line in _rule(alert)),
    ]
    return "\n".join(lines) + "\n"


def _rule(alert: Alert) -> list[str]:
    expr = alert.expr.splitlines()
    asked = [f"  expr: '{expr[0]}'"] if len(expr) == 1 else ["  expr: |", *(f"    {line}" for line in expr)]
    return [
        *(f"# {line}" for line in textwrap.wrap(alert.note, COMMENT_WIDTH)),
        f"- alert: {alert.name}",
        *asked,
        *([f"  for: {_duration(alert.for_s)}"] if alert.for_s else []),
        f"  labels: {{severity: {alert.severity}}}",
        "  annotations:",
        f'    summary: "{template_of(alert.summary)}"',
        f"    runbook_url: {RUNBOOK}#{alert.anchor}",
    ]


def _duration(seconds: int) -> str:
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def main() -> None:
    """Write them all."""
    write_all(FOLDER, ".yml", files())


if __name__ == "__main__":
    main()
