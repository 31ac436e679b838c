"""The API in words: an OpenAPI 3.1 document made from the route table, and a page on which people read and try it."""

from typing import cast

from litestar.handlers import HTTPRouteHandler

from server.openapi.document import Json, build_document


def openapi_document() -> Json:
    """Return the OpenAPI 3.1 document of the service, JSON-able."""
    # Imported late, as the app has the document among its own routes.
    from server.app import route_handlers

    return build_document({cast(str, handler.name): _words(handler) for handler in route_handlers()})


def _words(handler: HTTPRouteHandler) -> str:
    return handler.fn.__doc__ or ""
