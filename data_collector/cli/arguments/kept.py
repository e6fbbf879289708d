"""What the commands take that are about all that a service holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the certificate instead of sentences.")]


def backup(
    *,
    out: Annotated[Path, typer.Option(help="The folder to make; what is there already is never written over.")],
    json: JsonOption = False,
) -> None:
    """Copy store, database and rules into a folder with a certificate, while the service runs or not.

    The certificate says what is held of each exchange and symbol, and the SHA-256 of each file; it is written last, and
    the folder appears when all of it is on the disk. Of a service that runs below VAR_DIR, or of REDIS_URL and
    DATABASE_URL. Where none runs, the embedded servers are started for it, and the spool is copied too. Exit code 78
    where something is in the way, 69 where store or database do not answer, 130 after Ctrl-C.
    """


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `backup` made.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Look whether the folder is whole, and change nothing.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Throw away what store, database and VAR_DIR hold of ours.")
    ] = False,
    without_database: Annotated[
        bool, typer.Option("--without-database", help="Leave the rows of PostgreSQL where they are.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Put a backup into an empty store and database, and compare what is there then with its certificate.

    Into REDIS_URL and DATABASE_URL, or the embedded servers below VAR_DIR; no collector may run there. The next `run`
    goes on where the backup ends, and asks the exchange for what is missing since. Exit code 78 where the folder is not
    as it was written, or something is in the way: nothing is changed then; 69 where store or database do not answer.
    """
