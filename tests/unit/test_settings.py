"""Settings: every variable, every fault at once, secrets never shown."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from data_collector.model.errors import Misconfigured
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.settings import SECRETS, Settings, expected_store_bytes, load_settings, texts
from data_collector.settings.fields import FIELDS, variable_of, variables

CANARY = "c4n4ry-s3cr3t"

FIELD_OF = {variable_of(field, FIRST_EXCHANGE): field for field in FIELDS}


def load(env_file: Path | None = None, /, **environ: str) -> Settings:
    return load_settings(environ, env_file)


def faults_of(env_file: Path | None = None, /, **environ: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        load_settings(environ, env_file)
    return str(caught.value)


def test_defaults_are_those_of_the_contract() -> None:
    settings = load()

    assert settings.exchange == "binance"
    assert settings.symbols == ("BTCUSDT", "ETHUSDT", "BNBUSDT")
    assert settings.intervals == ("1m", "5m", "15m", "1h")
    assert settings.channels == ("kline", "trade", "ticker")
    assert settings.redis_url is None
    assert settings.store_address() is None
    assert settings.validation_service_url is None
    assert settings.api_key is settings.api_secret is None
    assert settings.database_url is settings.control_token is None
    assert settings.environment == "development"
    assert (settings.host, settings.port, settings.allowed_hosts) == ("127.0.0.1", 8001, None)
    assert settings.ws_url == "wss://stream.binance.com:9443"
    assert settings.rest_url == "https://api.binance.com"
    assert (settings.kline_ttl_s("1m"), settings.kline_ttl_s("1s")) == (7 * 86_400, 3600)
    assert settings.catch_up_seconds == 3600
    assert (settings.var_dir, settings.suites_dir) == (Path("var"), Path("var/suites"))
    assert settings.use_proxy is False
    assert settings.notices == ()


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("SYMBOLS", " btcusdt , ETHUSDT,btcUSDT,", ("BTCUSDT", "ETHUSDT")),
        ("SYMBOLS", "BTC/USD,币安人生USDT", ("BTC/USD", "币安人生USDT")),
        ("INTERVALS", "1M, 1m,1M", ("1M", "1m")),
        ("CHANNELS", "Trade,kline", ("trade", "kline")),
        ("ENVIRONMENT", "Production", "production"),
        ("HOST", "[::1]", "::1"),
        ("HOST", "localhost", "localhost"),
        ("PORT", "0", 0),
        ("ALLOWED_HOSTS", "Data.example.com, [::1]:8001", ("data.example.com", "[::1]:8001")),
        ("ALLOWED_HOSTS", "*", ("*",)),
        ("EXCHANGES", " Binance, ", "binance"),
        ("BINANCE_WS_URL", "WSS://Stream.Binance.US:9443/", "wss://stream.binance.us:9443"),
        ("BINANCE_REST_URL", "http://[::1]:8080", "http://[::1]:8080"),
        ("VALIDATION_SERVICE_URL", "http://data-validation:8000/", "http://data-validation:8000"),
        ("VALIDATION_SERVICE_URL", "https://host/Prefix/", "https://host/Prefix"),
        ("KLINE_TTL_SECONDS", "60", 60),
        ("CATCH_UP_SECONDS", "0", 0),
        ("USE_PROXY", "on", True),
        ("USE_PROXY", "0", False),
        ("VAR_DIR", "/srv/x", Path("/srv/x")),
        ("SUITES_DIR", "rules", Path("rules")),
    ],
)
def test_text_becomes_its_value(variable: str, text: str, value: object) -> None:
    settings = load(**{variable: text})

    assert getattr(settings, FIELD_OF[variable]) == value


@pytest.mark.parametrize(
    ("variable", "text", "cure"),
    [
        ("SYMBOLS", ",", "at least one"),
        ("EXCHANGES", ",", "at least one"),
        ("EXCHANGES", "mtgox", "shipped are: binance"),
        ("EXCHANGES", "binance,mtgox", "shipped are: binance"),
        ("SYMBOLS", "BTC USDT", "separated by commas"),
        ("SYMBOLS", "BTC:USDT", "'BTC:USDT' cannot be a symbol"),
        ("SYMBOLS", "BTC\x1bUSDT", "cannot be a symbol"),
        ("SYMBOLS", ",".join(f"S{number}" for number in range(5001)), "more than 5000"),
        ("SYMBOLS", "X" * 65, "cannot be a symbol"),
        ("INTERVALS", "1x", "m is minute, M is month"),
        ("INTERVALS", "60", "cannot be an interval"),
        ("CHANNELS", "trade,aggTrade", "'aggtrade' cannot be collected; choose from kline, trade, ticker"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("VALIDATION_SERVICE_URL", "ftp://host", "http:// or https://"),
        ("ALERT_URLS", "json://a b:c ntfy://d", "number 1 cannot be read"),
        ("ALERT_URLS", " ".join(f"json://h{number}" for number in range(21)), "at most 20 receivers"),
        ("ALERT_RUNBOOK_URL", "https://h/page#part", "without spaces, # and @"),
        ("VALIDATION_SERVICE_URL", "http://169.254.169.254/", "link-local"),
        ("VALIDATION_SERVICE_URL", "http://[::ffff:169.254.169.254]/", "link-local"),
        ("VALIDATION_SERVICE_URL", "http://host:99999", "cannot be read"),
        ("DATABASE_URL", "mysql://h/d", "postgresql://"),
        ("ENVIRONMENT", "a b", "one short word"),
        ("CONTROL_TOKEN", "with space in it", "without spaces"),
        ("HOST", "http://x", "without port"),
        ("HOST", "0.0.0.0,127.0.0.1", "without port"),
        ("PORT", "65536", "from 0 to 65535"),
        ("PORT", "-1", "from 0 to 65535"),
        ("PORT", "8_001", "from 0 to 65535"),
        ("PORT", "9" * 5000, "from 0 to 65535"),
        ("ALLOWED_HOSTS", "http://x", "without http://"),
        ("BINANCE_WS_URL", "wss://host/ws", "after the host and port"),
        ("BINANCE_WS_URL", "wss://host?x=1", "after the host and port"),
        ("BINANCE_WS_URL", "https://host", "wss:// or ws://"),
        ("BINANCE_REST_URL", "wss://host", "https:// or http://"),
        ("BINANCE_REST_URL", "https://", "cannot be read"),
        ("KLINE_TTL_SECONDS", "1", "from 60"),
        ("STREAM_MAXLEN", "0", "from 100"),
        ("TRADES_MAXLEN", "1e5", "from 100"),
        ("FLUSH_MS", "0", "from 1 to 1000"),
        ("USE_PROXY", "maybe", "1 or 0"),
        ("VAR_DIR", "~nobody-of-that-name/x", "whole path"),
    ],
)
def test_impossible_value_is_refused_with_its_name_and_cure(variable: str, text: str, cure: str) -> None:
    message = faults_of(**{variable: text})

    assert message.count(f"- {variable}") == 1
    assert cure in message
    assert "\x1b" not in message


def test_channel_is_read_without_regard_to_case_and_keeps_its_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "CHANNELS", {"trade": None, "miniTicker": None})

    assert texts.channels("TRADE,miniticker, MiniTicker") == ("trade", "miniTicker")


def test_every_fault_is_told_at_once() -> None:
    message = faults_of(
        SYMBOLS=",", PORT="x", HOST="0.0.0.0", REDIS_URL="nonsense", CONTROL_TOKEN_FILE="/nowhere/token"
    )

    for variable in ("SYMBOLS", "PORT", "HOST", "REDIS_URL", "CONTROL_TOKEN_FILE"):
        assert f"- {variable}" in message


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_never_shown(name: str, tmp_path: Path) -> None:
    variable = variable_of(name, FIRST_EXCHANGE)
    urls = {"redis_url": "redis://:{}@h", "database_url": "postgresql://u:{}@h/d", "alert_urls": "json://u:{}@h"}
    good = urls.get(name, "{}").format(CANARY)
    bad = {"redis_url": f"redis://{CANARY}", "database_url": CANARY}.get(name, f"{CANARY} with spaces")
    bad = "http://" + bad if name == "redis_url" else bad
    (tmp_path / "secret").write_text(bad)

    assert CANARY not in repr(load(**{variable: good}))
    assert CANARY not in load(**{variable: good}).model_dump_json()
    assert CANARY not in faults_of(**{variable: bad})
    assert CANARY not in faults_of(**{f"{variable}_FILE": str(tmp_path / "secret")})


@pytest.mark.parametrize("name", SECRETS)
def test_secret_comes_from_a_file_too(name: str, tmp_path: Path) -> None:
    urls = {"redis_url": "redis://:pw@h", "database_url": "postgresql://h/d", "alert_urls": "json://h"}
    value = urls.get(name, "token-of-some-length")
    (tmp_path / "secret").write_text(f"\ufeff{value}\n")

    settings = load(**{f"{variable_of(name, FIRST_EXCHANGE)}_FILE": str(tmp_path / "secret")})

    assert getattr(settings, name).get_secret_value() == value


def test_secret_in_both_forms_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CANARY)

    message = faults_of(CONTROL_TOKEN=CANARY, CONTROL_TOKEN_FILE=str(tmp_path / "secret"))

    assert "CONTROL_TOKEN and CONTROL_TOKEN_FILE are both set" in message
    assert CANARY not in message


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe\x00", b"x" * 70_000])
def test_file_that_holds_no_secret_is_a_fault(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)

    assert "CONTROL_TOKEN_FILE" in faults_of(CONTROL_TOKEN_FILE=str(tmp_path / "secret"))


def test_env_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("\ufeff# comment\nPORT=9001\nexport SYMBOLS=SOLUSDT\nREDIS_URL='redis://:a${b}#c@h'\n")

    settings = load(env_file, PORT="9002")

    assert settings.port == 9002
    assert settings.symbols == ("SOLUSDT",)
    address = settings.store_address()
    assert address is not None
    assert address.password == "a${b}#c"


def test_name_that_stands_twice_in_the_env_file_is_told(tmp_path: Path) -> None:
    """Somebody appended a line to .env and left the former one where it was."""
    env_file = tmp_path / ".env"
    env_file.write_text(
        f"HOST=127.0.0.1\nCONTROL_TOKEN={CANARY}-1\nPORT=9001\nCONTROL_TOKEN={CANARY}-2\nHOST=localhost\n"
    )

    settings = load(env_file)

    assert settings.host == "localhost"
    twice = [notice for notice in settings.notices if "2 times, and the last one counts" in notice]
    assert [notice.partition(": ")[2].split()[0] for notice in twice] == ["'HOST'", "'CONTROL_TOKEN'"]
    assert CANARY not in " ".join(settings.notices)


def test_secret_of_the_environment_wins_over_a_secret_file_of_the_env_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("CONTROL_TOKEN_FILE=/nowhere\n")

    settings = load(env_file, CONTROL_TOKEN="a-token-of-some-length")

    assert settings.control_token is not None


def test_empty_variable_means_the_default_also_over_the_env_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("REDIS_URL=redis://elsewhere\nPORT=\n")

    settings = load(env_file, REDIS_URL="", SYMBOLS=" ")

    assert settings.redis_url is None
    assert settings.port == 8001
    assert settings.symbols == ("BTCUSDT", "ETHUSDT", "BNBUSDT")


def test_missing_env_file_is_no_fault(tmp_path: Path) -> None:
    assert load(tmp_path / ".env").port == 8001


@pytest.mark.parametrize("content", [b"PORT=\xff\xff\n", b"PORT\n"])
def test_env_file_that_cannot_be_read_is_a_fault(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(content)

    assert str(tmp_path / ".env") in faults_of(tmp_path / ".env")


def test_misspelt_names_are_told_with_the_right_one(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("SYMBOL=BTCUSDT\nredis_uri=redis://h\nPOSTGRES_PASSWORD=x\nBINANCE_SYMBOLS=BTCUSDT\n")

    notices = load(env_file, INTERVAL="1m", PATH="/bin").notices

    assert [notice.split(" ")[0] for notice in notices] == ["INTERVAL", "BINANCE_SYMBOLS", "SYMBOL", "redis_uri"]
    assert "did you mean SYMBOLS?" in notices[1]
    assert "did you mean SYMBOLS?" in notices[2]
    assert "did you mean REDIS_URL?" in notices[3]


def test_sample_keys_count_as_unset_and_are_told_once() -> None:
    settings = load(BINANCE_API_KEY="your_api_key", BINANCE_API_SECRET="your_api_secret")

    assert settings.api_key is settings.api_secret is None
    assert [notice.split(" ")[0] for notice in settings.notices] == ["BINANCE_API_KEY", "BINANCE_API_SECRET"]


def test_unknown_exchange_is_told_along_with_every_other_fault() -> None:
    message = faults_of(EXCHANGES="mtgox", PORT="x", BINANCE_WS_URL="nonsense")

    for variable in ("EXCHANGES='mtgox'", "PORT", "BINANCE_WS_URL"):
        assert f"- {variable}" in message


def test_exchange_of_the_command_line_wins_and_its_faults_are_named() -> None:
    assert load_settings({"EXCHANGES": "binance"}, None, exchange="Kraken").exchange == "kraken"
    with pytest.raises(Misconfigured, match=r"--exchange='mtgox': There is no exchange named 'mtgox'; shipped are"):
        load_settings({}, None, exchange="mtgox")


def test_address_that_others_reach_needs_a_token() -> None:
    assert "CONTROL_TOKEN must be set" in faults_of(HOST="0.0.0.0")
    assert load(HOST="0.0.0.0", CONTROL_TOKEN="a-token-of-some-length").host == "0.0.0.0"
    assert load(HOST="127.8.8.8").host == "127.8.8.8"


def test_image_has_its_own_defaults_and_needs_no_token() -> None:
    settings = load(DATA_COLLECTOR_IMAGE="1")

    assert (settings.host, settings.environment, settings.allowed_hosts) == ("0.0.0.0", "production", ("*",))
    assert load(DATA_COLLECTOR_IMAGE="1", ENVIRONMENT="development", ALLOWED_HOSTS="a").allowed_hosts == ("a",)


def test_short_token_is_told_and_not_shown() -> None:
    (notice,) = load(CONTROL_TOKEN="short").notices

    assert "CONTROL_TOKEN is shorter than 16" in notice
    assert "'short'" not in notice


def test_suites_folder_follows_the_data_folder() -> None:
    assert load(VAR_DIR="/srv/x").suites_dir == Path("/srv/x/suites")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load().port = 1


def test_every_field_tells_what_it_means() -> None:
    (written,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(written, ast.ClassDef)
    described = {
        field.target.id
        for field, text in pairwise(written.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and text.value.value
    }

    assert Settings.model_fields.keys() - described == set()
    assert "SYMBOLS" in variables()
    assert not {"NOTICES", "GIVEN", "EXCHANGE", "WS_URL"} & set(variables())


def test_expected_store_size_grows_with_what_is_collected() -> None:
    one = expected_store_bytes(load(SYMBOLS="A", CHANNELS="trade", TRADES_MAXLEN="1000"))

    assert 1000 * 200 < one < 1000 * 300
    assert expected_store_bytes(load(SYMBOLS="A,B", CHANNELS="trade", TRADES_MAXLEN="1000")) == 2 * one
    assert expected_store_bytes(load(SYMBOLS="A", TRADES_MAXLEN="1000")) > one
    assert expected_store_bytes(load(SYMBOLS="A", CHANNELS="ticker")) < one


@pytest.mark.parametrize(("interval", "keys"), [("1s", 3601), ("1m", 10_081), ("3d", 3), ("1w", 2), ("1M", 1)])
def test_kline_keys_are_counted_by_their_expiry(interval: str, keys: int) -> None:
    with_interval = load(SYMBOLS="A", CHANNELS="kline", INTERVALS=interval, STREAM_MAXLEN="100")
    with_none = load(SYMBOLS="A", CHANNELS="ticker")

    size = expected_store_bytes(with_interval) - expected_store_bytes(with_none) - 100 * 380

    assert size == keys * 430


def test_addresses_of_receivers_are_told_apart_by_where_the_next_one_begins() -> None:
    settings = load(ALERT_URLS=" mailtos://u:p@h?to=a@h,b@h,tgram://1:A/2  json://h/p, json://h/p\n")

    assert settings.alert_addresses == ["mailtos://u:p@h?to=a@h,b@h", "tgram://1:A/2", "json://h/p"]
