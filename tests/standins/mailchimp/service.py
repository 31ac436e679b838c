"""The stand-in behind its HTTP server: authentication, the cap on requests at once, failures, the log, and the state."""

import base64
import binascii
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import UNSET, UnsetType

from tests.standins.mailchimp import failures, people, webhooks
from tests.standins.mailchimp.answers import projected
from tests.standins.mailchimp.failures import Failure, FailureQueue
from tests.standins.mailchimp.problems import (
    Problem,
    api_key_invalid,
    malformed_json,
    unsupported_media_type,
)
from tests.standins.mailchimp.routes import Call, answer_call, prepare_call
from tests.standins.mailchimp.state import Account, Audience, load_account, new_audience, save_account

API_PREFIX = "/3.0"
REQUESTS_AT_ONCE_MAX = 10
LOG_LENGTH_MAX = 10_000
JSON_TYPE = "application/json; charset=utf-8"
PROBLEM_JSON_TYPE = "application/problem+json; charset=utf-8"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a stand-in starts. Without a state file it forgets everything when it stops."""

    api_key: str = "0123456789abcdef0123456789abcdef-us21"
    list_ids: tuple[str, ...] = ("a1b2c3d4e5",)
    double_optin: bool = False
    state_file: Path | None = None


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came. `connection` is the client's port: the same number means the same connection."""

    method: str
    path: str
    query: str
    authorization: str
    content_type: str
    accept: str
    body: bytes
    connection: int


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to send. `is_dropped` ends the connection instead of sending anything."""

    status: int = 200
    content_type: str = ""
    body: bytes = b""
    is_dropped: bool = False


DROPPED = HttpAnswer(status=0, is_dropped=True)


class LoggedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the API, as the log shows it.

    `path` begins behind `/3.0`. `body` is decoded JSON where it was JSON, else text. `status` is None while the answer is
    outstanding and 0 when the connection was ended without one.
    """

    number: int
    at: datetime
    method: str
    path: str
    query: dict[str, str]
    body: object
    status: int | None
    connection: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    list_ids: tuple[str, ...]
    contact_count: int
    request_count: int
    in_flight_max: int
    failures_left: int


