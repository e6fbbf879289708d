"""`data-collector alerts`: whether alerts arrive."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import typer

from data_collector.alerting.courier import Errand
from data_collector.alerting.errand import send
from data_collector.model.errors import Misconfigured
from data_collector.observe.escaping import escaped
from data_collector.settings import load_settings

TEXT: Final = "This is a test: alerts arrive."

alerts = typer.Typer(
    help="Where alerts go: send a test to each receiver and tell which have taken it (docs/alerts.md).",
    no_args_is_help=True,
)


@alerts.callback()
def _alerts() -> None:
    """So that `test` is a word of its own."""


@alerts.command("test")
def send_test() -> None:
    """Send one message to each receiver of ALERT_URLS, and tell which have taken it, and why others have not.

    Exit code 0 when all have, 1 when one has not.
    """
    urls = load_settings().alert_addresses
    if not urls:
        raise Misconfigured("ALERT_URLS is not set: alerts go nowhere. docs/alerts.md shows how addresses are written.")
    outcomes = asyncio.run(send(Errand(urls, f"Data Collector {socket.gethostname()}: test", TEXT)))
    for each in outcomes:
        taken = "has taken it" if each.reason is None else f"has not: {escaped(each.reason)}"
        typer.echo(f"{'ok' if each.reason is None else 'fail':4}  receiver {each.receiver} {taken}")
    if any(each.reason is not None for each in outcomes):
        raise typer.Exit(1)
