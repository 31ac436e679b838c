"""The outermost layer: request id, caller's network, allowed hosts, security headers, metrics, one log line a request."""

import ipaddress
import time
from collections.abc import Iterator
from uuid import uuid4

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Histogram

from server.logs import get_logger
from server.problems import PROBLEM_MEDIA_TYPE, problem_of
from server.settings import Settings
from shared.problems import Code

log = get_logger()

_SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"strict-transport-security", b"max-age=31536000"),
)
_JSON_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
# Our own pages: one style and one script, both served by us; nothing from anywhere else.
_PAGE_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
)
_IPV4_NETWORK_BITS = 24
_IPV6_NETWORK_BITS = 64  # What one household or one attacker gets from a provider.


class Metrics:
    """Figures for Prometheus; a registry of its own, so that two apps in one process do not collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("regulars_requests", "Requests answered.", ("route", "status"), registry=self.registry)
        self.seconds = Histogram(
            "regulars_request_seconds", "Seconds until the answer.", ("route",), registry=self.registry
        )


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, *, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics
        self._hosts = frozenset(host.lower() for host in settings.allowed_hosts)
        self._proxies = tuple(ipaddress.ip_network(proxy) for proxy in settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["network"] = self._network(scope, headers)
        started_at = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_headers_for(message, request_id)]
            await send(message)

        try:
            if self._hosts and not self._is_allowed(headers.get(b"host", b"")):
                await _refuse_host(send_with_headers, request_id)
            else:
                await self.app(scope, receive, send_with_headers)
        finally:
            self._note(scope, request_id, status, time.perf_counter() - started_at)

    def _is_allowed(self, host: bytes) -> bool:
        name = host.decode("latin-1").lower()
        name = name.rpartition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
        return name in self._hosts

    def _network(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        address = (scope.get("client") or ("",))[0]
        if self._proxies and _is_in(address, self._proxies):
            hops = [hop.strip() for hop in headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")]
            # The right-most hop that is not a proxy of ours is the last one a proxy of ours saw with its own eyes.
            address = next((hop for hop in reversed(hops) if hop and not _is_in(hop, self._proxies)), address)
        return network_of(address)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        handler = scope.get("route_handler")
        route = getattr(handler, "name", None) or "none"
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if status >= 500 or log.is_enabled_for(10):
            log.info("request_answered", request_id=request_id, route=route, status=status, ms=round(seconds * 1000, 1))


def network_of(address: str) -> str:
    """Return the network of an address, /24 or /64, which stands for the caller without naming a person's device."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    bits = _IPV4_NETWORK_BITS if ip.version == 4 else _IPV6_NETWORK_BITS
    return str(ipaddress.ip_network((ip, bits), strict=False))


def _is_in(address: str, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in networks)


def _headers_for(message: HTTPResponseStartEvent, request_id: str) -> Iterator[tuple[bytes, bytes]]:
    given = dict(message["headers"])
    yield from _SECURITY_HEADERS
    yield _PAGE_POLICY if given.get(b"content-type", b"").startswith(b"text/html") else _JSON_POLICY
    yield b"x-request-id", request_id.encode()
    if b"cache-control" not in given:
        # An answer whose handler says nothing about it may hold somebody's data.
        yield b"cache-control", b"no-store"


async def _refuse_host(send: Send, request_id: str) -> None:
    instance = f"urn:regulars:request:{request_id}"
    problem = problem_of(Code.INVALID_REQUEST, detail="This host name is not served here.", instance=instance)
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", PROBLEM_MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
