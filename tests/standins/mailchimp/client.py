"""What a test holds: a handle on a stand-in, whether it runs in this process or as a program of its own."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec

from tests.standins.mailchimp.control import CONTROL_PREFIX, ContactView, RefusedAddress
from tests.standins.mailchimp.failures import Failure, FailureKind
from tests.standins.mailchimp.http_server import MailchimpHttpServer
from tests.standins.mailchimp.people import ActionName, PersonAction
from tests.standins.mailchimp.service import (
    API_PREFIX,
    LoggedRequest,
    MailchimpService,
    Settings,
    Summary,
)
from tests.standins.mailchimp.state import MergeField, MergeValue, Refusal
from tests.standins.mailchimp.webhooks import Delivery

POLL_S = 0.02
WAIT_TIMEOUT_S = 60.0

View = TypeVar("View")


class NotInTime(AssertionError):
    """What a test waited for did not come."""


class StandInRefused(AssertionError):
    """The control area could not do what a test asked of it."""


class MailchimpControl:
    """Looks into a running stand-in and steers it, through its control area. Every call blocks for a moment.

    In a coroutine call the waiting methods, and `act`, through `asyncio.to_thread`: they would stop the loop that is to
    serve the webhook, or to run the job, that they wait for.
    """

    def __init__(self, url: str, *, list_id: str = "", api_key: str = "") -> None:
        self.url = url
        self.list_id = list_id
        self.api_key = api_key
        self._http = httpx.Client(base_url=url + CONTROL_PREFIX, timeout=30, trust_env=False)

    @property
    def api_url(self) -> str:
        """Return what the SDK's `client.api_client.host` is set to."""
        return self.url + API_PREFIX

    def contacts(self, *, list_id: str = "") -> list[ContactView]:
        """Return all contacts, archived ones too, in the order in which they were made."""
        return self._look("/contacts", list[ContactView], list_id)

    def find_contact(self, email_address: str, *, list_id: str = "") -> ContactView | None:
        wanted = email_address.lower()
        return next((one for one in self.contacts(list_id=list_id) if one.email_address.lower() == wanted), None)

    def contact(self, email_address: str, *, list_id: str = "") -> ContactView:
        contact = self.find_contact(email_address, list_id=list_id)
        assert contact is not None, f"{email_address} is not among {self.contacts(list_id=list_id)}"
        return contact

    def merge_fields(self, *, list_id: str = "") -> dict[str, MergeField]:
        """Return the audience's fields by tag."""
        return {field.tag: field for field in self._look("/merge-fields", list[MergeField], list_id)}

    def requests(self, *, method: str = "", path_part: str = "") -> list[LoggedRequest]:
        """Return the logged requests, oldest first, of one method and with this part in their path."""
        found = self._look("/requests", list[LoggedRequest])
        return [one for one in found if method in ("", one.method) and path_part in one.path]

    def summary(self) -> Summary:
        return self._look("/summary", Summary)

    def clear_requests(self) -> None:
        self._steer("DELETE", "/requests")

    def fail_next(
        self,
        kind: FailureKind,
        *,
        count: int = 1,
        method: str = "",
        path: str = "",
        status: int = 500,
        title: str = "Internal Server Error",
        seconds: float = 0.0,
    ) -> None:
        """Make the next `count` requests fail whose method is `method` and whose path matches the expression `path`."""
        self._steer(
            "POST",
            "/failures",
            Failure(kind=kind, count=count, method=method, path=path, status=status, title=title, seconds=seconds),
        )

    def clear_failures(self) -> None:
        self._steer("DELETE", "/failures")

    def refuse_address(self, email_address: str, refusal: Refusal | None, *, list_id: str = "") -> None:
        """Refuse an address from now on, as fake or as signed up too often; None takes it again."""
        refused = RefusedAddress(email_address=email_address, refusal=refusal, list_id=list_id)
        self._steer("POST", "/refusals", refused)

    def act(
        self,
        action: ActionName,
        email_address: str,
        *,
        new_email_address: str = "",
        merge_fields: Mapping[str, MergeValue] | None = None,
        list_id: str = "",
    ) -> list[Delivery]:
        """Do what a person does at Mailchimp; return what became of each webhook it fired."""
        person_action = PersonAction(
            action=action,
            email_address=email_address,
            new_email_address=new_email_address,
            merge_fields=dict(merge_fields or {}),
            list_id=list_id,
        )
        answer = self._steer("POST", "/people", person_action)
        return msgspec.json.decode(answer.content, type=list[Delivery])

    def reset(self) -> None:
        self._steer("POST", "/reset", {})

    def wait_until(self, look: Callable[[], View | None], *, timeout_s: float = WAIT_TIMEOUT_S) -> View:
        """Look until there is something to see, and return it.

        Raises:
            NotInTime: `look` returned nothing true for `timeout_s` seconds.
        """
        ends_at = time.monotonic() + timeout_s
        while True:
            if seen := look():
                return seen
            if time.monotonic() > ends_at:
                last = [(one.method, one.path, one.status) for one in self.requests()[-10:]]
                raise NotInTime(f"Nothing within {timeout_s} s. Contacts: {self.contacts()}. Last requests: {last}")
            time.sleep(POLL_S)

    def wait_for_contact(
        self,
        email_address: str,
        is_right: Callable[[ContactView], bool] = lambda contact: True,
        *,
        timeout_s: float = WAIT_TIMEOUT_S,
    ) -> ContactView:
        """Wait until the contact is there and is as it should be, and return it."""

        def look() -> ContactView | None:
            contact = self.find_contact(email_address)
            return contact if contact is not None and is_right(contact) else None

        return self.wait_until(look, timeout_s=timeout_s)

    def wait_for_requests(
        self, count: int, *, method: str = "", path_part: str = "", timeout_s: float = WAIT_TIMEOUT_S
    ) -> list[LoggedRequest]:
        """Wait until that many such requests have come, answered or not, and return them."""

        def look() -> list[LoggedRequest] | None:
            found = self.requests(method=method, path_part=path_part)
            return found if len(found) >= count else None

        return self.wait_until(look, timeout_s=timeout_s)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look(self, path: str, kind: type[View], list_id: str = "") -> View:
        answer = self._http.get(path, params={"list_id": list_id}, headers={"Accept": "application/json"})
        return msgspec.json.decode(_checked(answer).content, type=kind)

    def _steer(self, method: str, path: str, body: object = None) -> httpx.Response:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        return _checked(self._http.request(method, path, content=content, headers=headers))


def _checked(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise StandInRefused(f"{answer.status_code}: {answer.text}")
    return answer


class MailchimpStandIn(MailchimpControl):
    """A stand-in that serves from this process while its `with` block lasts.

    `stop` and `start` in between are an outage: same address, and the same state if there is a state file.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        port: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Listen at once on the port, or on a free one.

        Raises:
            OSError: The port is taken.
            StateFileBroken: The state file cannot be read.
        """
        self.settings = settings or Settings()
        self._now = now
        self._server = MailchimpHttpServer(MailchimpService(self.settings, now=now), port=port)
        self._is_serving = False
        super().__init__(self._server.url, list_id=self.settings.list_ids[0], api_key=self.settings.api_key)

    @property
    def state_file(self) -> Path | None:
        return self.settings.state_file

    def start(self) -> None:
        if self._server.socket.fileno() == -1:
            port = self._server.server_address[1]
            self._server = MailchimpHttpServer(MailchimpService(self.settings, now=self._now), port=port)
        self._server.start()
        self._is_serving = True

    def stop(self) -> None:
        if self._is_serving:
            self._server.stop()
        else:
            self._server.server_close()
        self._is_serving = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def close(self) -> None:
        self.stop()
        super().close()
