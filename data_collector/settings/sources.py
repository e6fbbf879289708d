"""Where the texts come from: the environment, a `.env` file, and files named by `NAME_FILE`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError

from data_collector.model.errors import Misconfigured
from data_collector.model.proxies import proxy_of
from data_collector.settings.fields import SECRETS, Settings, is_loopback, variables
from data_collector.settings.texts import YES, shown

SECRET_FILE_BYTES_MAX = 64 * 1024
"""A secret is a line; a larger file is the wrong one."""

TOKEN_CHARACTERS_SHORT = 16
"""A shorter token is told: it can be guessed over the network."""

_SAMPLES = {"BINANCE_API_KEY": "your_api_key", "BINANCE_API_SECRET": "your_api_secret"}
_IMAGE_DEFAULTS = {"ENVIRONMENT": "production", "HOST": "0.0.0.0", "ALLOWED_HOSTS": "*"}  # noqa: S104 (the container's own network)
_SECRET_NAMES = tuple(name.upper() for name in SECRETS)
_FILE_NAMES = tuple(f"{name}_FILE" for name in _SECRET_NAMES)
_SIMILAR = 0.85
"""How alike a name must be to be taken for a slip: SYMBOL for SYMBOLS, REDIS_URI for REDIS_URL."""


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Read and check all settings; a variable of the environment wins over the same one of the file.

    An empty variable means the default. Raises `Misconfigured` with one message that names every fault and its
    cure, and never the value of a secret.
    """
    outer = os.environ if environ is None else environ
    faults: list[str] = []
    inner = {} if env_file is None else _read_env_file(env_file, faults)
    notices = _slips(outer, "the environment") + _slips(inner, str(env_file))
    values = _merged(outer, inner)
    _read_secret_files(values, faults)
    _drop_samples(values, notices)
    _check_together(values, faults, notices)
    settings = _validated(values, notices, faults)
    if settings is not None and settings.use_proxy:
        faults += _proxy_faults(settings)
    if settings is None or faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise Misconfigured(
            f"The settings cannot work:\n{listed}\nThe file .env.example shows every setting with its default."
        )
    return settings


def _read_env_file(path: Path, faults: list[str]) -> dict[str, str]:
    try:
        # No interpolation: a password may hold "${". utf-8-sig: editors of some systems begin a file with a mark.
        found = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        faults.append(f"{path}: the file cannot be read ({reason}); mend it or remove it")
        return {}
    for name, value in found.items():
        if value is None:
            faults.append(f"{path}: a line has no = after {shown(name.split()[0])}; write NAME=value")
    return {name: value for name, value in found.items() if value is not None}


def _merged(outer: Mapping[str, str], inner: Mapping[str, str]) -> dict[str, str]:
    """Non-empty texts by variable. A secret and its `_FILE` form count as one variable in deciding who wins."""
    merged: dict[str, str] = {}
    for name in variables():
        forms = (name, f"{name}_FILE") if name in _SECRET_NAMES else (name,)
        source = outer if any(form in outer for form in forms) else inner
        merged |= {form: source[form] for form in forms if source.get(form, "").strip()}
    return merged


def _read_secret_files(values: dict[str, str], faults: list[str]) -> None:
    for name in _SECRET_NAMES:
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


def _drop_samples(values: dict[str, str], notices: list[str]) -> None:
    for name, sample in _SAMPLES.items():
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
    if not is_loopback(host) and token is None and not image:
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


def _validated(values: Mapping[str, str], notices: list[str], faults: list[str]) -> Settings | None:
    fields: dict[str, object] = {name.lower(): text for name, text in values.items()}
    try:
        return Settings.model_validate(fields | {"notices": tuple(notices)})
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(fault["loc"][0]).upper()
            sentence = fault["msg"].removeprefix("Value error, ")
            faults.append(f"{name}{_given(name, values)}: {sentence}")
    return None


def _proxy_faults(settings: Settings) -> list[str]:
    """A proxy that only some of our clients could use would leave the others to go past it."""
    faults: dict[str, None] = {}
    for url in (settings.binance_ws_url, settings.binance_rest_url, settings.validation_service_url):
        try:
            if url is not None:
                proxy_of(url)
        except Misconfigured as fault:
            faults[f"USE_PROXY=1: {fault}"] = None
    return list(faults)


def _given(name: str, values: Mapping[str, str]) -> str:
    """`=value` for a message, unless it is a secret or a URL that may hold one."""
    value = values.get(name, "")
    return "" if name in _SECRET_NAMES or "@" in value else f"={shown(value)}"


def _slips(names: Mapping[str, str], place: str) -> list[str]:
    """Notices about variables that nothing reads and that look like a setting written wrongly."""
    known = (*variables(), *_FILE_NAMES)
    found = []
    for name in sorted(set(names) - set(known)):
        close = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_SIMILAR)
        if close and len(name) <= 64:
            found.append(f"{name} in {place} is not a setting; did you mean {close[0]}?")
    return found
