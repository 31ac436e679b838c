"""The one module that talks to Mailchimp: the official SDK, over a transport of our own.

The stock transport opens a connection per call, follows redirects, obeys the environment's proxies and netrc, and hands
an error without a body back as if it were a success. Ours keeps a few connections, raises for everything that is not 2xx,
and says with each refusal what is known of it. The SDK blocks, so each call runs in a thread of its own.
"""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar, cast

import msgspec
import requests
from mailchimp_marketing import Client
from mailchimp_marketing.api_client import ApiClientError
from requests.adapters import HTTPAdapter

from server.audience.rules import FIELDS, Desired, Field, MergeValues, Refusal, Remote, Status, subscriber_hash
from server.logs import get_logger
from server.settings import Settings

log = get_logger()

CONNECTIONS_MAX: Final = 4
"""Mailchimp allows ten per user, shared with every other tool of the shop."""
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 60.0
_PAGE_MAX: Final = 1000
_KEY: Final = re.compile(r"[0-9a-f]{32}-[a-z]{2,3}[0-9]{1,4}")
_DATA_CENTRE: Final = re.compile(r"[a-z]{2,3}[0-9]{1,4}")
_LIST_ID: Final = re.compile(r"[0-9A-Za-z]{1,32}")
# As text: the documented form is lower-case, and the SDK would write True.
_SKIP_VALIDATION: Final = "true"

T = TypeVar("T")
Document = dict[str, object]


