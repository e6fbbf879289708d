"""Where the texts come from: the environment, a `.env` file, and files named by `NAME_FILE`."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dotenv.main import DotEnv
from pydantic import ValidationError

from data_collector.model.errors import Misconfigured
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.venue import Venue
from data_collector.proxies import proxy_of
from data_collector.settings import texts
from data_collector.settings.fields import (
    FIELDS,
    OF_EXCHANGE,
    SECRETS,
    USUAL_CHANNELS,
    USUAL_INTERVALS,
    Settings,
    is_loopback,
    variable_of,
    variables,
)
from data_collector.settings.texts import YES, shown
from data_collector.venues.discovery import find_venue, venue_names

SECRET_FILE_BYTES_MAX = 64 * 1024
"""A secret is a line; a larger file is the wrong one."""

TOKEN_CHARACTERS_SHORT = 16
"""A shorter token is told: it can be guessed over the network."""

_SAMPLES = {"api_key": "your_api_key", "api_secret": "your_api_secret"}
_IMAGE_DEFAULTS = {"ENVIRONMENT": "production", "HOST": "0.0.0.0", "ALLOWED_HOSTS": "*"}  # noqa: S104 (the container's own network)
_SIMILAR = 0.85
"""How alike a name must be to be taken for a slip: SYMBOL for SYMBOLS, REDIS_URI for REDIS_URL."""


def load_settings(
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
    *,
    exchange: str | Venue | None = None,
) -> Settings:
    """Read and check all settings; a variable of the environment wins over the same one of the file.

    An empty variable means the default; `exchange` wins over `EXCHANGES`. Raises `Misconfigured` with one message that
    names every fault and its cure, and never the value of a secret.
    """
    settings, venues, faults = _read(environ, env_file, exchange)
    for other in venues[1:]:
        # What is wrong with its own variables is told now, and not by a process that ends.
        faults += [fault for fault in _read(environ, env_file, other.name)[2] if fault not in faults]
    if settings is None or faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise Misconfigured(
            f"The settings cannot work:\n{listed}\nThe file .env.example shows every setting with its default."
        )
    return settings.model_copy(update={"exchanges": tuple(venue.name for venue in venues)})


def _read(
    environ: Mapping[str, str] | None, env_file: Path | None, exchange: str | Venue | None
) -> tuple[Settings | None, list[Venue], list[str]]:
    """The settings of the first exchange, all that are meant, and every fault of that one's."""
    outer = os.environ if environ is None else environ
    faults: list[str] = []
    notices: list[str] = []
    inner = {} if env_file is None else _read_env_file(env_file, notices, faults)
    own = () if exchange is None or isinstance(exchange, str) else (exchange.name,)
    names = variables(*own)
    notices += _slips(outer, "the environment", names) + _slips(inner, str(env_file), names)
    values = _merged(outer, inner, names)
    named = values.pop(variable_of("exchange", ""), "")
    venues = _chosen(named, exchange, faults)
    venue, collected = venues[0], [each.name for each in venues]
    if exchange is None and len(venues) < len([word for word in named.split(",") if word.strip()]):
        notices.append(f"EXCHANGES={shown(named)} names one more than once; each is collected once.")
    _drop_unused(values, collected, notices)
    _read_secret_files(values, venue.name, faults)
    _drop_samples(values, venue.name, notices)
    _check_together(values, faults, notices)
    settings = _validated(values, venue, notices, faults)
    if settings is not None and settings.use_proxy:
        faults += _proxy_faults(settings)
    return settings, venues, faults


def variables_of_others(exchange: str) -> list[str]:
    """Variables that mean nothing to a collector of this exchange, their `_FILE` forms among them."""
    own = {variable_of(field, exchange) for field in FIELDS}
    others = {variable_of(field, name) for name in venue_names() for field in OF_EXCHANGE} - own
    return sorted(others | {f"{name}_FILE" for name in others if _is_secret(name)})


