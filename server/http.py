"""The frame around every operation: credential, permission, body, idempotency key, answer.

A routes module declares handlers with `@operation("name")`; method, path, caller, permission and messages come from
`shared.endpoints`, so that no route can exist without them.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from server import auth, idempotency
from server.context import Context, Tools
from server.decoding import Pieces, Unread, decode, decode_each, decode_query, read_body
from server.errors import Invalid, NotPermitted, NotSignedIn, Refused
from shared.endpoints import BY_OPERATION, ENDPOINTS, Caller, Endpoint
from shared.limits import IDEMPOTENCY_KEY_PATTERN, PAGE_SIZE, PAGE_SIZE_MAX
from shared.permissions import may
from shared.problems import Code, FieldProblem

HttpRequest = Request[None, None, State]
_Body = TypeVar("_Body", bound=msgspec.Struct)

_SMALL_NUMBER = re.compile("[0-9]{1,6}")
_IDEMPOTENCY_KEY = re.compile(IDEMPOTENCY_KEY_PATTERN)
_NO_STORE = {"Cache-Control": "no-store"}
_REPLAYED = _NO_STORE | {"Idempotency-Replayed": "true"}


class Call:
    """One request as a handler sees it.

    Attributes:
        ctx: The use case's context; its actor is the caller.
        endpoint: The row of the route table.
        raw_body: The body as sent, empty for operations without one.
    """

    __slots__ = ("_principal", "body", "ctx", "endpoint", "items", "raw_body", "request")

    def __init__(self, request: HttpRequest, endpoint: Endpoint, ctx: Context) -> None:
        self.request = request
        self.endpoint = endpoint
        self.ctx = ctx
        self.body: msgspec.Struct | None = None
        self.items: Sequence[msgspec.Struct] = ()
        self.raw_body = b""
        self._principal: auth.Member | auth.Staff | auth.Key | None = None

    @property
    def member(self) -> auth.Member:
        """The member who calls."""
        assert isinstance(self._principal, auth.Member)
        return self._principal

    @property
    def staff(self) -> auth.Staff:
        """The staff member who calls."""
        assert isinstance(self._principal, auth.Staff)
        return self._principal

    @property
    def key(self) -> auth.Key:
        """The API key that calls."""
        assert isinstance(self._principal, auth.Key)
        return self._principal

    def message(self, kind: type[_Body]) -> _Body:
        """Return the decoded body."""
        assert isinstance(self.body, kind)
        return self.body

    def sent(self, kind: type[_Body]) -> list[_Body | Unread]:
        """Return the items of a batch in the order in which they were sent, also those that are not as described."""
        return [item for item in self.items if isinstance(item, (kind, Unread))]

    def path_id(self, name: str) -> UUID:
        """Return an id out of the path."""
        value: UUID = self.request.path_params[name]
        return value

    def query(self, name: str, *, default: str = "") -> str:
        """Return a query parameter.

        Raises:
            Invalid: Given twice, or with control characters.
        """
        assert name in self.endpoint.query, f"declare the query parameter '{name}' in shared/endpoints.py"
        values = self.request.query_params.getall(name, [])
        if len(values) > 1:
            raise Invalid(FieldProblem(field=name, detail="This parameter is given twice."))
        return decode_query({name: values[0]} if values else {}, name, default=default)

    def page_size(self) -> int:
        """Return the `limit` parameter, 1 to PAGE_SIZE_MAX.

        Raises:
            Invalid: Not a number in that range.
        """
        text = self.query("limit", default=str(PAGE_SIZE))
        if not (_SMALL_NUMBER.fullmatch(text) and 1 <= int(text) <= PAGE_SIZE_MAX):
            raise Invalid(FieldProblem(field="limit", detail=f"A number from 1 to {PAGE_SIZE_MAX}."))
        return int(text)

    def bearer_token(self) -> str:
        """Return the token of the Authorization header.

        Raises:
            NotSignedIn: There is none, or it is of another kind.
        """
        scheme, _, token = self.request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > 200:
            raise NotSignedIn
        return token.strip()

    def idempotent_call(self, *, principal: str | None = None) -> idempotency.IdempotentCall:
        """Return the identity of this call.

        Args:
            principal: Who calls; the authenticated actor unless given.

        Raises:
            Refused: IDEMPOTENCY_KEY_MISSING, the header is absent or malformed.
        """
        key = self.request.headers.get("idempotency-key", "")
        if not _IDEMPOTENCY_KEY.fullmatch(key):
            raise Refused(Code.IDEMPOTENCY_KEY_MISSING)
        return idempotency.IdempotentCall(
            principal=principal or f"{self.ctx.actor.kind}:{self.ctx.actor.id}",
            operation=self.endpoint.operation,
            key=key,
            body_hash=idempotency.hash_body(self.ctx, self.request.url.path, self.raw_body),
        )

    async def authenticate(self) -> None:
        """Find the caller that the endpoint demands and check the permission.

        Raises:
            NotSignedIn: No valid credential.
            NotPermitted: The credential is good, the act is not allowed.
        """
        endpoint = self.endpoint
        match endpoint.caller:
            case Caller.ANYONE:
                return
            case Caller.MEMBER:
                member = await auth.find_member(self.ctx, self.bearer_token())
                self._principal, self.ctx = member, self.ctx.acting_as("member", member.customer_id)
            case Caller.STAFF:
                staff = await auth.find_staff(self.ctx, self.bearer_token())
                if endpoint.permission is None or not may(staff.role, endpoint.permission):
                    raise NotPermitted(f"The role '{staff.role}' may not do this.")
                self._principal, self.ctx = staff, self.ctx.acting_as("staff", staff.staff_id)
            case Caller.KEY:
                assert endpoint.scope is not None
                key = await auth.find_key(self.ctx, self.bearer_token(), endpoint.scope)
                self._principal, self.ctx = key, self.ctx.acting_as("key", key.key_id)


Answer = msgspec.Struct | Response[bytes] | None
Handler = Callable[[Call], Awaitable[Answer]]
Completion = Callable[[Call, idempotency.StoredReply], Awaitable[idempotency.StoredReply]]


def operation(
    name: str,
    *,
    checks_itself: bool = False,
    complete: Completion | None = None,
    each: tuple[type[Pieces], type[msgspec.Struct]] | None = None,
) -> Callable[[Handler], HTTPRouteHandler]:
    """Make a handler the route of an operation.

    Args:
        name: An operation of `shared.endpoints`.
        checks_itself: The handler's own statement joins the credential (hot paths); it must refuse strangers.
        complete: Adds to each answer of an idempotent operation, first or repeated, the secrets that are not stored with it.
        each: For a batch whose items are refused by themselves: the batch in pieces, and what each is to be.
    """
    endpoint = BY_OPERATION[name]

    def declare(handler: Handler) -> HTTPRouteHandler:
        async def handle(request: HttpRequest) -> Response[bytes]:
            call = Call(request, endpoint, _context(request))
            if not checks_itself:
                await call.authenticate()
            elif endpoint.caller is not Caller.ANYONE:
                call.bearer_token()
            if endpoint.request is not None:
                call.raw_body = await read_body(request, endpoint.body_bytes_max)
                if each:
                    call.items = decode_each(call.raw_body, endpoint.request, *each)
                else:
                    call.body = decode(call.raw_body, endpoint.request)
            if endpoint.idempotent and not checks_itself:
                return await _answer_once(call, handler, complete)
            return _respond(endpoint, await handler(call))

        handle.__doc__ = handler.__doc__
        return HTTPRouteHandler(
            _litestar_path(endpoint.path),
            http_method=endpoint.method,  # type: ignore[arg-type]
            # The answer brings its own status; Litestar refuses 204 for a handler that is declared to return something.
            status_code=200,
            name=endpoint.operation,
            opt={"endpoint": endpoint},
        )(handle)

    return declare


def options_handlers() -> list[HTTPRouteHandler]:
    """Return a route for each path that tells its methods; Litestar's own tells the first of them only."""
    return [_options_handler(path) for path in dict.fromkeys(row.path for row in ENDPOINTS)]


