"""HTTP of the API's own description."""

from functools import cache
from pathlib import Path

import msgspec
from litestar import Response

from server.http import Call, operation
from server.openapi import openapi_document
from server.openapi.page import render_page

_FILES = Path(__file__).parent / "static"
# Asked for again after every release; what it says is public and the same for everybody.
_HEADERS = {"Cache-Control": "no-cache"}


@operation("get_openapi_document")
async def get_openapi_document(_: Call) -> Response[bytes]:
    """Describe every operation as an OpenAPI 3.1 document."""
    return Response(_document(), media_type="application/json", headers=_HEADERS)


@operation("open_api_page")
async def open_api_page(_: Call) -> Response[bytes]:
    """Show a page on which people read about every operation and try it."""
    return Response(_page(), media_type="text/html", headers=_HEADERS)


@operation("get_api_page_script")
async def get_api_page_script(_: Call) -> Response[bytes]:
    """Return the script of the page."""
    return Response(_file("page.js"), media_type="text/javascript", headers=_HEADERS)


@operation("get_api_page_style")
async def get_api_page_style(_: Call) -> Response[bytes]:
    """Return the style of the page."""
    return Response(_file("page.css"), media_type="text/css", headers=_HEADERS)


@cache
def _document() -> bytes:
    return msgspec.json.encode(openapi_document())


@cache
def _page() -> bytes:
    return render_page(openapi_document()).encode()


@cache
def _file(name: str) -> bytes:
    return (_FILES / name).read_bytes()
