"""What a program writes down of where it listens, for whoever has started it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from data_collector.cli.surroundings.beside import write_ports
from data_collector.model.errors import Misconfigured


def test_addresses_and_process_are_written_in_one_step(tmp_path: Path) -> None:
    write_ports(tmp_path / "ports.json", {"url": "http://127.0.0.1:1"})

    assert [path.name for path in tmp_path.iterdir()] == ["ports.json"]
    assert json.loads((tmp_path / "ports.json").read_text()) == {"url": "http://127.0.0.1:1", "pid": os.getpid()}


def test_file_that_cannot_be_written_is_named_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"--port-file .*/none/ports\.json cannot be written \(No such file"):
        write_ports(tmp_path / "none" / "ports.json", {})