def _options_handler(path: str) -> HTTPRouteHandler:
    allow = ", ".join(sorted({"OPTIONS", *(row.method for row in ENDPOINTS if row.path == path)}))

    async def tell() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": allow})

    return HTTPRouteHandler(_litestar_path(path), http_method="OPTIONS", status_code=204)(tell)


def reply_response(reply: idempotency.StoredReply) -> Response[bytes]:
    """Return the HTTP answer of a stored reply; a replay says so in a header."""
    headers = _REPLAYED if reply.replayed else _NO_STORE
    return Response(reply.body, status_code=reply.status, media_type="application/json", headers=headers)


async def _answer_once(call: Call, handler: Handler, complete: Completion | None) -> Response[bytes]:
    async def work() -> msgspec.Struct:
        answer = await handler(call)
        assert isinstance(answer, msgspec.Struct), "an idempotent operation answers with a message"
        return answer

    identity = call.idempotent_call()
    reply = await idempotency.once(call.ctx, identity, call.endpoint.status, work)
    return reply_response(await complete(call, reply) if complete else reply)


def _respond(endpoint: Endpoint, answer: Answer) -> Response[bytes]:
    if isinstance(answer, Response):
        return answer
    body = b"" if answer is None else msgspec.json.encode(answer)
    return Response(body, status_code=endpoint.status, media_type="application/json", headers=_NO_STORE)


def _context(request: HttpRequest) -> Context:
    tools: Tools = request.app.state.tools
    scope_state = request.scope["state"]
    return Context(
        tools=tools,
        now=tools.clock.now(),
        request_id=str(scope_state["request_id"]),
        network=str(scope_state["network"]),
    )


def _litestar_path(path: str) -> str:
    # Ids are UUIDs; anything else in their place is a path that does not exist.
    return re.sub(r"\{(\w+_id)\}", r"{\1:uuid}", re.sub(r"\{(\w+)(?<!_id)\}", r"{\1:str}", path))
