"""The address of a Redis-compatible store, read by ourselves.

URL parsers cut a password at its first `#`, `/` or `@` and then put a part of it into their error message.
This one takes any character in a password, and none of its messages holds a piece of what was given.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, unquote

from msgspec import Struct, structs

from data_collector.model.errors import Misconfigured

STORE_PORT = 6379
"""Where Redis listens when nothing else is said."""

DATABASE_MAX = 65_535
"""Servers have 16 databases unless told otherwise; more than this is a slip of the pen."""

_SCHEMES = {"redis": "redis", "valkey": "redis", "rediss": "rediss", "valkeys": "rediss", "unix": "unix"}
_FORMS = "redis://:PASSWORD@HOST:6379/0, rediss://… for TLS, or unix://:PASSWORD@/path/to/socket?db=0"
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_LABEL = r"[^\s./?#@:%\[\]\x00-\x1f\x7f]{1,63}"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.?")


class StoreAddress(Struct, frozen=True, kw_only=True):
    """Where a store is and how to get in. Its text forms hide the password, except `whole`."""

    host: str = "localhost"
    port: int = STORE_PORT
    unix_path: str | None = None
    """Path of the server's socket; host and port mean nothing then."""
    username: str | None = None
    password: str | None = None
    database: int = 0
    tls: bool = False
    tls_ca_file: str | None = None
    """Certificates to trust instead of the system's own."""

    @property
    def whole(self) -> str:
        """The URL with the password in it, escaped so that every Redis client reads it: never for people."""
        return self._text(None if self.password is None else quote(self.password, safe=""))

    @property
    def masked(self) -> str:
        """The URL for people and logs."""
        return self._text(None if self.password is None else "***")

    @property
    def place(self) -> str:
        """Host and port, or the socket's path: for sentences."""
        if self.unix_path is not None:
            return self.unix_path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"StoreAddress({self.masked})"

    __str__ = __repr__

    def _text(self, password: str | None) -> str:
        login = "" if password is None else f"{quote(self.username or '', safe='')}:{password}@"
        if self.unix_path is not None:
            database = f"?db={self.database}" if self.database else ""
            return f"unix://{login}{quote(self.unix_path)}{database}"
        authority = f"{'rediss' if self.tls else 'redis'}://{login}{self.place}/{self.database}"
        return authority + (f"?ssl_ca_certs={quote(self.tls_ca_file)}" if self.tls_ca_file else "")


def parse_store_url(text: str) -> StoreAddress:
    """The address that `text` means. Raises `Misconfigured` with a sentence that repeats nothing of `text`.

    A user name and password end at the last `@`, so an `@` in what follows is written `%40`. A password with
    percent escapes is decoded; one in which a `%` begins no escape is taken as it stands.
    """
    name, separator, rest = text.strip().partition("://")
    scheme = _SCHEMES.get(name.lower())
    if not separator or scheme is None:
        raise Misconfigured(f"it does not begin with redis://, rediss:// or unix://; write {_FORMS}")
    if scheme == "unix":
        return _parse_unix(rest)
    login, _, place = rest.rpartition("@")
    authority, _, query = place.partition("?")
    host_and_port, _, database = authority.partition("/")
    host, port = _parse_place(host_and_port)
    options = _parse_options(query, allowed=("db", "ssl_ca_certs"))
    address = StoreAddress(
        host=host,
        port=port,
        database=_parse_database(database or options.get("db", "")),
        tls=scheme == "rediss",
        tls_ca_file=options.get("ssl_ca_certs"),
    )
    if address.tls_ca_file and not address.tls:
        raise Misconfigured("ssl_ca_certs needs rediss:// (TLS), and it begins with redis://")
    return _with_login(address, login) if "@" in rest else address


def _parse_unix(rest: str) -> StoreAddress:
    login, at, path = ("", "", rest) if rest.startswith("/") else rest.rpartition("@/")
    path = f"/{path}" if at else path
    path, _, query = path.partition("?")
    if not path.startswith("/") or path == "/":
        raise Misconfigured(f"the path of the socket is missing or does not begin with a slash; write {_FORMS}")
    options = _parse_options(query, allowed=("db", "username", "password"))
    address = StoreAddress(
        unix_path=_decoded(path),
        username=options.get("username"),
        password=options.get("password"),
        database=_parse_database(options.get("db", "")),
    )
    return _with_login(address, login) if at else address


def _with_login(address: StoreAddress, login: str) -> StoreAddress:
    username, colon, password = login.partition(":")
    if not colon:
        # Clients disagree whether a lone word is the user or the password, so nobody may guess.
        raise Misconfigured("the part before the @ has no colon; write :PASSWORD@ or USER:PASSWORD@")
    return structs.replace(address, username=_decoded(username) or None, password=_decoded(password))


def _parse_place(text: str) -> tuple[str, int]:
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::([0-9]{1,5}))?", text)
    plain = re.fullmatch(r"([^:\[\]]*)(?::([0-9]{1,5}))?", text)
    found = bracketed or plain
    if found is None:
        raise Misconfigured(f"host and port cannot be read (the password ends at the last @); write {_FORMS}")
    host = found[1] or "localhost"
    if not (_is_ipv6(host) if bracketed else _HOST_NAME.fullmatch(host)):
        raise Misconfigured(f"the host name holds a character that no host name has; write {_FORMS}")
    port = int(found[2]) if found[2] else STORE_PORT
    if not 1 <= port <= 65_535:
        raise Misconfigured("the port is not a number from 1 to 65535")
    return host, port


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _parse_database(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > DATABASE_MAX:
        raise Misconfigured(f"the database after the slash is not a number from 0 to {DATABASE_MAX}")
    return int(text)


def _parse_options(query: str, *, allowed: tuple[str, ...]) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in allowed or not value or name in options:
            raise Misconfigured(
                f"only {', '.join(allowed)} can follow the question mark, each once and with a value"
                " (certificates are always verified; ssl_ca_certs names your own authority's file)"
            )
        options[name] = _decoded(value)
    return options


def _decoded(text: str) -> str:
    if _BROKEN_ESCAPE.search(text):
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text
