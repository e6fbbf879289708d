"""Programs that run beside others: a Ctrl-C that reaches all of them ends the one that needs them first."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal
from data_collector.cli.surroundings.beside import end_with_parent
end_with_parent(0)
os.kill(os.getpid(), signal.SIGINT)
print("serves on", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
signal.pause()
"""


def test_program_beside_leaves_the_interrupt_to_who_started_it() -> None:
    """The validation service must be there for the last audit of the collector that Ctrl-C stops."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False)

    assert (ended.stdout, ended.returncode) == ("serves on\n", -15)
