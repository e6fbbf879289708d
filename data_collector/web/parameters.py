"""Parameters of a URL that mean nothing to its route are refused: a slip of the pen must not read as an answer."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute


def demand_known_parameters(*everywhere: str) -> Callable[[Request], None]:
    """For `dependencies` of a router. What a route without parameters is given changes nothing, and passes.

    `everywhere` are names that all routes may be given.
    """

    def demand(request: Request) -> None:
        route = request.scope["route"]
        given = [name for name, _ in request.query_params.multi_items()]
        if not given or not isinstance(route, APIRoute):
            return
        known = _names_in(route.dependant)
        if not known:
            return
        if not set(given) <= {*known, *everywhere}:
            raise HTTPException(422, f"There is no such parameter here; there are {', '.join(known)}.")
        twice = [name for name in (*known, *everywhere) if given.count(name) > 1]
        if twice:
            raise HTTPException(422, f"{', '.join(twice)}: given more than once.")

    return demand


def _names_in(dependant: Dependant) -> list[str]:
    names = [field.alias for field in dependant.query_params]
    return names + [name for each in dependant.dependencies for name in _names_in(each)]
