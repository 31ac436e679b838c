"""A strict, stateful stand-in for the part of Square's API that the connector uses, on loopback.

with SquareStandIn() as square:
    square.state.put_customer("C1", at=now, email_address="ana@shop.test")
    ... Square(token=TOKEN, base_url=square.url, stores={"L1": "high-street"}) ...

What goes to `url` is held to Square's own API description on its way there and back; closing fails if that was broken.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self

from tests.standins.square.loopback import JsonServer
from tests.standins.square.proxy import ContractProxy
from tests.standins.square.service import TOKEN, SquareState, line, stamp

__all__ = ["TOKEN", "SquareStandIn", "SquareState", "line", "sign", "stamp"]


class SquareStandIn:
    """Serves one account until it is closed."""

    def __init__(self, *, port: int = 0) -> None:
        self.state = SquareState()
        self._server = JsonServer(self._answer, port=port)
        self.proxy = ContractProxy(self.bare_url)

    @property
    def url(self) -> str:
        return self.proxy.url

    @property
    def bare_url(self) -> str:
        """Where nothing but the stand-in itself minds what is sent."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        self.proxy.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self.proxy.__exit__(kind, error, trace)

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes, Mapping[str, str]]:
        asked = {name.lower(): value for name, value in headers.items()}
        status, document = self.state.answer(method, path.partition("?")[0], asked, body)
        return (
            status,
            json.dumps(document).encode(),
            {"Retry-After": "0"} if status == HTTPStatus.TOO_MANY_REQUESTS else {},
        )


def sign(body: bytes, *, key: str, address: str) -> str:
    """Return the signature that Square sends along with a webhook message."""
    return base64.b64encode(hmac.new(key.encode(), address.encode() + body, hashlib.sha256).digest()).decode()
