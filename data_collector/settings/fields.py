"""The settings themselves: an environment variable is the upper-case name of a field."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, SecretStr

from data_collector.model.calendar import DAY_MS, LENGTHS_MS
from data_collector.model.channels import CHANNELS, MaxlenSetting
from data_collector.model.keys import FIRST_EXCHANGE, Channel
from data_collector.model.store_url import StoreAddress, parse_store_url
from data_collector.settings import texts
from data_collector.venues.discovery import venue_names

SECRETS = ("redis_url", "api_key", "api_secret", "database_url", "control_token", "alert_urls")
"""Fields that may also come from a file named by `NAME_FILE`, and whose value is never shown."""

OF_EXCHANGE = ("symbols", "ws_url", "rest_url", "api_key", "api_secret")
"""Fields of which every exchange has a variable of its own."""

_DAY_S = DAY_MS // 1000

KLINE_KEY_BYTES = 430
"""Measured with `python -m benchmarks.store_memory`, rounded up."""

SYMBOL_BYTES = 4096
"""`latest:`, state and the first nodes of each stream."""


USUAL_INTERVALS: Final = ("1m", "5m", "15m", "1h")
USUAL_CHANNELS: Final[tuple[Channel, ...]] = ("kline", "trade", "ticker")
"""Of these, where nothing is said, those that the exchange has."""


class Settings(BaseModel):
    """What the operator decides. Immutable; made by `load_settings`, which names every fault at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    exchange: str
    """Where to collect (`EXCHANGES`): folders of `venues`, separated by commas, or the name of a `Venue` of your own.
    Of several each has a collector of its own; commands without `--exchange` mean the first."""

    symbols: tuple[str, ...]
    """What to collect: the exchange's own names, separated by commas; at most 5,000. Unset: what its `Venue` says."""

    intervals: Annotated[tuple[str, ...], texts.parsed(texts.intervals)] = USUAL_INTERVALS
    """Kline intervals, separated by commas. Case matters: `1m` is a minute, `1M` a month."""

    channels: Annotated[tuple[Channel, ...], texts.parsed(texts.channels)] = USUAL_CHANNELS
    """What to collect of each symbol, separated by commas; docs/settings.md says what there is."""

    lines_per_stream: Annotated[int, texts.whole_number(1, 2)] = 1
    """2: every stream comes twice, over two connections. The first copy wins, and a lagging or dead line is replaced
    while the other carries on."""

    redis_url: Annotated[SecretStr | None, texts.parsed(texts.store_url)] = None
    """The store: `redis://`, `rediss://` (TLS) or `unix://`. Unset: an embedded server is started under `VAR_DIR`.
    The password ends at the last `@` and may hold any character. `?ssl_ca_certs=FILE` names your own authority."""

    validation_service_url: Annotated[str | None, texts.parsed(texts.service_url)] = None
    """A validation service, such as `http://data-validation:8000`. Unset: validation runs embedded."""

    api_key: Annotated[SecretStr | None, texts.parsed(texts.header_value)] = None
    """Sent only where an endpoint of the exchange asks for a key. `your_api_key` counts as unset."""

    api_secret: Annotated[SecretStr | None, texts.parsed(texts.header_value)] = None
    """Not needed for market data. `your_api_secret` counts as unset."""

    database_url: Annotated[SecretStr | None, texts.parsed(texts.database_url)] = None
    """PostgreSQL to write closed klines to, as `postgresql://…`; `embedded` for one of our own under `VAR_DIR`. Unset:
    none."""

    postgres_trades: Annotated[bool, texts.parsed(texts.yes_or_no)] = False
    """1: trades go to PostgreSQL too, where `DATABASE_URL` is set; about 150 bytes each with their index."""

    postgres_tickers: Annotated[bool, texts.parsed(texts.yes_or_no)] = False
    """1: samples of `latest:` go to PostgreSQL too, where `DATABASE_URL` is set: each symbol once a second, 500 rows a
    second at most."""

    retention_days_klines: Annotated[int | None, texts.whole_number(1, 36_500)] = None
    """Days that PostgreSQL keeps klines, by open time. Unset: for ever."""

    retention_days_trades: Annotated[int | None, texts.whole_number(1, 36_500)] = None
    """Days that PostgreSQL keeps trades. Unset: for ever."""

    retention_days_tickers: Annotated[int | None, texts.whole_number(1, 36_500)] = None
    """Days that PostgreSQL keeps samples of tickers. Unset: for ever."""

    alert_urls: Annotated[SecretStr | None, texts.parsed(texts.receivers)] = None
    """Where alerts go, as the library apprise writes addresses (`tgram://…`, `mailtos://…`, `json://…`), separated by
    spaces or commas; at most 20 (docs/alerts.md). Unset: nowhere."""

    alert_hourly_max: Annotated[int, texts.whole_number(1, 1000)] = 12
    """Messages about alerts that each receiver gets within an hour at most; what is held back is in the next one."""

    alert_runbook_url: Annotated[str, texts.parsed(texts.web_page)] = "docs/operations.md"
    """The page that alerts link to, with `#` and the alert's name behind it. Unset: the path in this repository."""

    environment: Annotated[str, texts.parsed(texts.environment)] = "development"
    """Shown in `/health`. `production` closes every writing route unless `CONTROL_TOKEN` is set.
    Image: `production`."""

    control_token: Annotated[SecretStr | None, texts.parsed(texts.header_value)] = None
    """Bearer token for the routes that write. 32 random bytes are a good one: `openssl rand -hex 32`."""

    host: Annotated[str, texts.parsed(texts.bind_host)] = "127.0.0.1"
    """Address to listen on. Outside the image one that others can reach needs `CONTROL_TOKEN`. Image: `0.0.0.0`."""

    port: Annotated[int, texts.whole_number(0, 65_535)] = 8001
    """Port to listen on; 0 takes a free one and tells it."""

    allowed_hosts: Annotated[tuple[str, ...] | None, texts.parsed(texts.host_names)] = None
    """Host headers accepted on routes that write or stream, separated by commas; `*` accepts any (image: any).
    Unset: the names of this machine's loopback."""

    ws_url: Annotated[str, texts.parsed(texts.stream_base_url)]
    """The exchange's streams: base URL without a path; for a simulator, a proxy, a testnet. Unset: its `Venue`'s."""

    rest_url: Annotated[str, texts.parsed(texts.rest_base_url)]
    """The exchange's REST side: base URL without a path. It belongs to the same exchange as `ws_url`."""

    kline_ttl_seconds: Annotated[int | None, texts.whole_number(60, 3650 * _DAY_S)] = None
    """Seconds until a `kline:` key expires, counted from its last write. Unset: 7 days, and 1 hour for `1s`."""

    stream_maxlen: Annotated[int, texts.whole_number(100, 100_000_000)] = 20_000
    """Entries that each `stream:` keeps, all intervals of the symbol together; about a hundred more before trimming."""

    trades_maxlen: Annotated[int, texts.whole_number(100, 1_000_000_000)] = 100_000
    """Entries that each `trades:` keeps; about a hundred more before trimming."""

    catch_up_seconds: Annotated[int, texts.whole_number(0, 30 * _DAY_S)] = 3600
    """How far back, in seconds, a restart fills before live records pass; older ranges are told in `gaps:`."""

    spool_bytes_max: Annotated[int, texts.whole_number(0, 999_999_999_999)] = 4_294_967_296
    """Bytes that the spool under `VAR_DIR` may take: trades of the last 15 minutes, and those that the store has not
    acknowledged. Beyond, the oldest files go. 0: nothing is kept on disk."""

    record: Annotated[Path | None, texts.parsed(texts.folder)] = None
    """Folder in which everything that the exchanges say is kept as it came, to be played again (docs/recording.md).
    Unset: nothing is."""

    record_bytes_max: Annotated[int, texts.whole_number(1_000_000, 999_999_999_999)] = 1_073_741_824
    """Bytes that the recording of an exchange may take; beyond, its oldest files go."""

    standby: Annotated[bool, texts.parsed(texts.yes_or_no)] = False
    """1: collect everything, and write a symbol's trades only while no other collector on the same `REDIS_URL` does."""

    auto_epoch: Annotated[bool, texts.parsed(texts.yes_or_no)] = True
    """1: where a symbol's trade ids begin anew and the exchange's REST side agrees, its next epoch begins by itself.
    0: it waits for `data-collector epoch SYMBOL --new`."""

    flush_ms: Annotated[int, texts.whole_number(1, 1000)] = 1
    """Longest time, in milliseconds, that a record waits for company before it is sent to the store."""

    suites_dir: Annotated[Path, texts.parsed(texts.folder)] = Path("var/suites")
    """Folder of your own validation rules: one there replaces the shipped rule of the same id. Follows `VAR_DIR`."""

    gx_audit: Annotated[bool, texts.parsed(texts.yes_or_no)] = True
    """1: real Great Expectations checks every message too, in a process of its own. 0: the compiled rules alone do."""

    gx_audit_seconds: Annotated[int, texts.whole_number(1, _DAY_S)] = 300
    """How long, in seconds, a record waits at most for real Great Expectations, which looks at all that came meanwhile
    at once; sooner when a batch is full."""

    memory: Annotated[bool, texts.parsed(texts.yes_or_no)] = False
    """1: a process of its own remembers the candles and answers `GET /similar`: past windows that look like now, and
    what followed them."""

    use_proxy: Annotated[bool, texts.parsed(texts.yes_or_no)] = False
    """1: `HTTPS_PROXY` and friends are obeyed. 0: they are ignored."""

    var_dir: Annotated[Path, texts.parsed(texts.folder)] = Path("var")
    """Folder of everything that outlives the process: the embedded store, spool, rules."""

    data_collector_image: Annotated[bool, texts.parsed(texts.yes_or_no)] = False
    """1 inside the container image: other defaults, and listening on every address without a token is normal there.
    Set by the image, not by people."""

    notices: tuple[str, ...] = ()
    """Sentences to tell once at start: what was read but means nothing. Not a variable."""

    exchanges: tuple[str, ...] = ()
    """All that `EXCHANGES` names; the first of them is `exchange`. Not a variable."""

    given: frozenset[str] = frozenset()
    """The fields that a variable named; the others have their default. Not a variable."""

    def store_address(self) -> StoreAddress | None:
        """Where `REDIS_URL` points; None for the embedded server."""
        return None if self.redis_url is None else parse_store_url(self.redis_url.get_secret_value())

    @property
    def rest_key(self) -> str | None:
        """The text of `api_key`, for the exchange's REST side alone."""
        return None if self.api_key is None else self.api_key.get_secret_value()

    @property
    def token(self) -> str | None:
        """The text of `control_token`, for who is shown or asked for it."""
        return None if self.control_token is None else self.control_token.get_secret_value()

    @property
    def alert_addresses(self) -> list[str]:
        """The texts of `alert_urls`, for who sends to them alone."""
        return [] if self.alert_urls is None else texts.addresses(self.alert_urls.get_secret_value())

    @property
    def offline_advice(self) -> str:
        """For who cannot reach the exchange itself; empty where it is somewhere else, as that of a demo is."""
        return "" if self.given & {"ws_url", "rest_url"} else "`make demo` needs no network"

    def maxlen(self, setting: MaxlenSetting) -> int:
        """Entries that a stream keeps which this setting trims."""
        return self.trades_maxlen if setting == "TRADES_MAXLEN" else self.stream_maxlen

    def kline_ttl_s(self, interval: str) -> int:
        """Seconds until a kline key of this interval expires."""
        if self.kline_ttl_seconds is not None:
            return self.kline_ttl_seconds
        return 3600 if interval == "1s" else 7 * _DAY_S


