"""A program: renders the chart with Helm's own engine and holds what comes out against Kubernetes' own schemas.

It runs where both are installed (tests/deploy/tools.txt), takes JSON on standard input and answers JSON.
"""

from __future__ import annotations

import json
import sys

import helm_python  # type: ignore[import-not-found]
import kubernetes_validate  # type: ignore[import-not-found]

from tests.deploy.documents import Part, yaml_documents

VERSIONS = ("1.25", "1.37")
"""The oldest that the chart takes, and the newest that there was."""

OF_OPERATORS = ("ServiceMonitor",)
"""Kinds that Kubernetes itself does not know."""


def rendered(chart: helm_python.Chart, values: dict[str, object]) -> dict[str, object]:
    """Manifests, and every fault that somebody found in them."""
    try:
        chart.validate_schema(values)
        texts = chart.render(values, name="demo", namespace="markets")
    except helm_python.HelmError as error:
        return {"refused": str(error), "manifests": [], "faults": []}
    documents: list[dict[str, object]] = []
    faults = []
    for name in sorted(name for name in texts if name.endswith(".yaml")):
        for document in yaml_documents(texts[name]):
            documents.append(document.mapping())
            faults += faults_of(document)
    return {"refused": "", "manifests": documents, "faults": faults}


def faults_of(document: Part) -> list[str]:
    """What Kubernetes would refuse in one manifest."""
    kind = document["kind"].text()
    found = []
    for version in VERSIONS if kind not in OF_OPERATORS else ():
        try:
            kubernetes_validate.validate(document.value, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{kind} in {version}: {error.message}")
    return found


def main() -> None:
    """Answer one list of values with one list of outcomes, and what the chart's linter says."""
    folder = sys.argv[1]
    with helm_python.Chart.load(folder) as chart:
        outcomes = [rendered(chart, values) for values in json.load(sys.stdin)]
    json.dump({"lint": helm_python.lint(folder), "outcomes": outcomes}, sys.stdout)


if __name__ == "__main__":
    main()
