"""Logs: one JSON line per event, nothing that steers a terminal, no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog
from starlette.applications import Starlette
from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn

from data_collector.model.store_url import parse_store_url
from data_collector.observe.logs import configure_logs, get_log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_event_is_one_json_line_with_utc_time_first(output: io.StringIO) -> None:
    get_log().info("line_connected", venue="binance", attempt=3, rate=0.5, healthy=True, error=None)

    (line,) = lines(output)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert str(line["timestamp"]).endswith("Z")
    assert (line["event"], line["venue"], line["attempt"]) == ("line_connected", "binance", 3)
    assert (line["rate"], line["healthy"], line["error"]) == (0.5, True, None)


def test_hostile_text_cannot_start_a_line_or_steer_a_terminal(output: io.StringIO) -> None:
    get_log().warning("bad_frame", text="a\nb\x1b[31m\u2028c\u202e", parts=["\r"])

    (line,) = lines(output)
    assert line["text"] == "a\\u000ab\\u001b[31m\\u2028c\\u202e"
    assert line["parts"] == ["\\u000d"]


def test_terminal_gets_no_escape_sequence_from_a_field(output: io.StringIO) -> None:
    terminal = Terminal()
    configure_logs(stream=terminal)

    get_log().warning("bad_frame", text="\x1b]0;owned\x07")

    assert "\x1b]0;" not in terminal.getvalue()
    assert "bad_frame" in terminal.getvalue()


def test_fields_are_cut(output: io.StringIO) -> None:
    get_log().info("big", text="x" * 10_000, **{f"field{number}": number for number in range(100)})

    (line,) = lines(output)
    assert len(str(line["text"])) == 2049
    assert len(line) == 64


def test_secrets_are_masked_whatever_they_are_in(output: io.StringIO) -> None:
    url = "redis://:c4n4ry@/x@host:1/0"
    get_log().error("failed", url=url, control_token="c4n4ry", error=ValueError(url), address=parse_store_url(url))

    assert "c4n4ry" not in output.getvalue()
    assert lines(output)[0]["url"] == "redis://***@host:1/0"


def test_traceback_is_kept_and_holds_no_local_variables(output: io.StringIO) -> None:
    def fail() -> None:
        password = "c4n4ry"
        raise RuntimeError(f"{len(password)} characters")

    try:
        fail()
    except RuntimeError:
        get_log().exception("crashed")

    (line,) = lines(output)
    assert "RuntimeError: 6 characters" in str(line["exception"])
    assert "in fail" in str(line["exception"])


async def test_start_that_fails_within_uvicorn_tells_its_error(output: io.StringIO) -> None:
    """The traceback comes as a text, the error at its end."""

    def down(depth: int) -> None:
        if depth == 0:
            raise RuntimeError("the folder cannot be written to")
        further(depth - 1)

    def further(depth: int) -> None:
        down(depth)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        down(30)
        yield

    await LifespanOn(Config(Starlette(lifespan=lifespan), lifespan="on", log_config=None)).startup()

    event = next(str(line["event"]) for line in lines(output) if "Traceback" in str(line["event"]))
    assert event.startswith("Traceback (most recent call last):")
    assert event.removesuffix("\\u000a").endswith("RuntimeError: the folder cannot be written to")


def test_long_field_keeps_both_ends(output: io.StringIO) -> None:
    get_log().info("big", text=f"begin {'x' * 10_000} end")

    (line,) = lines(output)
    assert str(line["text"]).startswith("begin x")
    assert str(line["text"]).endswith("x end")


def test_libraries_log_in_the_same_form(output: io.StringIO) -> None:
    logging.getLogger("aiohttp.client").warning("odd %s", "thing\nhere")
    logging.getLogger("aiohttp.client").info("chatter")

    (line,) = lines(output)
    assert (line["event"], line["logger"], line["level"]) == ("odd thing\\u000ahere", "aiohttp.client", "warning")
