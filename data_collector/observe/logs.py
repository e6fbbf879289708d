"""Logs: events with fields on standard error, coloured lines on a terminal and JSON lines elsewhere."""

from __future__ import annotations

import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.observe.escaping import escaped
from data_collector.observe.output import unblocked

Log = FilteringBoundLogger
"""What takes events: `log.info("line_connected", venue="…", line="A")`."""

FIELD_CHARACTERS_MAX = 2048
TRACEBACK_CHARACTERS_MAX = 16 * 1024
"""A traceback's end tells most, so its beginning is what is cut."""

_TRACEBACK = "Traceback (most recent call last):"
"""Some libraries (uvicorn, of a start that fails) log it as the event itself."""

FIELDS_MAX = 64

_FIRST = ("timestamp", "level", "event")

_LOGIN_IN_URL = re.compile(r"(?<=://)[^\s]*@")
"""Greedy: a password may hold an @ or a slash, and losing a host name from a log is the smaller harm."""

_SECRET_NAME = re.compile("password|secret|token|api_?key|authorization|credential", re.IGNORECASE)


def configure_logs(*, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Set up our own logs and those of the libraries, once, before the first event; ours from a `level` on."""
    output = unblocked(sys.stderr) if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        clean,
    ]
    # Plain tracebacks: the coloured ones print local variables, and those may hold a password.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Processor = console if output.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=output),
    )
    _configure_libraries(output, shared, renderer)


def get_log() -> Log:
    """The logger of this process."""
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def name_exchange(exchange: str) -> None:
    """Let every event of this task, and of those that it begins, tell whose it is; those of the first have no name."""
    if exchange != FIRST_EXCHANGE:
        structlog.contextvars.bind_contextvars(exchange=exchange)


def clean(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Escape, cut and mask every field of an event, whoever wrote it."""
    names = [*(name for name in _FIRST if name in event), *(name for name in event if name not in _FIRST)]
    return {name[:64]: _clean_field(name, event[name]) for name in names[:FIELDS_MAX]}


def _clean_field(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAME.search(name):
        return "***"
    if isinstance(value, list | tuple):
        return [_clean_field(name, part) for part in value[:FIELDS_MAX]]
    text = _LOGIN_IN_URL.sub("***@", value if isinstance(value, str) else repr(value))
    if name == "exception":
        # A traceback is many lines by nature: they are kept, everything else is escaped.
        return "\n".join(escaped(line) for line in text[-TRACEBACK_CHARACTERS_MAX:].splitlines())
    return escaped(_cut(text))


def _cut(text: str) -> str:
    """What of a long text is kept: both ends, and of a traceback more of its end, where the error stands."""
    end = TRACEBACK_CHARACTERS_MAX if _TRACEBACK in text else FIELD_CHARACTERS_MAX // 2
    begin = FIELD_CHARACTERS_MAX // 2
    return text if len(text) <= begin + end else f"{text[:begin]}…{text[-end:]}"


def _configure_libraries(output: TextIO, shared: list[Processor], renderer: Processor) -> None:
    """The standard library's logging, which the libraries use, in the same form and to the same place."""
    writer = logging.StreamHandler(output)
    writer.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [writer]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
