"""`data-collector suites`: the validation rules, for those who read them and those who write their own."""

from __future__ import annotations

import typer

from data_collector.cli.suites_check import check
from data_collector.cli.suites_explain import explain
from data_collector.cli.suites_list import list_columns, list_rules
from data_collector.cli.suites_try import try_out

suites = typer.Typer(
    name="suites",
    help="The validation rules: read them, check your own, try them on recorded messages (docs/validation.md).",
    no_args_is_help=True,
)

suites.command("check")(check)
suites.command("list")(list_rules)
suites.command("explain")(explain)
suites.command("columns")(list_columns)
suites.command("test")(try_out)
