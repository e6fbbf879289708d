"""The routes of the application and docs/api.md are the same ones."""

from __future__ import annotations

import re

from fastapi.routing import APIRoute

from data_collector.api import pages, routes
from tests.docs.tree import read

SERVED = {
    f"{method} {route.path}"
    for router in (routes.router, pages.router)
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in (route.methods or set()) - {"HEAD"}
}


def test_every_route_is_documented_and_every_documented_route_is_served() -> None:
    documented = set(re.findall(r"\b((?:GET|POST|PUT|DELETE|PATCH) /[\w/{}.-]*)", read("docs/api.md")))

    assert documented == SERVED


def test_the_readme_names_only_routes_that_are_served() -> None:
    section = read("README.md").partition("## HTTP")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(?:(?:GET|POST) )?(/[\w/-]+)`", section))

    assert named >= {"/health", "/metrics", "/status"}
    assert named - {route.partition(" ")[2] for route in SERVED} == set()
