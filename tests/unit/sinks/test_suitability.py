"""Which stores are refused, and with which words. On real servers: tests/contract/test_sinks.py."""

from __future__ import annotations

import pytest

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.keys import StoreKeys
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.suitability import check_store
from tests.unit.sinks.wire import connected

SOURCE = "https://exchange.example"


async def check(memory: bytes, claimed: bytes, *, expected_bytes: int = 0) -> None:
    connection, wire = connected(memory, claimed)
    wire.take_turns()
    await check_store(connection, StoreAddress(), source=SOURCE, keys=StoreKeys(), expected_bytes=expected_bytes)


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


def memory(maxmemory: int, policy: str = "noeviction") -> bytes:
    return bulk(f"# Memory\r\nused_memory:1\r\nmaxmemory:{maxmemory}\r\nmaxmemory_policy:{policy}\r\n")


async def test_store_of_our_own_passes() -> None:
    await check(memory(0), bulk(SOURCE))


async def test_policy_means_nothing_without_a_limit() -> None:
    await check(memory(0, "allkeys-lru"), bulk(SOURCE))


async def test_store_that_throws_keys_away_is_refused() -> None:
    with pytest.raises(Misconfigured, match="CONFIG SET maxmemory-policy noeviction"):
        await check(memory(1_000, "volatile-ttl"), bulk(SOURCE))


async def test_store_that_is_too_small_is_refused_naming_both_sizes() -> None:
    with pytest.raises(Misconfigured, match=r"100 MiB \(maxmemory\).* 200 MiB.*TRADES_MAXLEN"):
        await check(memory(100 * 2**20), bulk(SOURCE), expected_bytes=200 * 2**20)


async def test_store_that_is_just_large_enough_passes() -> None:
    await check(memory(100 * 2**20), bulk(SOURCE), expected_bytes=100 * 2**20)


async def test_store_of_another_exchange_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"https://other\.example.*https://exchange\.example"):
        await check(memory(0), bulk("https://other.example"))


@pytest.mark.parametrize("kind", [b"NOAUTH", b"NOPERM", b"WRONGPASS"])
async def test_store_that_does_not_let_us_in_is_a_wrong_setting(kind: bytes) -> None:
    with pytest.raises(Misconfigured, match="user and password in REDIS_URL"):
        await check(b"-" + kind + b" no\r\n", b"-" + kind + b" no\r\n")


async def test_key_of_another_type_is_named() -> None:
    with pytest.raises(Misconfigured, match="collector:source"):
        await check(memory(0), b"-WRONGTYPE Operation against a key\r\n")


@pytest.mark.parametrize("kind", [b"LOADING", b"MASTERDOWN", b"BUSY"])
async def test_store_that_cannot_answer_now_is_waited_for(kind: bytes) -> None:
    with pytest.raises(SinkUnavailable, match="cannot serve now"):
        await check(b"-" + kind + b" later\r\n", b"-" + kind + b" later\r\n")