def _chosen(text: str, exchange: str | Venue | None, faults: list[str]) -> list[Venue]:
    """The exchanges that are meant; the first one where it is none, so that the other faults are told as well."""
    if isinstance(exchange, Venue):
        return [exchange]
    given = text if exchange is None else exchange
    try:
        names = texts.exchanges(given) if given.strip() else (FIRST_EXCHANGE,)
        return [find_venue(name) for name in names]
    except (ValueError, Misconfigured) as error:
        origin = f"EXCHANGES={shown(given)}" if exchange is None else f"--exchange={shown(given)}"
        faults.append(f"{origin}: {error}")
        return [find_venue(FIRST_EXCHANGE)]


def _drop_unused(values: dict[str, str], collected: Sequence[str], notices: list[str]) -> None:
    """Variables of exchanges that are not collected have no effect, which is told."""
    used = {variable_of(name, each) for each in collected for name in FIELDS}
    for other in (name for name in venue_names() if name not in collected):
        own = {variable_of(name, other) for name in OF_EXCHANGE} - used
        unused = sorted(name for name in values if name.removesuffix("_FILE") in own)
        if unused:
            for name in unused:
                del values[name]
            chosen = collected[0]
            notices.append(
                f"{', '.join(unused)}: of {other}, and {' and '.join(collected)} is collected, so without effect;"
                f" EXCHANGES chooses, and {variable_of('symbols', chosen)} names what is collected."
            )


def _read_env_file(path: Path, notices: list[str], faults: list[str]) -> dict[str, str]:
    try:
        # No interpolation: a password may hold "${". utf-8-sig: editors of some systems begin a file with a mark.
        lines = list(DotEnv(path, interpolate=False, encoding="utf-8-sig").parse())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        faults.append(f"{path}: the file cannot be read ({reason}); mend it or remove it")
        return {}
    found = dict(lines)
    for name, count in Counter(name for name, _ in lines).items():
        if count > 1:
            notices.append(f"{path}: {shown(name)} stands there {count} times, and the last one counts.")
    for name, value in found.items():
        if value is None:
            faults.append(f"{path}: a line has no = after {shown(name.split()[0])}; write NAME=value")
    return {name: value for name, value in found.items() if value is not None}


