"""Numbers and times of exchanges: digits stay, nonsense is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.decoding.texts import EXPONENT_MAX, microseconds, plain_digits

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def raw(text: str) -> msgspec.Raw:
    return msgspec.json.decode(text, type=msgspec.Raw)


@given(number=st.decimals(allow_nan=False, allow_infinity=False, min_value="-1e18", max_value="1e18", places=18))
def test_digits_stay_as_they_came(number: Decimal) -> None:
    assert plain_digits(raw(format(number, "f"))) == format(number, "f")


@given(
    number=st.integers(-999, 999),
    exponent=st.integers(-EXPONENT_MAX + 3, EXPONENT_MAX - 3),
    letter=st.sampled_from("eE"),
)
def test_exponent_is_written_out(number: int, exponent: int, letter: str) -> None:
    plain = plain_digits(raw(f"{number}{letter}{exponent}"))

    assert Decimal(plain) == Decimal(number).scaleb(exponent)
    assert set(plain) <= set("-0123456789.")


@pytest.mark.parametrize(
    "text", ['"1.5"', "null", "true", "[1]", '{"a":1}', "1e999999999", "1e-999999999", "1E41", f"1e{'9' * 30}"]
)
def test_what_is_no_number_or_has_no_bound_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a number is"):
        plain_digits(raw(text))


@given(time=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), digits=st.integers(0, 9))  # noqa: DTZ001 - UTC
def test_time_is_read_to_the_microsecond(time: datetime, digits: int) -> None:
    part = f"{time.microsecond:06}000"[:digits]
    text = f"{time:%Y-%m-%dT%H:%M:%S}{'.' if digits else ''}{part}Z"

    assert microseconds(text) == (time.replace(tzinfo=UTC, microsecond=0) - EPOCH) // timedelta(microseconds=1) + int(
        part[:6].ljust(6, "0")
    )


@pytest.mark.parametrize(
    "text",
    ["", "Z", "2023-09-25T07:49:37.708706", "2023-09-25T07:49:37.708706+00:00", "2023-09-25 07:49:37.708706Z",
     "2023-13-25T07:49:37.708706Z", "2023-09-25T07:49:37.70870xZ", "1695628177708"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any sentence will do, the frame is told
        microseconds(text)
