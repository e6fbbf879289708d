"""`data-collector version`: what exactly is running here."""

from __future__ import annotations

import platform
import subprocess

import typer

from data_collector import __version__
from data_collector.embedded.binary import server_binary
from data_collector.model.errors import Misconfigured


def version() -> None:
    """Show the versions of the collector, Python and the embedded store."""
    typer.echo(f"data-collector {__version__}")
    typer.echo(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    typer.echo(embedded_version())


def embedded_version() -> str:
    """What the embedded server's program says of itself, or that there is none."""
    try:
        binary = server_binary()
        asked = subprocess.run(  # noqa: S603 (our own program, a fixed flag)
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except Misconfigured:
        return "no embedded store for this machine"
    except (OSError, subprocess.SubprocessError) as error:
        return f"the embedded store's program does not run: {type(error).__name__}"
    words = dict(word.split("=", 1) for word in asked.stdout.split() if "=" in word)
    return f"embedded Valkey {words.get('v', 'of unknown version')}"
