"""The command line: which commands there are. Each lives in a module of its own."""

from __future__ import annotations

import typer

from data_collector.cli.audit import audit
from data_collector.cli.backfill import backfill
from data_collector.cli.certify import certify_day
from data_collector.cli.collect import collect
from data_collector.cli.demo import demo
from data_collector.cli.doctor import doctor
from data_collector.cli.export import export_history
from data_collector.cli.history_writer import history_writer
from data_collector.cli.plan import plan
from data_collector.cli.quarantine import quarantine
from data_collector.cli.redis_command import redis
from data_collector.cli.run import run
from data_collector.cli.simulate import simulate
from data_collector.cli.suites import suites
from data_collector.cli.tail import tail
from data_collector.cli.validation_service import validation_service
from data_collector.cli.version import version

app = typer.Typer(
    name="data-collector",
    help="Market data from an exchange into Redis: every trade and kline once, in order, digits intact.",
    epilog="Settings come from environment variables and a .env file; .env.example shows them all.",
    no_args_is_help=True,
    add_completion=False,
    # The pretty tracebacks print local variables, and those may hold a password.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(run)
app.command()(demo)
app.command()(simulate)
app.command()(validation_service)
app.command()(tail)
# Everything after the first word of a Redis command belongs to that command, also what begins with a dash.
app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})(redis)
app.add_typer(suites)
app.add_typer(quarantine, name="quarantine")
app.command()(plan)
app.command()(backfill)
app.command()(audit)
app.command("certify")(certify_day)
app.command("export")(export_history)
app.command()(doctor)
app.command()(version)
app.command(hidden=True)(collect)
app.command(hidden=True)(history_writer)
