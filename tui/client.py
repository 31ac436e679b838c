"""The service's staff operations as typed calls. Knows HTTP and the messages; knows nothing of the terminal."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import TypeVar
from uuid import UUID

import httpx
import msgspec

from shared.endpoints import BY_OPERATION, Endpoint
from shared.members import Accepted, EntryPage, OrderPage
from shared.problems import Code, FieldProblem, Problem
from shared.staff import (
    AudienceContactView,
    AudienceStatus,
    AuditPage,
    CustomerChange,
    CustomerDetail,
    CustomerRegistered,
    EmailChangeApplied,
    EmailChangePreview,
    EmailCorrection,
    ProgrammeList,
    RegisterCustomer,
    SearchResult,
    StaffEmailChange,
    StaffSessionTokens,
    StaffSignIn,
    Undo,
)
from tui.errors import AnswerNotUnderstood, NoAnswer, Refused, SignedOut, Unreachable

ViewT = TypeVar("ViewT", bound=msgspec.Struct)
ParamValue = str | int | None

_KEYED_TRIES = 3
_RETRY_WAIT_SECONDS = 0.3
# Raised before a request left this machine: it cannot have been carried out.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def new_key() -> str:
    """Return an idempotency key: one for each opened form, kept through all its tries."""
    return secrets.token_urlsafe(24)


class Client:
    """One staff member's calls.

    Every call raises `Refused` (with the service's reason), `SignedOut`, `Unreachable`, `NoAnswer` or
    `AnswerNotUnderstood`. Calls with an idempotency key are tried again by themselves when the connection fails, as
    the key makes sure that they are carried out once.
    """

    def __init__(self, http: httpx.AsyncClient, *, answer_seconds: float = 10.0) -> None:
        self._http = http
        self._answer_seconds = answer_seconds
        self._token: str | None = None

    @property
    def is_signed_in(self) -> bool:
        return self._token is not None

    # Sessions ---------------------------------------------------------------------------------------------------

    async def sign_in(self, login: str, password: str, *, terminal: str) -> StaffSessionTokens:
        self._token = None
        body = StaffSignIn(login=login, password=password, terminal=terminal)
        tokens = await self._ask("staff_sign_in", StaffSessionTokens, body=body)
        self._token = tokens.access_token
        return tokens

    async def sign_out(self) -> None:
        """End the session at the service; the token is dropped whatever comes of it."""
        token, self._token = self._token, None
        if token is not None:
            await self._send(BY_OPERATION["end_staff_session"], token=token)

    async def is_alive(self) -> bool:
        """Ask whether the service answers at all."""
        try:
            response = await self._send_once(
                BY_OPERATION["health_live"], httpx.Request("GET", self._url("/health/live"))
            )
        except (NoAnswer, Unreachable):
            return False
        return response.status_code == 200

    # Customers --------------------------------------------------------------------------------------------------

    async def search(self, text: str) -> SearchResult:
        return await self._ask("search_customers", SearchResult, query={"q": text})

    async def get_customer(self, customer_id: UUID) -> CustomerDetail:
        return await self._ask("get_customer", CustomerDetail, path={"customer_id": customer_id})

    async def list_entries(self, membership_id: UUID, *, cursor: str | None = None) -> EntryPage:
        path = {"membership_id": membership_id}
        return await self._ask("list_customer_entries", EntryPage, path=path, query={"cursor": cursor})

    async def list_orders(self, customer_id: UUID, *, cursor: str | None = None) -> OrderPage:
        path = {"customer_id": customer_id}
        return await self._ask("list_customer_orders", OrderPage, path=path, query={"cursor": cursor})

    async def list_customer_audit(self, customer_id: UUID, *, cursor: str | None = None) -> AuditPage:
        path = {"customer_id": customer_id}
        return await self._ask("list_customer_audit", AuditPage, path=path, query={"cursor": cursor})

    async def register(self, form: RegisterCustomer, *, key: str) -> CustomerRegistered:
        return await self._ask("register_customer", CustomerRegistered, body=form, key=key)

    async def change_customer(self, customer_id: UUID, change: CustomerChange) -> CustomerDetail:
        return await self._ask("change_customer", CustomerDetail, path={"customer_id": customer_id}, body=change)

    async def invite(self, customer_id: UUID) -> Accepted:
        return await self._ask("invite_customer", Accepted, path={"customer_id": customer_id})

    # Email changes ----------------------------------------------------------------------------------------------

    async def preview_email_change(self, customer_id: UUID, change: StaffEmailChange) -> EmailChangePreview:
        path = {"customer_id": customer_id}
        return await self._ask("preview_email_change", EmailChangePreview, path=path, body=change)

    async def change_email(self, customer_id: UUID, change: StaffEmailChange, *, key: str) -> EmailChangeApplied:
        return await self._ask(
            "change_email", EmailChangeApplied, path={"customer_id": customer_id}, body=change, key=key
        )

    async def undo_email_change(self, change_id: UUID, undo: Undo, *, key: str) -> EmailChangeApplied:
        return await self._ask(
            "undo_email_change", EmailChangeApplied, path={"change_id": change_id}, body=undo, key=key
        )

    async def preview_correction(self, customer_id: UUID, correction: EmailCorrection) -> EmailChangePreview:
        path = {"customer_id": customer_id}
        return await self._ask("preview_correction", EmailChangePreview, path=path, body=correction)

    async def correct_email(self, customer_id: UUID, correction: EmailCorrection, *, key: str) -> EmailChangeApplied:
        return await self._ask(
            "correct_email", EmailChangeApplied, path={"customer_id": customer_id}, body=correction, key=key
        )

    # Audience, audit, programmes --------------------------------------------------------------------------------

    async def get_audience(self) -> AudienceStatus:
        return await self._ask("get_audience", AudienceStatus)

    async def retry_audience_contact(self, contact_id: UUID) -> AudienceContactView:
        return await self._ask("retry_audience_contact", AudienceContactView, path={"contact_id": contact_id})

    async def resume_audience(self) -> AudienceStatus:
        return await self._ask("resume_audience", AudienceStatus)

    async def list_audit(self, *, cursor: str | None = None) -> AuditPage:
        return await self._ask("list_audit", AuditPage, query={"cursor": cursor})

    async def list_programmes(self) -> ProgrammeList:
        return await self._ask("list_programmes", ProgrammeList)

    # Plumbing ---------------------------------------------------------------------------------------------------

    async def _ask(
        self,
        operation: str,
        answer: type[ViewT],
        *,
        path: Mapping[str, UUID] | None = None,
        query: Mapping[str, ParamValue] | None = None,
        body: msgspec.Struct | None = None,
        key: str | None = None,
    ) -> ViewT:
        endpoint = BY_OPERATION[operation]
        response = await self._send(endpoint, path=path, query=query, body=body, key=key, token=self._token)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            maybe_done = endpoint.method != "GET"
            raise AnswerNotUnderstood(status=response.status_code, maybe_done=maybe_done) from error

    async def _send(
        self,
        endpoint: Endpoint,
        *,
        path: Mapping[str, UUID] | None = None,
        query: Mapping[str, ParamValue] | None = None,
        body: msgspec.Struct | None = None,
        key: str | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(body)
        url = self._url(endpoint.path.format(**(path or {})))
        params = {name: str(value) for name, value in (query or {}).items() if value is not None}

        def request() -> httpx.Request:
            return self._http.build_request(endpoint.method, url, params=params, headers=headers, content=content)

        response = await self._send_surely(endpoint, request) if key else await self._send_once(endpoint, request())
        if response.is_success:
            return response
        raise _refusal(response, maybe_done=endpoint.method != "GET")

    def _url(self, path: str) -> httpx.URL:
        return self._http.base_url.join(path)

    async def _send_surely(self, endpoint: Endpoint, request: Callable[[], httpx.Request]) -> httpx.Response:
        """Send a keyed command until it is answered, at most three times."""
        maybe_done = False
        for tries_left in reversed(range(_KEYED_TRIES)):
            try:
                return await self._send_once(endpoint, request())
            except (NoAnswer, Unreachable) as error:
                maybe_done = maybe_done or error.maybe_done
                # A service that is silent for the whole wait is not asked again: the person decides.
                if tries_left == 0 or isinstance(error, NoAnswer):
                    error.maybe_done = maybe_done
                    raise
            await asyncio.sleep(_RETRY_WAIT_SECONDS)
        raise AssertionError("the last try returns or raises")

    async def _send_once(self, endpoint: Endpoint, request: httpx.Request) -> httpx.Response:
        is_command = endpoint.method != "GET"
        try:
            # The in-process transport knows no time limits, so the limit is set here for both.
            async with asyncio.timeout(self._answer_seconds):
                return await self._http.send(request)
        except _NEVER_SENT as error:
            raise Unreachable() from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise NoAnswer(maybe_done=is_command) from error
        except httpx.TransportError as error:
            raise Unreachable(maybe_done=is_command) from error


def _refusal(response: httpx.Response, *, maybe_done: bool) -> Refused | AnswerNotUnderstood:
    """Return the exception for an answer that is not a success."""
    try:
        told = msgspec.json.decode(response.content, type=_ToldProblem)
    except msgspec.DecodeError:
        # Not one of ours: a proxy, or something else listening at this address.
        return AnswerNotUnderstood(status=response.status_code, maybe_done=maybe_done and response.status_code >= 500)
    retry_after = response.headers.get("Retry-After", "")
    seconds = int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
    problem = told.to_problem()
    if problem.code is Code.NOT_SIGNED_IN:
        return SignedOut(problem)
    return Refused(problem, retry_after_seconds=seconds)


class _ToldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem as it came: a newer service may use codes that this console does not know yet."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    instance: str = ""
    errors: tuple[FieldProblem, ...] = ()
    data: dict[str, object] = {}

    def to_problem(self) -> Problem:
        unknown = Code.INTERNAL if self.status >= 500 else Code.INVALID_REQUEST
        known = self.code in Code.__members__.values()
        return Problem(
            type=self.type,
            title=self.title,
            status=self.status,
            code=Code(self.code) if known else unknown,
            detail=self.detail,
            instance=self.instance,
            errors=self.errors,
            data=self.data,
        )
