"""The app has the routes of the table, and no others."""

import re
from collections import Counter

from litestar.routes import HTTPRoute

from server.app import route_handlers
from shared.endpoints import ENDPOINTS, Caller
from tests.app import World


async def test_every_row_of_the_table_has_its_route_and_every_route_its_row(world: World) -> None:
    routes = [route for route in world.app.app.routes if isinstance(route, HTTPRoute)]  # type: ignore[attr-defined]
    served = {
        (method, re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path), handler.name)
        for route in routes
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }
    assert served == {(row.method, row.path, row.operation) for row in ENDPOINTS}


async def test_the_app_has_nothing_but_http_routes(world: World) -> None:
    assert all(isinstance(route, HTTPRoute) for route in world.app.app.routes)  # type: ignore[attr-defined]


def test_names_and_places_are_unique() -> None:
    assert max(Counter(row.operation for row in ENDPOINTS).values()) == 1
    assert max(Counter((row.method, row.path) for row in ENDPOINTS).values()) == 1
    assert max(Counter(handler.name for handler in route_handlers()).values()) == 1


def test_every_row_says_what_its_caller_needs() -> None:
    for row in ENDPOINTS:
        assert (row.permission is not None) == (row.caller is Caller.STAFF), row.operation
        assert (row.scope is not None) == (row.caller is Caller.KEY), row.operation


def test_callers_keep_to_their_own_part_of_the_address_space() -> None:
    prefixes = {Caller.STAFF: "/v1/staff/", Caller.KEY: "/v1/pos/", Caller.MEMBER: "/v1/me"}
    for row in ENDPOINTS:
        if prefix := prefixes.get(row.caller):
            assert row.path.startswith(prefix), row.operation
        else:
            assert not row.path.startswith(("/v1/pos/", "/v1/me")), row.operation


def test_reading_never_needs_a_key_and_has_no_body() -> None:
    for row in ENDPOINTS:
        if row.method == "GET":
            assert row.request is None, row.operation
            assert not row.idempotent, row.operation
            assert row.status == 200, row.operation


def test_every_page_can_be_gone_through() -> None:
    for row in ENDPOINTS:
        is_page = row.response is not None and "next_cursor" in row.response.__struct_fields__
        assert is_page == ({"cursor", "limit"} <= set(row.query)), row.operation
