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
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.standins.square.proxy import ContractProxy
from tests.standins.square.service import TOKEN, SquareState, line, stamp

__all__ = ["TOKEN", "SquareStandIn", "SquareState", "line", "sign", "stamp"]


class SquareStandIn:
    """Serves one account until it is closed."""

    def __init__(self, *, port: int = 0) -> None:
        self.state = SquareState()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self.state))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.proxy = ContractProxy(self.bare_url)

    @property
    def url(self) -> str:
        return self.proxy.url

    @property
    def bare_url(self) -> str:
        """Where nothing but the stand-in itself minds what is sent."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.proxy.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.proxy.__exit__(kind, error, trace)


def sign(body: bytes, *, key: str, address: str) -> str:
    """Return the signature that Square sends along with a webhook message."""
    return base64.b64encode(hmac.new(key.encode(), address.encode() + body, hashlib.sha256).digest()).decode()


def _handler(state: SquareState) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers: Mapping[str, str] = {name.lower(): value for name, value in self.headers.items()}
            status, document = state.answer(self.command, self.path.partition("?")[0], dict(headers), body)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PUT(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """Say nothing."""

    return Handler
