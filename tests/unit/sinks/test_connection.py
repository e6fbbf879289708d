"""One connection to the store, without a socket: whole batches out, whole batches of replies in."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.connection import ReplyError, tls_context
from tests.unit.sinks.wire import connected


async def test_batch_goes_out_in_one_write() -> None:
    connection, wire = connected(b"+PONG\r\n:7\r\n")

    assert await connection.execute([("PING",), ("INCRBY", "k", 7)]) == ["PONG", 7]
    assert wire.written == [b"*1\r\n$4\r\nPING\r\n*3\r\n$6\r\nINCRBY\r\n$1\r\nk\r\n$1\r\n7\r\n"]


async def test_replies_may_come_in_any_pieces() -> None:
    whole = b"*3\r\n$3\r\nGAP\r\n:5\r\n:0\r\n$-1\r\n"
    connection, _ = connected(*(whole[index : index + 1] for index in range(len(whole))))

    assert await connection.execute([("A",), ("B",)]) == [["GAP", 5, 0], None]


async def test_error_stands_among_the_replies() -> None:
    connection, _ = connected(b"-WRONGTYPE Operation against a key\r\n+OK\r\n")

    error, fine = await connection.execute([("A",), ("B",)])

    assert isinstance(error, ReplyError)
    assert error.kind == "WRONGTYPE"
    assert str(error) == "WRONGTYPE Operation against a key"
    assert fine == "OK"


async def test_long_error_has_a_short_kind() -> None:
    connection, _ = connected(b"-" + b"X" * 5_000 + b"\r\n")

    (error,) = await connection.execute([("A",)])

    assert isinstance(error, ReplyError)
    assert len(error.kind) == 32


async def test_bytes_that_are_no_text_are_replaced() -> None:
    connection, _ = connected(b"$2\r\n\xff\xfe\r\n")

    assert await connection.execute([("A",)]) == ["\N{REPLACEMENT CHARACTER}" * 2]


async def test_name_that_is_no_text_is_told_and_never_sent() -> None:
    """Bytes of a command line that are no UTF-8."""
    connection, wire = connected(b":7\r\n")

    with pytest.raises(Misconfigured, match="UTF-8"):
        await connection.execute([("XLEN", "trades:BTC\udcffUSDT")])

    assert await connection.execute([("XLEN", "trades:BTCUSDT")]) == [7]
    assert len(wire.written) == 1


async def test_answer_that_does_not_come_closes_the_connection() -> None:
    connection, wire = connected(b"+OK\r\n")

    with pytest.raises(SinkUnavailable, match=r"has not answered for 0\.01 s"):
        await connection.execute([("A",), ("B",)], timeout_s=0.01)

    assert wire.aborted
    assert not connection.is_open


async def test_server_that_hangs_up_leaves_the_outcome_unknown() -> None:
    connection, _ = connected()
    asyncio.get_running_loop().call_soon(connection.connection_lost, None)

    with pytest.raises(SinkUnavailable, match="closed the connection"):
        await connection.execute([("A",)])

    with pytest.raises(SinkUnavailable, match="closed the connection"):
        await connection.execute([("A",)])


async def test_network_error_is_named() -> None:
    connection, _ = connected()
    asyncio.get_running_loop().call_soon(connection.connection_lost, ConnectionResetError(104, "reset by peer"))

    with pytest.raises(SinkUnavailable, match="reset by peer"):
        await connection.execute([("A",)])


@pytest.mark.parametrize(
    "answer",
    [b"%1\r\n%0\r\n:1\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"\x00\x01\x02", b"*-5\r\n", b"$99999999999999999999\r\n"],
)
async def test_another_protocol_is_told(answer: bytes) -> None:
    connection, wire = connected(answer)

    with pytest.raises(SinkUnavailable, match="does not speak the Redis protocol"):
        await connection.execute([("A",)], timeout_s=1)

    assert wire.aborted


async def test_cancelled_batch_closes_the_connection() -> None:
    connection, wire = connected()
    task = asyncio.create_task(connection.execute([("A",)]))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert wire.aborted
    assert not connection.is_open


async def test_closed_connection_takes_nothing() -> None:
    connection, _ = connected(b"+OK\r\n")
    connection.close()

    with pytest.raises(SinkUnavailable):
        await connection.execute([("A",)])


async def test_empty_batch_has_no_replies() -> None:
    connection, _ = connected()

    assert await connection.execute([], timeout_s=0.01) == []


async def test_login_sends_user_password_and_database() -> None:
    connection, wire = connected(b"+OK\r\n" * 4)

    await connection.log_in(StoreAddress(username="me", password="p w", database=3))

    assert b"AUTH\r\n$2\r\nme\r\n$3\r\np w\r\n" in wire.written[0]
    assert b"SELECT\r\n$1\r\n3\r\n" in wire.written[0]


async def test_wrong_password_is_a_wrong_setting() -> None:
    connection, _ = connected(b"-WRONGPASS invalid username-password pair\r\n+OK\r\n-NOAUTH no\r\n")

    with pytest.raises(Misconfigured, match="REDIS_URL") as caught:
        await connection.log_in(StoreAddress(password="secret"))

    assert "secret" not in str(caught.value)
    assert not connection.is_open


async def test_server_that_still_loads_is_waited_for() -> None:
    connection, _ = connected(b"-LOADING Redis is loading the dataset in memory\r\n+OK\r\n+\r\n")

    with pytest.raises(SinkUnavailable, match="not ready"):
        await connection.log_in(StoreAddress(database=1))


async def test_server_that_refuses_the_name_only_is_fine() -> None:
    connection, _ = connected(b"-NOPERM no CLIENT\r\n-NOPERM no INFO\r\n")

    await connection.log_in(StoreAddress())

    assert connection.is_open


async def test_certificate_authority_that_cannot_be_read_is_a_wrong_setting() -> None:
    with pytest.raises(Misconfigured, match=r"ssl_ca_certs in REDIS_URL cannot be read: FileNotFoundError"):
        tls_context(StoreAddress(tls=True, tls_ca_file="/nowhere/ca.pem"))


async def test_certificates_are_checked_and_old_tls_is_refused() -> None:
    context = tls_context(StoreAddress(tls=True))

    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_false_of_the_newer_protocol_is_a_reply() -> None:
    connection, _ = connected(b"#f\r\n+OK\r\n")

    assert await connection.execute([("A",), ("B",)]) == [False, "OK"]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"*1000000000\r\n"],
        [b"*2\r\n:1\r\n*1000000000\r\n"],
        [b"*1", b"0000", b"00000\r\n"],
        [b"*2\r\n$12\r\n*12345678\r\n0\r\n", b"%99999999\r\n"],
        [b"*" + b"9" * 5_000 + b"\r\n"],
    ],
    ids=["whole", "nested", "in pieces", "after a text", "thousands of digits"],
)
async def test_array_that_is_longer_than_anybody_asks_for_is_no_reply(pieces: list[bytes]) -> None:
    """The parser made room for a billion items first: the loop stood for six seconds."""
    connection, wire = connected(*pieces)

    with pytest.raises(SinkUnavailable, match="answers with more than anybody has asked for"):
        await connection.execute([("XRANGE", "trades:BTCUSDT", "-", "+")])

    assert wire.aborted


async def test_text_that_looks_like_a_long_array_is_a_text() -> None:
    """Somebody wrote it into a stream; it comes in pieces, and so does what follows."""
    text = "x\r\n*1000000000\r\n" * 20
    whole = b"*2\r\n" + 2 * (b"$%d\r\n%s\r\n" % (len(text), text.encode()))
    connection, _ = connected(*(whole[start : start + 7] for start in range(0, len(whole), 7)))

    assert await connection.execute([("XRANGE", "quarantine:BTCUSDT", "-", "+")]) == [[text, text]]


async def test_replies_without_an_end_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_collector.sinks.redis.flow.BYTES_MAX", 1_000)
    connection, wire = connected(b"$99999999999\r\n", b"x" * 600, b"x" * 600)

    with pytest.raises(SinkUnavailable, match="more than anybody has asked for"):
        await connection.execute([("GET", "k")])

    assert wire.aborted
