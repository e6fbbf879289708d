"""`python -m data_collector` and the `data-collector` command."""

from __future__ import annotations

import os
import sys

try:
    # It takes up to a second, in which Ctrl-C must not end in a traceback either.
    from data_collector.cli.app import command_line
    from data_collector.model.errors import CollectorError, expected_of
    from data_collector.observe.escaping import escaped

    app = command_line(sys.argv[1:])
except KeyboardInterrupt:
    sys.exit(130)
except ImportError as missing:
    from data_collector.model.errors import without_service

    lacking = without_service(missing)
    sys.stderr.write(f"{lacking}\n")
    sys.exit(lacking.exit_code)


def main() -> None:
    """Run the command line. What we raise on purpose ends as its sentence and exit code, without a traceback."""
    # All that any command writes is for this user alone: stores, spools and rules may tell what somebody trades.
    os.umask(0o077)
    try:
        app()
    except CollectorError as error:
        _end(error)
    except BaseExceptionGroup as group:
        expected = expected_of(group)
        if expected is None:
            raise
        _end(expected)


def _end(error: CollectorError) -> None:
    sys.stderr.writelines(f"{escaped(line)}\n" for line in str(error).splitlines())
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
