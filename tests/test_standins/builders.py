"""The SDK pointed at a stand-in, a clock to move, and short ways to make contacts."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mailchimp_marketing import Client

from tests.standins.mailchimp import MailchimpControl

LIST_ID = "a1b2c3d4e5"
Document = dict[str, object]
Refused = Callable[..., Document]


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.instant

    def advance(self, *, seconds: int) -> None:
        self.instant += timedelta(seconds=seconds)


def sdk_client(standin: MailchimpControl, *, api_key: str = "") -> Client:
    client = Client()
    client.set_config({"api_key": api_key or standin.api_key, "timeout": 20})
    client.api_client.host = standin.api_url
    return client


def md5(address: str) -> str:
    return hashlib.md5(address.lower().encode()).hexdigest()


def put(client: Client, address: str, *, at: str = "", skip: bool = False, **body: object) -> Document:
    """Upsert a contact, `transactional` if new, under its own hash or the one of the address `at`."""
    document = {"email_address": address, "status_if_new": "transactional", **body}
    options = {"skip_merge_validation": True} if skip else {}
    answer: Document = client.lists.set_list_member(LIST_ID, md5(at or address), document, **options)
    return answer


def patch(client: Client, address: str, **body: object) -> Document:
    answer: Document = client.lists.update_list_member(LIST_ID, md5(address), body)
    return answer


def bulk(client: Client, *members: Document, **options: object) -> Document:
    body = {"members": list(members), "update_existing": options.pop("update_existing", True)}
    if "sync_tags" in options:
        body["sync_tags"] = options.pop("sync_tags")
    answer: Document = client.lists.batch_list_members(LIST_ID, body, **options)
    return answer