class HttpRefused(Exception):
    """What our transport raises inside the SDK for an answer that is not 2xx."""

    def __init__(self, *, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body


class MailchimpRefused(Exception):
    """A call did not succeed. The text of this error names no person."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"Mailchimp: {refusal.status or 'no answer'} {refusal.title}".rstrip())
        self.refusal = refusal


class MailchimpMisconfigured(Exception):
    """The key, the audience or its merge fields are not as they must be; the text says what to do."""


class AudienceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What we need to know of the audience itself."""

    name: str
    double_optin: bool


class _FieldFound(msgspec.Struct, frozen=True, kw_only=True):
    tag: str
    type: str
    required: bool = False
    public: bool = False


class Mailchimp:
    """One audience.

    Args:
        settings: Key, data centre, audience id, and the address of a stand-in if there is one.
        connect_seconds: Longest wait for a connection.
        read_seconds: Longest silence while an answer is awaited; Mailchimp itself gives up after 120 s.

    Raises:
        MailchimpMisconfigured: The settings cannot name an audience.
    """

    def __init__(
        self, settings: Settings, *, connect_seconds: float = CONNECT_SECONDS, read_seconds: float = READ_SECONDS
    ) -> None:
        self._list_id = settings.mailchimp_list_id or ""
        if not _LIST_ID.fullmatch(self._list_id):
            raise MailchimpMisconfigured("mailchimp_list_id is not an audience id: letters and digits only.")
        self._timeouts = (connect_seconds, read_seconds)
        self._deadline_seconds = connect_seconds + 2 * read_seconds
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        self._session = _new_session(settings.mailchimp_api_key or "")
        self._client = Client()
        self._client.api_client.host = api_host(settings)
        # The SDK puts this in place of the word "server" anywhere in an address; the host above is already whole.
        self._client.api_client.server = ""
        self._client.api_client.default_headers = {"Content-Type": "application/json", "User-Agent": "Regulars"}
        self._client.api_client.request = self._request

    def close(self) -> None:
        """Close idle connections. A call under way ends by its own time-out, in a thread that keeps nobody waiting."""
        self._session.close()

    async def read_audience(self) -> AudienceInfo:
        """Return the audience.

        Raises:
            MailchimpMisconfigured: There is no such audience for this key.
            MailchimpRefused: Anything else.
        """
        get_list = self._client.lists.get_list
        with _audience_needed():
            found = await self._ask("read_audience", get_list, fields=["name", "double_optin"])
        return AudienceInfo(name=str(found.get("name", "")), double_optin=found.get("double_optin") is True)

    async def ensure_fields(self) -> None:
        """Create the merge fields that are missing, and check the others. Nothing that exists is changed.

        Raises:
            MailchimpMisconfigured: A field is of the wrong type, open to the public, or cannot be created.
            MailchimpRefused: Anything else.
        """
        found = await self._list_fields()
        for field in FIELDS:
            if field.tag not in found:
                await self._create_field(field)
        found = await self._list_fields() if any(field.tag not in found for field in FIELDS) else found
        problems = [problem for field in FIELDS for problem in _field_problems(field, found.get(field.tag))]
        if problems:
            raise MailchimpMisconfigured(" ".join(problems))
        for foreign in found.values():
            if foreign.required and foreign.tag not in {field.tag for field in FIELDS}:
                log.warning("audience_field_required", tag=foreign.tag)

    async def push_many(self, contacts: Sequence[Desired]) -> dict[str, Remote]:
        """Write up to 500 contacts in one call; return those that Mailchimp confirms, by subscriber hash.

        An address that is refused, or that the answer passes over in silence, is not in the result: pushing it singly
        tells why.
        """
        body = {"members": [_member(contact) for contact in contacts], "update_existing": True}
        write = self._client.lists.batch_list_members
        with _audience_needed():
            answer = await self._ask("push_many", write, body, skip_merge_validation=_SKIP_VALIDATION)
        members = [*_documents(answer, "new_members"), *_documents(answer, "updated_members")]
        written = [_remote(member) for member in members]
        return {subscriber_hash(remote.email): remote for remote in written}

    async def put_contact(self, contact: Desired) -> Remote:
        """Write one contact: its values if it is there, a new one if not. An existing status stays."""
        key = subscriber_hash(contact.email)
        put = self._client.lists.set_list_member
        with _audience_needed():
            answer = await self._ask("put_contact", put, key, _member(contact), skip_merge_validation=_SKIP_VALIDATION)
        return _remote(answer)

    async def change_contact(
        self, email: str, *, values: MergeValues | None = None, status: Status | None = None
    ) -> Remote:
        """Change an existing contact's values, or record in its status what the person decided."""
        body: Document = {}
        if values is not None:
            body["merge_fields"] = dict(values)
        if status is not None:
            body["status"] = status
        return await self._patch("change_contact", email, body)

    async def rename_contact(self, old_email: str, new_email: str) -> Remote:
        """Give a contact another address; its history stays."""
        return await self._patch("rename_contact", old_email, {"email_address": new_email})

    async def read_contact(self, email: str) -> Remote | None:
        """Return the contact, or None if Mailchimp knows no such address."""
        try:
            answer = await self._ask("read_contact", self._client.lists.get_list_member, subscriber_hash(email))
        except MailchimpRefused as error:
            if error.refusal.status == 404:
                return None
            raise
        return _remote(answer)

    async def archive_contact(self, email: str) -> None:
        """Take a contact out of the audience, keeping its history; nothing happens if it cannot be or is gone."""
        try:
            await self._call("archive_contact", self._client.lists.delete_list_member, subscriber_hash(email))
        except MailchimpRefused as error:
            if error.refusal.status not in (404, 405):
                raise

    async def erase_contact(self, email: str) -> None:
        """Delete a contact and all its history for good; the address can come back by the person alone.

        Nothing happens if Mailchimp knows no such address, as after a deletion whose answer was lost.
        """
        try:
            await self._call("erase_contact", self._client.lists.delete_list_member_permanent, subscriber_hash(email))
        except MailchimpRefused as error:
            if error.refusal.status != 404:
                raise

    async def set_tags(self, email: str, tags: Mapping[str, bool]) -> None:
        """Set (true) or remove (false) tags, without starting anybody's automations."""
        states = [{"name": name, "status": "active" if is_on else "inactive"} for name, is_on in tags.items()]
        body = {"tags": states, "is_syncing": True}
        await self._call("set_tags", self._client.lists.update_list_member_tags, subscriber_hash(email), body)

    async def _patch(self, name: str, email: str, body: Document) -> Remote:
        patch = self._client.lists.update_list_member
        answer = await self._ask(name, patch, subscriber_hash(email), body, skip_merge_validation=_SKIP_VALIDATION)
        return _remote(answer)

    async def _list_fields(self) -> dict[str, _FieldFound]:
        # The default page of ten would hide fields and have them created twice.
        with _audience_needed():
            answer = await self._ask("ensure_fields", self._client.lists.get_list_merge_fields, count=_PAGE_MAX)
        try:
            found = [msgspec.convert(document, _FieldFound) for document in _documents(answer, "merge_fields")]
        except msgspec.ValidationError as error:
            raise MailchimpRefused(Refusal(status=200, title="The merge fields cannot be read")) from error
        return {field.tag: field for field in found}

    async def _create_field(self, field: Field) -> None:
        body: Document = {"tag": field.tag, "name": field.name, "type": field.type, "required": False, "public": False}
        if field.type == "date":
            body["options"] = {"date_format": "DD/MM/YYYY"}
        try:
            await self._ask("ensure_fields", self._client.lists.add_list_merge_field, body)
        except MailchimpRefused as error:
            # Another worker may have just made it, or the plan's limit is reached; reading again tells.
            if error.refusal.status != 400:
                raise

    async def _ask(self, name: str, function: Callable[..., object], *arguments: object, **named: object) -> Document:
        """Call and insist on a JSON object, as a proxy's page also comes as a success."""
        answer = await self._call(name, function, *arguments, **named)
        if not isinstance(answer, dict):
            raise MailchimpRefused(Refusal(status=200, title="The answer is no JSON object"))
        return answer

    async def _call(self, name: str, function: Callable[..., object], *arguments: object, **named: object) -> object:
        """Run one call of the SDK in a thread.

        Args:
            name: Our word for it, for the log and for tests that fail a chosen step.

        Raises:
            MailchimpRefused: No answer, or one that is not a success.
        """
        try:
            async with self._slots, asyncio.timeout(self._deadline_seconds):
                return await _in_thread(lambda: function(self._list_id, *arguments, **named))
        except ApiClientError as error:
            refusal = _refusal_of(error.text)
            if refusal.status != 404:  # The plain answer to whether somebody is there.
                log.info("mailchimp_refused", call=name, status=refusal.status, title=refusal.title)
            raise MailchimpRefused(refusal) from error
        except TimeoutError as error:
            raise MailchimpRefused(Refusal(status=None, is_timeout=True)) from error

    def _request(
        self,
        method: str,
        url: str,
        query_params: Sequence[tuple[str, object]] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> requests.Response:
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        response = self._session.request(
            method,
            url,
            params=cast("list[tuple[str, str]]", query_params),
            headers=headers,
            data=data,
            timeout=self._timeouts,
            allow_redirects=False,
        )
        if not 200 <= response.status_code < 300:
            raise HttpRefused(status=response.status_code, headers=response.headers, body=response.content)
        return response


@contextmanager
def _audience_needed() -> Iterator[None]:
    """Take a 404 for what it means in a call that creates what is missing: the audience itself is not there."""
    try:
        yield
    except MailchimpRefused as error:
        if error.refusal.status == 404:
            raise MailchimpMisconfigured("Mailchimp knows no audience with this id: mailchimp_list_id.") from error
        raise


def api_host(settings: Settings) -> str:
    """Return where the API is: the data centre's host at Mailchimp, or a stand-in on loopback.

    Raises:
        MailchimpMisconfigured: The key or the data centre is not of the known form, so that it could name another host.
    """
    if settings.mailchimp_base_url:
        return settings.mailchimp_base_url.rstrip("/").removesuffix("/3.0") + "/3.0"
    if not _KEY.fullmatch(settings.mailchimp_api_key or ""):
        raise MailchimpMisconfigured("mailchimp_api_key is not of Mailchimp's form: 32 hex digits, a dash, us21 or so.")
    if not _DATA_CENTRE.fullmatch(settings.mailchimp_server or ""):
        raise MailchimpMisconfigured("mailchimp_server is not a data centre such as us21.")
    return f"https://{settings.mailchimp_server}.api.mailchimp.com/3.0"


def _new_session(api_key: str) -> requests.Session:
    session = requests.Session()
    # Proxies and a netrc of the machine must neither see nor replace the key.
    session.trust_env = False
    session.auth = ("user", api_key)
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS_MAX, pool_block=True, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


async def _in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a daemon thread.

    A pool's threads are waited for when the process ends, so a call that hangs would hold up a stop for a minute.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: list[T], error: Exception) -> None:
        if not future.done():
            if result:
                future.set_result(result[0])
            else:
                future.set_exception(error)

    def run() -> None:
        result: list[T] = []
        # Stands if the work raises what it never should; the thread's own traceback then goes to the log.
        error: Exception = RuntimeError("A call to Mailchimp broke off; the log has the traceback of its thread.")
        try:
            result.append(work())
        except ApiClientError as refused:
            error = refused
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, name="mailchimp", daemon=True).start()
    return await future


def _refusal_of(cause: object) -> Refusal:
    """Return what is known of a failure, from what the SDK's error carries in its `text`."""
    match cause:
        case HttpRefused():
            return _refusal_of_answer(cause)
        case requests.RequestException():
            return Refusal(status=None, is_timeout=isinstance(cause, requests.Timeout))
        case _:
            # What cannot be encoded is our mistake and will not get better by trying again.
            return Refusal(status=400, title="Our request could not be encoded", has_document=True)


def _refusal_of_answer(answer: HttpRefused) -> Refusal:
    try:
        document = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = None
    if not isinstance(document, dict) or "title" not in document:
        return Refusal(status=answer.status)
    errors = document.get("errors")
    fields = tuple(
        (str(error.get("field", "")), str(error.get("message", "")))
        for error in (errors if isinstance(errors, list) else [])
        if isinstance(error, dict)
    )
    return Refusal(
        status=answer.status,
        title=str(document["title"]),
        detail=str(document.get("detail", "")),
        fields=fields,
        has_document=True,
    )


def _field_problems(field: Field, found: _FieldFound | None) -> list[str]:
    if found is None:
        return [f"The merge field {field.tag} is missing and could not be created; the plan's limit may be reached."]
    problems = []
    if found.type != field.type:
        problems.append(f"The merge field {field.tag} is of type {found.type} and must be {field.type}.")
    if field.is_ours and found.public:
        problems.append(f"The merge field {field.tag} is visible to contacts, who could edit it; hide it.")
    if field.is_ours and found.required:
        problems.append(f"The merge field {field.tag} is required; make it optional.")
    return problems


def _member(contact: Desired) -> Document:
    return {
        "email_address": contact.email,
        "status_if_new": contact.status_if_new,
        "merge_fields": dict(contact.values),
    }


def _documents(answer: Document, name: str) -> list[Document]:
    found = answer.get(name)
    return [document for document in found if isinstance(document, dict)] if isinstance(found, list) else []


def _remote(document: Document) -> Remote:
    values = document.get("merge_fields")
    return Remote(
        contact_id=str(document.get("contact_id", "")),
        email=str(document.get("email_address", "")),
        status=str(document.get("status", "")),
        values=dict(values) if isinstance(values, dict) else {},
    )