def _merged(outer: Mapping[str, str], inner: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Non-empty texts by variable. A secret and its `_FILE` form count as one variable in deciding who wins."""
    merged: dict[str, str] = {}
    for name in names:
        forms = (name, f"{name}_FILE") if _is_secret(name) else (name,)
        source = outer if any(form in outer for form in forms) else inner
        merged |= {form: source[form] for form in forms if source.get(form, "").strip()}
    return merged


def _is_secret(name: str) -> bool:
    return any(name == secret.upper() or name.endswith(f"_{secret.upper()}") for secret in SECRETS)


def _read_secret_files(values: dict[str, str], exchange: str, faults: list[str]) -> None:
    for name in (variable_of(secret, exchange) for secret in SECRETS):
        path = values.pop(f"{name}_FILE", None)
        if path is None:
            continue
        if name in values:
            faults.append(f"{name} and {name}_FILE are both set; remove one of them")
            continue
        try:
            values[name] = _secret_in(Path(path.strip()))
        except OSError as error:
            faults.append(f"{name}_FILE={shown(path)}: the file cannot be read ({error.strerror}); mend the path")
        except ValueError as error:
            faults.append(f"{name}_FILE={shown(path)}: the file {error}; it should hold the secret alone")


def _secret_in(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(SECRET_FILE_BYTES_MAX + 1)
    if len(content) > SECRET_FILE_BYTES_MAX:
        raise ValueError(f"has more than {SECRET_FILE_BYTES_MAX} bytes")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        # The error's own words quote the bytes.
        raise ValueError("is not UTF-8 text") from None
    if not text:
        raise ValueError("is empty")
    return text


def _drop_samples(values: dict[str, str], exchange: str, notices: list[str]) -> None:
    for field, sample in _SAMPLES.items():
        name = variable_of(field, exchange)
        if values.get(name, "").strip().lower() == sample:
            del values[name]
            notices.append(f"{name} is the sample value {sample} and counts as unset; public market data needs none.")


def _check_together(values: dict[str, str], faults: list[str], notices: list[str]) -> None:
    """What no variable can tell alone; done on the texts, so that it is told along with everything else."""
    image = values.get("DATA_COLLECTOR_IMAGE", "").strip().lower() in YES
    if image:
        for name, text in _IMAGE_DEFAULTS.items():
            values.setdefault(name, text)
    token = values.get("CONTROL_TOKEN")
    host = values.get("HOST", "127.0.0.1").strip().removeprefix("[").removesuffix("]").lower()
    if not is_loopback(host) and token is None and not image and _is_address(host):
        faults.append(
            f"HOST={shown(host)}: others can reach this address, so CONTROL_TOKEN must be set"
            " (openssl rand -hex 32 makes one); or use HOST=127.0.0.1"
        )
    if token is not None and len(token.strip()) < TOKEN_CHARACTERS_SHORT:
        notices.append(f"CONTROL_TOKEN is shorter than {TOKEN_CHARACTERS_SHORT} characters and can be guessed.")
    if values.get("STANDBY", "").strip().lower() in YES and "REDIS_URL" not in values:
        faults.append("STANDBY=1: nobody else writes to the embedded store; set REDIS_URL to that of both collectors")
    if "VAR_DIR" in values:
        values.setdefault("SUITES_DIR", str(Path(values["VAR_DIR"].strip()) / "suites"))


def _is_address(host: str) -> bool:
    """What is none is told as such, and not also as one that others can reach."""
    try:
        texts.bind_host(host)
    except ValueError:
        return False
    return True


def _validated(values: Mapping[str, str], venue: Venue, notices: list[str], faults: list[str]) -> Settings | None:
    names = {field: variable_of(field, venue.name) for field in FIELDS}
    given: dict[str, object] = {field: values[name] for field, name in names.items() if name in values}
    fields: dict[str, object] = {
        "symbols": venue.default_symbols, "ws_url": venue.addresses.ws_url, "rest_url": venue.addresses.rest_url,
        "intervals": ",".join(one for one in USUAL_INTERVALS if one in venue.intervals),
        "channels": ",".join(one for one in USUAL_CHANNELS if one in venue.channels),
        **given, "exchange": venue.name, "notices": tuple(notices), "given": frozenset(given),
    }  # fmt: skip
    try:
        if "symbols" in given:
            fields["symbols"] = texts.symbols(values[names["symbols"]], venue)
    except ValueError as error:
        faults.append(f"{names['symbols']}{_given(names['symbols'], values)}: {error}")
        fields["symbols"] = venue.default_symbols
    try:
        return _completed(Settings.model_validate(fields), venue)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            name = names[str(fault["loc"][0])]
            sentence = fault["msg"].removeprefix("Value error, ")
            faults.append(f"{name}{_given(name, values)}: {sentence}")
    return None


def _completed(settings: Settings, venue: Venue) -> Settings:
    channels = venue.completed(settings.channels)
    if channels == settings.channels:
        return settings
    notice = f"CHANNELS: {venue.name}'s klines are made of trades, so trades are collected too."
    return settings.model_copy(update={"channels": channels, "notices": (*settings.notices, notice)})


def _proxy_faults(settings: Settings) -> list[str]:
    """A proxy that only some of our clients could use would leave the others to go past it."""
    faults: dict[str, None] = {}
    for url in (settings.ws_url, settings.rest_url, settings.validation_service_url):
        try:
            if url is not None:
                proxy_of(url)
        except Misconfigured as fault:
            faults[f"USE_PROXY=1: {fault}"] = None
    return list(faults)


def _given(name: str, values: Mapping[str, str]) -> str:
    """`=value` for a message, unless it is a secret or a URL that may hold one."""
    value = values.get(name, "")
    return "" if _is_secret(name) or "@" in value else f"={shown(value)}"


def _slips(names: Iterable[str], place: str, settings: Sequence[str]) -> list[str]:
    """Notices about variables that nothing reads and that look like a setting written wrongly."""
    known = (*settings, *(f"{name}_FILE" for name in settings if _is_secret(name)))
    found = []
    for name in sorted(set(names) - set(known)):
        close = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_SIMILAR)
        if name.upper() == f"{FIRST_EXCHANGE}_symbols".upper():
            close = [variable_of("symbols", FIRST_EXCHANGE)]
        if close and len(name) <= 64:
            found.append(f"{name} in {place} is not a setting; did you mean {close[0]}?")
    return found
