"""The HTTP server around the service: threads, keep-alive, and connections that end or hang when told to."""

import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.standins.mailchimp.control import CONTROL_PREFIX, answer_control
from tests.standins.mailchimp.service import API_PREFIX, HttpAnswer, HttpRequest, MailchimpService, json_answer

LOOPBACK = "127.0.0.1"
# Zero would mean: do not wait, and call it an error.
SHORTEST_WAIT_S = 0.001
BODY_BYTES_MAX = 16 * 1024 * 1024
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class RequestHandler(BaseHTTPRequestHandler):
    """One connection, in a thread of its own."""

    server: "MailchimpHttpServer"
    protocol_version = "HTTP/1.1"
    server_version = "MailchimpStandIn"
    sys_version = ""
    # Header and body leave in one packet: without this, each answer may wait 40 ms for an acknowledgement.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True

    def serve_one(self) -> None:
        body = self._read_body()
        if body is None:
            return
        target = urlsplit(self.path)
        request = HttpRequest(
            method=self.command,
            path=target.path,
            query=target.query,
            authorization=self.headers.get("Authorization", ""),
            content_type=self.headers.get("Content-Type", ""),
            accept=self.headers.get("Accept", ""),
            body=body,
            connection=self.client_address[1],
        )
        if target.path.startswith(CONTROL_PREFIX + "/"):
            self._send(answer_control(self.server.service, request))
        elif target.path.startswith(API_PREFIX + "/"):
            self._send(self.server.service.answer(request, wait_s=self._wait_s))
        elif target.path == "/":
            self._send_to_contacts()
        else:
            self._send(json_answer({"error": "The API is under /3.0."}, status=HTTPStatus.NOT_FOUND))

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Serve every method alike: the base class looks for `do_GET`, `do_POST` and so on."""
        if name.startswith("do_"):
            return self.serve_one
        raise AttributeError(name)

    def _read_body(self) -> bytes | None:
        """Read the body, or answer and return None when its length is unknown or too much."""
        length = self.headers.get("Content-Length", "0")
        refusal: HTTPStatus | None = None
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            refusal = HTTPStatus.LENGTH_REQUIRED
        elif int(length) > BODY_BYTES_MAX:
            refusal = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if refusal is not None:
            self.close_connection = True
            self._send(HttpAnswer(status=refusal))
            return None
        return self.rfile.read(int(length))

    def _send(self, answer: HttpAnswer) -> None:
        if answer.is_dropped:
            self.close_connection = True
            self.server.end_connection(self.connection)
            return
        self.send_response(answer.status)
        if answer.content_type:
            self.send_header("Content-Type", answer.content_type)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in SECURITY_HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _send_to_contacts(self) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", CONTROL_PREFIX + "/contacts")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _wait_s(self, seconds: float | None) -> bool:
        """Wait, and return early with False when the client goes away or the server stops.

        The real service goes on holding the request's place when the client has gone; this one frees it.
        """
        # Nothing is due from the client before its answer, so all that can come is the end of the connection.
        self.connection.settimeout(None if seconds is None else max(seconds, SHORTEST_WAIT_S))
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return True
        except OSError:
            return False
        finally:
            self.connection.settimeout(None)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it)
        """Write nothing: the request log is in the control area."""


class MailchimpHttpServer(ThreadingHTTPServer):
    """The server on loopback. `start` begins to serve in a thread; `stop` ends every connection and waits for that thread."""

    daemon_threads = True
    # More than a handful of connections may come at once: the cap is to be met in the service, not in the backlog.
    request_queue_size = 256

    def __init__(self, service: MailchimpService, *, port: int) -> None:
        """Listen on the port, or on a free one when it is 0.

        Raises:
            OSError: The port is taken.
        """
        self.service = service
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        super().__init__((LOOPBACK, port), RequestHandler)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_address[1]}"

    def start(self) -> None:
        # The poll interval is how long `stop` may take.
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="mailchimp-standin", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        with self._connections_lock:
            connections = list(self._connections)
        for connection in connections:
            self.end_connection(connection)
        self.server_close()
        if self._thread is not None:
            self._thread.join()

    def end_connection(self, connection: socket.socket) -> None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The client was quicker.
            return

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if isinstance(request, socket.socket):
            with self._connections_lock:
                self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            with self._connections_lock:
                self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Pass over a client that went away in the middle; report anything else, which is a fault of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
