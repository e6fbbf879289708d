"""Store URLs: any password survives, and no message holds a piece of one."""

from __future__ import annotations

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from data_collector.model.errors import Misconfigured
from data_collector.model.store_url import StoreAddress, parse_store_url

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
passwords = texts.filter(lambda text: text == text.strip())


@given(password=passwords, username=st.none() | texts.filter(lambda text: ":" not in text), database=st.integers(0, 15))
def test_whole_url_means_the_same_address(password: str, username: str | None, database: int) -> None:
    address = StoreAddress(
        host="redis.example", port=7000, username=username, password=password, database=database, tls=True
    )

    assert parse_store_url(address.whole) == address


@given(password=passwords.filter(lambda text: "%" not in text))
def test_password_without_percent_needs_no_escapes(password: str) -> None:
    address = parse_store_url(f"redis://:{password}@localhost:6379/2")

    assert address == StoreAddress(password=password, database=2)


@given(password=passwords)
def test_other_clients_read_the_whole_url_alike(password: str) -> None:
    url = StoreAddress(host="h", username="u", password=password, database=3).whole

    arguments = redis.ConnectionPool.from_url(url).connection_kwargs

    assert arguments["password"] == password
    assert (arguments["host"], arguments["username"], arguments["db"]) == ("h", "u", 3)


@given(password=passwords, path=st.text("abc/ é?#%", min_size=1, max_size=20))
def test_socket_paths_survive(password: str, path: str) -> None:
    address = StoreAddress(unix_path=f"/x{path}", password=password, database=1)

    assert parse_store_url(address.whole) == address


@given(text=texts, scheme=st.sampled_from(["redis", "rediss", "unix", "http", ""]))
def test_no_text_gives_another_error_or_shows_its_password(text: str, scheme: str) -> None:
    canary = "c4n4ry"
    shown = ""

    try:
        shown = parse_store_url(f"{scheme}://user:{canary}{text}@h").masked
    except Misconfigured as error:
        shown = str(error)

    assert canary not in shown


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://localhost:6379", StoreAddress()),
        ("redis://", StoreAddress()),
        ("valkeys://h", StoreAddress(host="h", tls=True)),
        ("REDISS://h:1/4", StoreAddress(host="h", port=1, database=4, tls=True)),
        ("redis://[::1]:7000/1", StoreAddress(host="::1", port=7000, database=1)),
        ("redis://:p#/@:%?@h", StoreAddress(host="h", password="p#/@:%?")),
        ("redis://:a%40b@h", StoreAddress(host="h", password="a@b")),
        ("redis://:100%@h", StoreAddress(host="h", password="100%")),
        ("redis://u:@h", StoreAddress(host="h", username="u", password="")),
        ("rediss://h?ssl_ca_certs=/etc/ca.pem", StoreAddress(host="h", tls=True, tls_ca_file="/etc/ca.pem")),
        ("redis://h?db=3", StoreAddress(host="h", database=3)),
        ("unix:///run/redis.sock?db=2", StoreAddress(unix_path="/run/redis.sock", database=2)),
        ("unix://:p@w@/run/a@b.sock", StoreAddress(unix_path="/run/a@b.sock", password="p@w")),
        ("unix:///run/redis.sock?password=pw", StoreAddress(unix_path="/run/redis.sock", password="pw")),
    ],
)
def test_forms_that_people_write(text: str, address: StoreAddress) -> None:
    assert parse_store_url(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost:6379", "does not begin with"),
        ("http://localhost", "does not begin with"),
        ("redis://secret@h", "no colon"),
        ("redis://h:port", "cannot be read"),
        ("redis://h:99999", "1 to 65535"),
        ("redis://h:0", "1 to 65535"),
        ("redis://h/x", "database"),
        ("redis://h/0/1", "database"),
        ("redis://h#x", "character"),
        ("redis://[nonsense]", "character"),
        ("rediss://h?ssl_cert_reqs=none", "always verified"),
        ("redis://h?ssl_ca_certs=/x", "needs rediss://"),
        ("unix://relative.sock", "path of the socket"),
        ("unix:///", "path of the socket"),
        ("unix:///x?db=a", "database"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        parse_store_url(text)


def test_text_forms_hide_the_password() -> None:
    address = parse_store_url("redis://user:c4n4ry@h/1")

    assert str(address) == repr(address) == "StoreAddress(redis://user:***@h:6379/1)"
    assert address.masked == "redis://user:***@h:6379/1"
    assert f"{address}" == str(address)
