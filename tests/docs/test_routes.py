"""The routes of the application and docs/api.md are the same ones."""

from __future__ import annotations

import re

from fastapi import APIRouter
from fastapi.routing import APIRoute

from data_collector.api import pages
from data_collector.api.routes import gaps as gap_routes
from data_collector.api.routes import latest as latest_routes
from data_collector.api.routes import live as live_routes
from data_collector.api.routes import series as series_routes
from data_collector.api.routes import similar as similar_routes
from data_collector.api.routes import spread as spread_routes
from data_collector.api.routes import state as routes
from data_collector.api.routes import subscriptions as subscription_routes
from data_collector.validation.service import routes as service_routes
from tests.docs.tree import read

ROUTE = re.compile(r"\b((?:GET|POST|PUT|DELETE|PATCH) /[\w/{}.-]*)")
SERVICE_SECTION = "\n## Data Validation Service\n"


def served(*routers: APIRouter) -> set[str]:
    return {
        f"{method} {route.path.replace(':path', '')}"
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in (route.methods or set()) - {"HEAD"}
    }


SERVED = served(
    routes.router,
    gap_routes.router,
    series_routes.router,
    latest_routes.router,
    similar_routes.router,
    spread_routes.router,
    subscription_routes.router,
    live_routes.router,
    pages.router,
)


def test_every_route_is_documented_and_every_documented_route_is_served() -> None:
    of_the_collector, _, of_the_service = read("docs/api.md").partition(SERVICE_SECTION)

    assert set(ROUTE.findall(of_the_collector)) == SERVED
    assert set(ROUTE.findall(of_the_service)) == served(service_routes.router)


def test_the_readme_names_only_routes_that_are_served() -> None:
    section = read("README.md").partition("## Read it")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(?:(?:GET|POST) )?(/[\w/-]+)`", section))

    assert named >= {"/health", "/metrics", "/status"}
    assert named - {route.partition(" ")[2] for route in SERVED} == set()