FIELDS = tuple(name for name in Settings.model_fields if name not in {"notices", "given", "exchanges"})
"""Those that come from a variable."""


def variable_of(field: str, exchange: str) -> str:
    """The environment variable of a field, where that exchange is collected."""
    if field == "exchange":
        return "EXCHANGES"
    if field not in OF_EXCHANGE or (field == "symbols" and exchange == FIRST_EXCHANGE):
        return field.upper()
    return f"{exchange}_{field}".upper()


def variables(*more: str) -> tuple[str, ...]:
    """The names of all environment variables that are settings, without their `_FILE` forms.

    Those of every shipped exchange are among them; `more` are exchanges that are not shipped.
    """
    exchanges = (FIRST_EXCHANGE, *venue_names(), *more)
    return tuple(dict.fromkeys(variable_of(name, exchange) for exchange in exchanges for name in FIELDS))


def is_loopback(host: str) -> bool:
    """True when only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def expected_store_bytes(settings: Settings) -> int:
    """Memory of the store once every stream is full; quarantine, gaps and late records come on top, if any."""
    per_symbol = SYMBOL_BYTES
    for name, channel in CHANNELS.items():
        if name in settings.channels and channel.stream is not None:
            per_symbol += settings.maxlen(channel.maxlen) * channel.entry_bytes
    if "kline" in settings.channels:
        per_symbol += _kline_keys(settings) * KLINE_KEY_BYTES
    return per_symbol * len(settings.symbols)


def _kline_keys(settings: Settings) -> int:
    """How many `kline:` keys of a symbol have not expired yet; at least the current one per interval."""
    return sum(
        settings.kline_ttl_s(interval) * 1000 // LENGTHS_MS.get(interval, 30 * DAY_MS) + 1
        for interval in settings.intervals
    )
