"""From the text of a variable to its value. Each function raises `ValueError` with what is wrong and the cure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator

from data_collector.model.calendar import INTERVALS
from data_collector.model.channels import CHANNELS
from data_collector.model.errors import Misconfigured
from data_collector.model.store_url import parse_store_url
from data_collector.model.venue import Venue

SYMBOLS_MAX = 5000
"""Large exchanges list about 3,000; more than this is a mistake that would only be found at their limits."""

SYMBOL_CHARACTERS_MAX = 64
SHOWN_CHARACTERS_MAX = 60
SECRET_CHARACTERS_MAX = 4096

RECEIVERS_MAX = 20
"""To whom alerts go; further ones are better served by one that hands messages on."""

EMBEDDED = "embedded"
"""`DATABASE_URL` of the PostgreSQL that we start ourselves."""

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.?")
_NOT_IN_SYMBOLS = frozenset(":{}*?\"'\\%&#")
"""They would make a key or a URL mean something else."""

YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})


def parsed(parse: Callable[[str], object]) -> BeforeValidator:
    """Make `parse` the way from text to a field's value; a value that is no text passes as it is."""

    def convert(value: object) -> object:
        return parse(value.strip()) if isinstance(value, str) else value

    return BeforeValidator(convert)


def whole_number(minimum: int, maximum: int) -> BeforeValidator:
    """A number without sign, fraction or exponent, within limits."""

    def parse(text: str) -> int:
        # int() would take '1_000' and other scripts' digits, and thousands of digits slowly.
        number = int(text) if re.fullmatch("[0-9]{1,12}", text) else -1
        if not minimum <= number <= maximum:
            raise ValueError(f"give a whole number from {minimum} to {maximum}")
        return number

    return parsed(parse)


def shown(text: str) -> str:
    """The text for a message: quoted, control characters escaped, cut."""
    cut = text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + "…"
    return ascii(cut) if not cut.isprintable() else f"'{cut}'"


def _listed(text: str) -> list[str]:
    """The parts between commas, each once, in order."""
    parts = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not parts:
        raise ValueError("name at least one, or leave the variable out for the default")
    return parts


def exchanges(text: str) -> tuple[str, ...]:
    """What `EXCHANGES` names, each once, in order; whether they are shipped is not asked here."""
    return tuple(_listed(text.lower()))


def symbols(text: str, venue: Venue) -> tuple[str, ...]:
    """`btcusdt, ETHUSDT` as `("BTCUSDT", "ETHUSDT")`, each in the form of the exchange."""
    named = [(word, venue.read_symbol(venue.without_name(word))) for word in _listed(text)]
    wrong = [word for word, symbol in named if symbol is None or not _is_symbol(symbol)]
    if wrong:
        raise ValueError(
            f"{_enumerated(wrong)} cannot be a symbol; write them as {venue.name} does, separated by commas:"
            f" {','.join(venue.default_symbols[:2])}"
        )
    found = dict.fromkeys(symbol for _, symbol in named if symbol is not None)
    if len(found) > SYMBOLS_MAX:
        raise ValueError(f"{len(found)} symbols are more than {SYMBOLS_MAX}; spread them over several collectors")
    return tuple(found)


def _is_symbol(text: str) -> bool:
    return (
        len(text) <= SYMBOL_CHARACTERS_MAX
        and text.isprintable()
        and not any(character.isspace() or character in _NOT_IN_SYMBOLS for character in text)
    )


def intervals(text: str) -> tuple[str, ...]:
    """Intervals that some exchange has; whether this one has them is for the venue to say."""
    found = _listed(text)
    wrong = [interval for interval in found if interval not in INTERVALS]
    if wrong:
        raise ValueError(
            f"{_enumerated(wrong)} cannot be an interval; exchanges have intervals such as 1m, 5m, 1h, 1d and 1M"
            " (m is minute, M is month); separate them by commas: 1m,5m,1h"
        )
    return tuple(found)


def channels(text: str) -> tuple[str, ...]:
    """Only what can be collected; case does not matter."""
    names: dict[str, str] = {name.lower(): name for name in CHANNELS}
    found = [names.get(word, word) for word in _listed(text.lower())]
    wrong = [channel for channel in found if channel not in CHANNELS]
    if wrong:
        raise ValueError(f"{_enumerated(wrong)} cannot be collected; choose from {', '.join(CHANNELS)}")
    return tuple(found)


def _enumerated(words: list[str]) -> str:
    more = f" and {len(words) - 5} more" if len(words) > 5 else ""
    return ", ".join(shown(word) for word in words[:5]) + more


def store_url(text: str) -> str:
    """A store URL that can be read; the text itself stays, it may hold a password."""
    try:
        parse_store_url(text)
    except Misconfigured as error:
        raise ValueError(f"{error}; leave REDIS_URL out for the embedded server") from None
    return text


