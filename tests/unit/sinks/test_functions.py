"""The server-side functions: their names, and servers that do not take them."""

from __future__ import annotations

from typing import get_args

import pytest

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import Channel
from data_collector.sinks.redis.functions import (
    APPEND_KLINES,
    APPEND_ONCE,
    APPEND_TRADES,
    DIGEST,
    LIBRARY,
    PUT_NEWEST,
    REPLAY,
    load_functions,
    with_rights,
)
from tests.unit.sinks.wire import connected

NAMES = (APPEND_TRADES, APPEND_KLINES, *PUT_NEWEST.values(), APPEND_ONCE, REPLAY)


def test_every_name_carries_the_digest_of_the_text() -> None:
    assert all(name.endswith(f"_{DIGEST}") for name in NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_library_registers_every_name_and_nothing_is_left_open() -> None:
    assert LIBRARY.startswith(f"#!lua name=data_collector_{DIGEST}\n")
    assert all(f"redis.register_function('{name}'" in LIBRARY for name in NAMES)
    assert "@DIGEST@" not in LIBRARY


def test_rights_are_asked_for_channels_with_keys_of_their_own() -> None:
    asked = with_rights(get_args(Channel))

    assert {*asked, "ticker"} == PUT_NEWEST.keys()
    assert all(f", {channel} = [[\n" in LIBRARY for channel in asked)
    assert with_rights(["trade", "ticker"]) == []


async def test_library_replaces_its_like() -> None:
    connection, wire = connected(b"$4\r\nname\r\n")

    await load_functions(connection)

    assert b"FUNCTION\r\n$4\r\nLOAD\r\n$7\r\nREPLACE\r\n" in wire.written[0]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"-ERR unknown command 'FUNCTION', with args beginning with: 'LOAD'\r\n", "Redis 7 or Valkey 7.2"),
        (b"-NOPERM this user has no permissions\r\n", "forbids FUNCTION LOAD"),
    ],
)
async def test_server_that_never_takes_functions_is_a_wrong_setting(answer: bytes, sentence: str) -> None:
    connection, _ = connected(answer)

    with pytest.raises(Misconfigured, match=sentence):
        await load_functions(connection)


@pytest.mark.parametrize("answer", [b"-READONLY You can't write against a read only replica.\r\n", b"-OOM no\r\n"])
async def test_server_that_cannot_take_them_now_is_waited_for(answer: bytes) -> None:
    connection, _ = connected(answer)

    with pytest.raises(SinkUnavailable, match="does not take the functions now"):
        await load_functions(connection)
