"""The option `--exchange`, which most commands have."""

from __future__ import annotations

from typing import Annotated

import typer

ExchangeOption = Annotated[str | None, typer.Option("--exchange", help="The exchange; default: EXCHANGES.")]