def database_url(text: str) -> str:
    """Only the scheme is checked here: the driver reads the rest."""
    if text != EMBEDDED and not re.match(r"(postgresql|postgres)://\S", text):
        raise ValueError(f"write postgresql://USER:PASSWORD@HOST:5432/DATABASE, or {EMBEDDED} for one of our own")
    return text


def header_value(text: str) -> str:
    """A key or token that can travel in an HTTP header."""
    if not re.fullmatch("[!-~]+", text) or len(text) > SECRET_CHARACTERS_MAX:
        raise ValueError(f"use ASCII characters without spaces, at most {SECRET_CHARACTERS_MAX}")
    return text


def addresses(text: str) -> list[str]:
    """The addresses of `ALERT_URLS`, each once. A comma within one stays: only what begins another one divides."""
    parts = re.split(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)", text.strip().strip(","))
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def receivers(text: str) -> str:
    """Addresses by their form alone; whether there is such a receiver the library says. The text itself stays."""
    found = addresses(text)
    wrong = [at for at, each in enumerate(found, 1) if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,19}://[!-~]+", each)]
    if wrong:
        raise ValueError(
            f"number {', '.join(map(str, wrong[:5]))} cannot be read; write addresses as apprise does, KIND://…, in"
            " ASCII and with spaces between them: tgram://BOT_TOKEN/CHAT_ID json://HOST:PORT/PATH"
        )
    if len(found) > RECEIVERS_MAX or len(text) > SECRET_CHARACTERS_MAX:
        raise ValueError(f"name at most {RECEIVERS_MAX} receivers, in at most {SECRET_CHARACTERS_MAX} characters")
    return text


def web_page(text: str) -> str:
    """An address, or the path of a document, to which `#…` is added."""
    if not re.fullmatch(r"[!-~]{1,500}", text) or "#" in text or "@" in text:
        raise ValueError("write the page's address without spaces, # and @, such as https://HOST/docs/operations.md")
    return text


def environment(text: str) -> str:
    """A short lower-case word."""
    if not re.fullmatch("[a-z0-9][a-z0-9_-]{0,31}", text.lower()):
        raise ValueError("write one short word, such as development or production")
    return text.lower()


def bind_host(text: str) -> str:
    """A name or address to listen on; IPv6 with or without brackets."""
    plain = text.removeprefix("[").removesuffix("]").lower()
    if not _is_host(plain):
        raise ValueError("write an address or a name without port, such as 127.0.0.1, ::1 or 0.0.0.0")
    return plain


def host_names(text: str) -> tuple[str, ...]:
    """Names as a Host header has them, with or without port; `*` alone accepts any."""
    found = _listed(text.lower())
    wrong = [name for name in found if name != "*" and not _is_host(re.sub(r":[0-9]{1,5}$|[\[\]]", "", name))]
    if wrong:
        raise ValueError(f"{_enumerated(wrong)} cannot be a host name; write names without http://, or *")
    return tuple(found)


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(_HOST.fullmatch(text))
    return True


def stream_base_url(text: str) -> str:
    """`wss://host:port`, nothing after it."""
    return _base_url(text, ("wss", "ws"))


def rest_base_url(text: str) -> str:
    """`https://host:port`, nothing after it."""
    return _base_url(text, ("https", "http"))


def _base_url(text: str, schemes: tuple[str, ...]) -> str:
    parts = _split_url(text, schemes)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"leave out everything after the host and port: {schemes[0]}://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def service_url(text: str) -> str:
    """An HTTP base URL that the operator chose; any host but the link-local ones, where clouds keep credentials."""
    parts = _split_url(text, ("http", "https"))
    if parts.query or parts.fragment:
        raise ValueError("leave out everything from the question mark or # on")
    if _is_link_local(parts.hostname or ""):
        raise ValueError("link-local addresses (169.254.0.0/16, fe80::/10) are refused; name the service's own host")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _is_link_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_link_local


def _split_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    form = f"{schemes[0]}://HOST:PORT"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # The parser's own words may quote a part of a password.
        raise ValueError(f"host and port cannot be read; write {form}") from None
    if parts.scheme not in schemes:
        raise ValueError(f"it does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}; write {form}")
    if "@" in parts.netloc:
        raise ValueError(f"a user name or password does not belong in it; write {form}")
    if not _is_host(parts.hostname or "") or port == 0:
        raise ValueError(f"host and port cannot be read; write {form}")
    return parts


def folder(text: str) -> Path:
    """A path; `~` is the home folder."""
    if "\0" in text:
        raise ValueError("a path has no zero character")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("the home folder of that user is not known; write the whole path") from None


def yes_or_no(text: str) -> bool:
    """1 or 0, and the usual words for them."""
    if text.lower() not in YES | NO:
        raise ValueError("write 1 or 0")
    return text.lower() in YES
