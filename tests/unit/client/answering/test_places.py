"""Where a client looks: what it is given, else what the environment names."""

from __future__ import annotations

from data_collector.client.answering.places import Places, places_of

ENVIRONMENT = {
    "REDIS_URL": "redis://store",
    "DATA_COLLECTOR_API": "http://api",
    "DATABASE_URL": "postgresql://database",
}


def test_environment_names_what_is_not_given() -> None:
    assert places_of(None, None, None, ENVIRONMENT) == Places("redis://store", "http://api", "postgresql://database")
    assert places_of("unix:///s", "", "", ENVIRONMENT) == Places("unix:///s", "", "")


def test_without_an_environment_it_is_this_machine() -> None:
    assert places_of(None, None, None, {}) == Places(
        "redis://127.0.0.1:6379", "http://127.0.0.1:8001", "", is_store_named=False, is_api_named=False
    )


def test_empty_variables_say_to_do_without_as_empty_arguments_do() -> None:
    empty = dict.fromkeys(ENVIRONMENT, "")
    assert places_of(None, None, None, empty) == Places("redis://127.0.0.1:6379", "", "", is_store_named=False)


def test_database_that_the_collector_embeds_is_read_over_http() -> None:
    assert places_of(None, None, None, {"DATABASE_URL": "embedded"}).database == ""
