import hashlib
import hmac
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from mailchimp_marketing import Client

from tests.standins.mailchimp import MailchimpStandIn
from tests.test_standins.builders import LIST_ID, Refused, md5, put

ANA = "ana@shop.test"
ALL = {"subscribe": True, "unsubscribe": True, "profile": True, "cleaned": True, "upemail": True, "campaign": False}


class Receiver(ThreadingHTTPServer):
    """A service that hears webhooks, keeps what came, and answers as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.get_status = 200
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hooks/mailchimp/secret"

    def form(self, index: int = -1) -> dict[str, str]:
        parsed = parse_qs(self.posts[index][1].decode(), keep_blank_values=True, strict_parsing=True)
        return {name: values[0] for name, values in parsed.items()}


class ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_GET(self) -> None:
        self.send_response(self.server.get_status)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((dict(self.headers), body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it)
        """Write nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def register(client: Client, receiver: Receiver, **more: object) -> dict[str, object]:
    body = {"url": receiver.url, "events": ALL, "sources": {"user": True, "admin": True, "api": False}, **more}
    answer: dict[str, object] = client.lists.create_list_webhook(LIST_ID, body)
    return answer


def test_a_hook_is_registered_and_shows_its_secret_once(client: Client, receiver: Receiver) -> None:
    made = register(client, receiver)
    assert made["signing_secret"]
    listed = client.lists.get_list_webhooks(LIST_ID)
    assert listed["total_items"] == 1
    assert "signing_secret" not in listed["webhooks"][0]
    assert listed["webhooks"][0]["events"] == ALL


@pytest.mark.parametrize("status", [404, 302, 500])
def test_a_url_that_does_not_answer_get_with_200_is_refused(
    client: Client, receiver: Receiver, refused: Refused, status: int
) -> None:
    receiver.get_status = status
    assert refused(register, client, receiver)["errors"][0]["field"] == "url"  # type: ignore[index]


@pytest.mark.parametrize("url", ["", "not a url", "ftp://shop.test/", "http://127.0.0.1:1/"])
def test_a_url_that_cannot_be_reached_is_refused(client: Client, refused: Refused, url: str) -> None:
    assert refused(client.lists.create_list_webhook, LIST_ID, {"url": url})["status"] == 400


def test_a_second_hook_that_differs_in_the_query_only_is_refused(
    client: Client, receiver: Receiver, refused: Refused
) -> None:
    register(client, receiver)
    assert refused(register, client, receiver, url=receiver.url + "?again=1")["status"] == 400


def test_a_hook_is_changed_and_removed(client: Client, receiver: Receiver, refused: Refused) -> None:
    hook_id = register(client, receiver)["id"]
    changed = client.lists.update_list_webhook(LIST_ID, hook_id, {"events": {"profile": False}})
    assert changed["events"] == ALL | {"profile": False}
    client.lists.delete_list_webhook(LIST_ID, hook_id)
    assert refused(client.lists.get_list_webhook, LIST_ID, hook_id)["status"] == 404


def test_an_opt_out_is_posted_as_a_signed_form(client: Client, mailchimp: MailchimpStandIn, receiver: Receiver) -> None:
    secret = str(register(client, receiver)["signing_secret"])
    put(client, ANA, status="subscribed", merge_fields={"FNAME": "Ana & Co"})
    delivered = mailchimp.act("unsubscribe", ANA)
    assert [(one.type, one.status) for one in delivered] == [("unsubscribe", 200)]
    form = receiver.form()
    assert (form["type"], form["fired_at"]) == ("unsubscribe", "2026-11-20 09:00:00")
    assert (form["data[action]"], form["data[reason]"], form["data[email]"]) == ("unsub", "manual", ANA)
    assert (form["data[list_id]"], form["data[merges][FNAME]"]) == (LIST_ID, "Ana & Co")
    assert form["data[id]"] != md5(ANA)
    headers, body = receiver.posts[0]
    signed_at, _, digest = headers["X-Mailchimp-Signature"].removeprefix("t=").partition(",v1=")
    assert digest == hmac.new(secret.encode(), f"{signed_at}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_hook_from_before_signing_has_no_signature(
    client: Client, mailchimp: MailchimpStandIn, receiver: Receiver
) -> None:
    assert "signing_secret" not in register(client, receiver, signing_enabled=False)
    put(client, ANA, status="subscribed")
    mailchimp.act("bounce", ANA)
    assert "X-Mailchimp-Signature" not in receiver.posts[0][0]
    assert (receiver.form()["type"], receiver.form()["data[reason]"]) == ("cleaned", "hard")


def test_a_change_of_address_is_posted_with_a_profile(
    client: Client, mailchimp: MailchimpStandIn, receiver: Receiver
) -> None:
    register(client, receiver)
    put(client, ANA, status="subscribed")
    mailchimp.act("change_email", ANA, new_email_address="ana.new@shop.test")
    assert [receiver.form(index)["type"] for index in range(2)] == ["upemail", "profile"]
    form = receiver.form(0)
    assert (form["data[old_email]"], form["data[new_email]"]) == (ANA, "ana.new@shop.test")
    assert [one.email_address for one in mailchimp.contacts()] == ["ana.new@shop.test"]


def test_the_other_actions_of_people(client: Client, mailchimp: MailchimpStandIn, receiver: Receiver) -> None:
    register(client, receiver)
    mailchimp.act("subscribe", ANA, merge_fields={"FNAME": "Ana"})
    mailchimp.act("change_profile", ANA, merge_fields={"FNAME": "Anna"})
    mailchimp.act("archive", ANA)
    assert [receiver.form(index)["type"] for index in range(3)] == ["subscribe", "profile", "unsubscribe"]
    assert receiver.form()["data[action]"] == "delete"
    contact = mailchimp.contact(ANA)
    assert (contact.status, contact.status_before, contact.merge_fields["FNAME"]) == ("archived", "subscribed", "Anna")


def test_the_api_s_own_writes_and_unwanted_events_are_not_posted(
    client: Client, mailchimp: MailchimpStandIn, receiver: Receiver
) -> None:
    register(client, receiver, events={"subscribe": True})
    put(client, ANA, status="subscribed")
    assert mailchimp.act("unsubscribe", ANA) == []
    assert receiver.posts == []


def test_a_receiver_that_is_down_shows_in_the_outcome(
    client: Client, mailchimp: MailchimpStandIn, receiver: Receiver
) -> None:
    register(client, receiver)
    put(client, ANA, status="subscribed")
    receiver.socket.close()
    receiver.shutdown()
    assert [one.status for one in mailchimp.act("unsubscribe", ANA)] == [None]
    assert mailchimp.contact(ANA).status == "unsubscribed"