class RequestLog:
    """The last 10,000 requests, each from the moment it came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: OrderedDict[int, LoggedRequest] = OrderedDict()
        self._last_number = 0

    def begin(self, request: HttpRequest, *, path: str, at: datetime) -> int:
        with self._lock:
            self._last_number += 1
            self._requests[self._last_number] = LoggedRequest(
                number=self._last_number,
                at=at,
                method=request.method,
                path=path,
                query=dict(parse_qsl(request.query, keep_blank_values=True)),
                body=_readable(request.body),
                status=None,
                connection=request.connection,
            )
            if len(self._requests) > LOG_LENGTH_MAX:
                self._requests.popitem(last=False)
            return self._last_number

    def end(self, number: int, status: int) -> None:
        with self._lock:
            if number in self._requests:
                self._requests[number] = msgspec.structs.replace(self._requests[number], status=status)

    def all(self) -> list[LoggedRequest]:
        with self._lock:
            return list(self._requests.values())

    def clear(self) -> None:
        with self._lock:
            self._requests.clear()


def _readable(body: bytes) -> object:
    if not body:
        return None
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="replace")
    return decoded


class Slots:
    """The places for requests at once. Mailchimp counts them per user, however many keys and programs share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0
        self.taken_max = 0

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Hold a place, or yield False when all are taken."""
        with self._lock:
            is_granted = self._taken < REQUESTS_AT_ONCE_MAX
            self._taken += is_granted
            self.taken_max = max(self.taken_max, self._taken)
        try:
            yield is_granted
        finally:
            with self._lock:
                self._taken -= is_granted


class MailchimpService:
    """What answers. Safe to call from many threads; the state is behind one lock and saved before an answer leaves."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Load the state.

        Raises:
            StateFileBroken: The state file cannot be read.
        """
        self.settings = settings
        self.now = now
        self.failures = FailureQueue()
        self.log = RequestLog()
        self._slots = Slots()
        self._lock = threading.Lock()
        self._account = load_account(
            settings.state_file, list_ids=settings.list_ids, double_optin=settings.double_optin
        )

    def answer(self, request: HttpRequest, *, wait_s: Callable[[float | None], bool]) -> HttpAnswer:
        """Answer one request to the API.

        Args:
            wait_s: Waits that many seconds (None: without end) and returns whether the client is still there.
        """
        path = unquote(request.path).removeprefix(API_PREFIX) or "/"
        number = self.log.begin(request, path=path, at=self.now())
        with self._slots.taken() as is_granted:
            if is_granted:
                failure = self.failures.take(request.method, path)
                answer = self._answer_or_fail(request, failure, wait_s=wait_s)
            else:
                # Nothing but the status: no problem document, no Retry-After.
                answer = HttpAnswer(status=HTTPStatus.TOO_MANY_REQUESTS)
        self.log.end(number, answer.status)
        return answer

    def _answer_or_fail(
        self, request: HttpRequest, failure: Failure | None, *, wait_s: Callable[[float | None], bool]
    ) -> HttpAnswer:
        if failure is None:
            return self._answer(request)
        match failure.kind:
            case "problem":
                return _problem_answer(Problem(failure.status, failure.title, detail=failure.detail))
            case "empty" | "html" | "broken_json":
                content_type, body = failures.body_of(failure.kind)
                return HttpAnswer(status=failure.status, content_type=content_type, body=body)
            case "close":
                return DROPPED
            case "never":
                wait_s(None)
                return DROPPED
            case "drop_answer":
                self._answer(request)
                return DROPPED
            case "slow":
                # The work is done although the client may have given up: so it is with the real service's time-outs.
                is_there = wait_s(failure.seconds)
                answer = self._answer(request)
                return answer if is_there else DROPPED

    def _answer(self, request: HttpRequest) -> HttpAnswer:
        try:
            self._check_key(request.authorization)
            call = Call(
                method=request.method,
                path=request.path.removeprefix(API_PREFIX),
                query=dict(parse_qsl(request.query, keep_blank_values=True)),
                body=_decoded_body(request),
                now=self.now(),
            )
            prepare_call(call)
            with self._state(is_changed=request.method != "GET") as account:
                document = answer_call(account, call).document
        except Problem as problem:
            return _problem_answer(problem)
        if document is None:
            return HttpAnswer(status=HTTPStatus.NO_CONTENT)
        return json_answer(projected(document, call.query))

    def _check_key(self, authorization: str) -> None:
        scheme, _, credentials = authorization.partition(" ")
        try:
            _, _, key = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise api_key_invalid() from error
        if scheme.lower() != "basic" or not hmac.compare_digest(key.encode(), self.settings.api_key.encode()):
            raise api_key_invalid()

    @contextmanager
    def _state(self, *, is_changed: bool) -> Iterator[Account]:
        with self._lock:
            yield self._account
            if is_changed and self.settings.state_file is not None:
                save_account(self.settings.state_file, self._account)

    # What the control area asks for.

    @contextmanager
    def audience(self, list_id: str, *, is_changed: bool = False) -> Iterator[Audience]:
        """Hold an audience; an empty id means the first.

        Raises:
            KeyError: There is no such audience.
        """
        with self._state(is_changed=is_changed) as account:
            yield account.audiences[list_id or self.settings.list_ids[0]]

    def act(self, action: people.PersonAction) -> list[webhooks.Delivery]:
        """Do what a person does, post it to every hook that hears it, and return what became of each posting."""
        with self.audience(action.list_id, is_changed=True) as audience:
            notices = people.act(audience, action, self.now())
            postings = [(hook, notice) for notice in notices for hook in webhooks.hooks_for(audience, notice.type)]
        return [webhooks.deliver(hook, notice) for hook, notice in postings]

    def reset(self) -> None:
        """Forget everything, as if just started for the first time."""
        self.failures.clear()
        self.log.clear()
        with self._state(is_changed=True) as account:
            for list_id, audience in account.audiences.items():
                account.audiences[list_id] = new_audience(list_id, double_optin=audience.double_optin)
        self._slots.taken_max = 0

    def summary(self) -> Summary:
        with self._state(is_changed=False) as account:
            audiences = list(account.audiences.values())
            return Summary(
                list_ids=tuple(audience.list_id for audience in audiences),
                contact_count=sum(len(audience.contacts) for audience in audiences),
                request_count=len(self.log.all()),
                in_flight_max=self._slots.taken_max,
                failures_left=self.failures.left_count(),
            )


def json_answer(value: object, *, status: int = HTTPStatus.OK) -> HttpAnswer:
    return HttpAnswer(status=status, content_type=JSON_TYPE, body=msgspec.json.encode(value))


def _problem_answer(problem: Problem) -> HttpAnswer:
    body = msgspec.json.encode(problem.document())
    return HttpAnswer(status=problem.status, content_type=PROBLEM_JSON_TYPE, body=body)


def _decoded_body(request: HttpRequest) -> object | UnsetType:
    if request.method in ("GET", "DELETE") or not request.body:
        return UNSET
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        raise unsupported_media_type()
    try:
        decoded: object = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed_json() from error
    return decoded
