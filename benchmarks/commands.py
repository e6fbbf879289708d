"""What a command costs before it does anything: those that are to answer at once, beside a bare interpreter.

CPU is what the operating system accounted to the process, in user and system mode; a round runs each of them once, in
turns, and the ratio is that of the medians. The compiled files of Python are written in a round before, as they are for
whoever types a second command.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

BARE: Final = ("-c", "import asyncio, argparse, json")
COMMANDS: Final = ("--help", "version", "redis", "redis PING", "tail --help", "doctor --help", "demo --help")
"""`redis PING` looks for a store and finds none, which is all but one answer of what it does with one."""

ROUNDS: Final = 9
BAR: Final = 5.0


async def run() -> None:
    """Measure, and hold the ratios against the bar."""
    print(f"CPU of a command, {ROUNDS} rounds in turns, beside `python {BARE[0]} '{BARE[1]}'`:")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VAR_DIR": folder, "REDIS_URL": "", "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        programs = {words: ("-m", "data_collector", *words.split()) for words in COMMANDS}
        rounds = [
            {words: _cpu_s(program, environment, Path(folder)) for words, program in {"": BARE, **programs}.items()}
            for _ in range(ROUNDS + 1)
        ][1:]
    bare = statistics.median(each[""] for each in rounds)
    print(f"  {'bare interpreter':16} {bare * 1e3:4.0f} ms")
    for words in COMMANDS:
        took = statistics.median(each[words] for each in rounds)
        met = "met" if took <= BAR * bare else "missed"
        print(f"  {words:16} {took * 1e3:4.0f} ms   {took / bare:4.2f} times   bar {BAR:g}: {met}", flush=True)


def _cpu_s(arguments: tuple[str, ...], environment: dict[str, str], log_folder: Path) -> float:
    with (log_folder / "told.txt").open("wb") as told:
        process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=told, stderr=told)
        _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime
