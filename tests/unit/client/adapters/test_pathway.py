"""Pathway's adapter where there is no Pathway."""

from __future__ import annotations

import importlib
import sys

import pytest

from data_collector.client.errors import NotInstalled


def test_absence_of_pathway_is_a_sentence_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pathway", None)
    monkeypatch.delitem(sys.modules, "data_collector.client.adapters.pathway", raising=False)

    with pytest.raises(NotInstalled, match=r"pip install 'btc-data-collector\[pathway\]'"):
        importlib.import_module("data_collector.client.adapters.pathway")
