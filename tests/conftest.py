"""What every test shares: where the recordings are, and the promise that CI skips next to nothing else."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

RECORDINGS = Path(__file__).parents[2] / "shared" / "captures"
"""Recordings of real exchanges. They are large and not ours to publish, so they lie beside the repository."""

NO_RECORDINGS = "the recordings of real exchanges are not on this machine"
"""One of the reasons for which `--no-skips` lets a test be skipped."""

NO_TIMESCALE = "no TimescaleDB in PG_TEST_DSN"
"""Another: what Debian 12 does not have must be fetched from a later Debian, and not every mirror has that."""

NO_CONTAINERS = "the kernel lets no container run here"
"""The last: a machine that is a container itself may not be allowed to start others, and no package changes that."""

# What helpers assert is told as in a test.
pytest.register_assert_rewrite(
    "tests.conformance", "tests.contract", "tests.integration", "tests.invariants", "tests.soak"
)

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Started behind an `&`, a shell has us ignore Ctrl-C, and what we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_EXCUSED = ("recordings", NO_TIMESCALE, NO_CONTAINERS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="fail when a test is skipped for another reason than those that are excused (CI)",
    )


def pytest_configure() -> None:
    """A shell starts what it runs in the background deaf to Ctrl-C, and so would be all that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that may take longest begin first: the workers end together, with the short ones."""
    weights: dict[Path, tuple[float, int]] = {}
    for item in items:
        longest_s, slow = weights.get(item.path, (0.0, 0))
        timeout = item.get_closest_marker("timeout")
        longest_s = max(longest_s, float(timeout.args[0]) if timeout else 0.0)
        weights[item.path] = longest_s, slow + (item.get_closest_marker("slow") is not None)
    items.sort(key=lambda item: weights[item.path], reverse=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a run red in which something was skipped, where that was not to happen."""
    if not session.config.getoption("--no-skips"):
        return
    unexpected = _unexpected_skips(session.config)
    if unexpected and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was skipped and should have run."""
    unexpected = _unexpected_skips(config) if config.getoption("--no-skips") else []
    if unexpected:
        terminalreporter.section("skipped although --no-skips was given", red=True)
    for line in unexpected:
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recordings; the test is skipped where there is none."""
    if not RECORDINGS.is_dir():
        pytest.skip(NO_RECORDINGS)
    return RECORDINGS


def _unexpected_skips(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return [
        f"{report.nodeid}: {report.longrepr[2]}"
        for report in reports
        if not any(reason in str(report.longrepr) for reason in _EXCUSED)
    ]
