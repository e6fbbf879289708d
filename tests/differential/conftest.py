"""Great Expectations, imported once per session, and a closing line of how much was compared."""

from __future__ import annotations

import gc
import logging
import warnings
from typing import TYPE_CHECKING, Final

import pytest

from tests.differential.comparison import Tally

if TYPE_CHECKING:
    from tests.differential.oracle import Oracle

_TALLY: Final = pytest.StashKey[Tally]()


@pytest.fixture(scope="session")
def oracle(request: pytest.FixtureRequest) -> Oracle:
    """Great Expectations with the suites and frames of the audit."""
    with warnings.catch_warnings():
        # Its own imports use what their makers have deprecated.
        warnings.simplefilter("ignore")
        from tests.differential.oracle import Oracle
    # It redirects the warnings of the whole process, and leaves 230,000 objects to every garbage collection.
    logging.captureWarnings(capture=False)
    gc.collect()
    gc.freeze()
    return Oracle(request.config.stash.setdefault(_TALLY, Tally()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how much was compared: a green run that compared nothing proves nothing."""
    if _TALLY in config.stash:
        terminalreporter.line(config.stash[_TALLY].sentence())
