"""The control area, `/_control/...`: what tests, the demo and curious people look at and steer.

It needs no key. Its answers are JSON, but for the contacts, which a browser gets as a page. Changes must be sent as
JSON, so that no web page in somebody's browser can post a form here.
"""

import re
from http import HTTPStatus
from urllib.parse import parse_qs

import msgspec

from tests.standins.mailchimp.failures import Failure
from tests.standins.mailchimp.page import contacts_page
from tests.standins.mailchimp.people import NoSuchPerson, PersonAction
from tests.standins.mailchimp.problems import Problem
from tests.standins.mailchimp.service import HttpAnswer, HttpRequest, MailchimpService, json_answer
from tests.standins.mailchimp.state import (
    Contact,
    Event,
    MergeValue,
    Refusal,
    ShownStatus,
    subscriber_hash,
)

CONTROL_PREFIX = "/_control"


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """A contact as a test sees it. `status` is what answers show, so `archived` hides `status_before`."""

    email_address: str
    status: ShownStatus
    status_before: ShownStatus
    opted_out_by_person: bool
    contact_id: str
    subscriber_hash: str
    merge_fields: dict[str, MergeValue]
    tags: tuple[str, ...]
    events: tuple[Event, ...]
    confirmations_sent: int
    last_changed: str
    ip_signup: str
    timestamp_signup: str


class RefusedAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address to refuse from now on, and as what; None takes it again."""

    email_address: str
    refusal: Refusal | None
    list_id: str = ""


def contact_view(contact: Contact) -> ContactView:
    return ContactView(
        email_address=contact.email_address,
        status=contact.shown_status,
        status_before=contact.status,
        opted_out_by_person=contact.opted_out_by_person,
        contact_id=contact.contact_id,
        subscriber_hash=contact.subscriber_hash,
        merge_fields=contact.merge_fields,
        tags=tuple(contact.tags),
        events=contact.events,
        confirmations_sent=contact.confirmations_sent,
        last_changed=contact.last_changed,
        ip_signup=contact.ip_signup,
        timestamp_signup=contact.timestamp_signup,
    )


def answer_control(service: MailchimpService, request: HttpRequest) -> HttpAnswer:
    """Answer a request to the control area; what it cannot read is a 400 that says why."""
    if request.method == "POST" and not request.content_type.startswith("application/json"):
        return json_answer({"error": "Send application/json."}, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    list_id = parse_qs(request.query).get("list_id", [""])[0]
    try:
        if request.method == "GET":
            return _look(service, request, list_id)
        return _steer(service, request)
    except KeyError:
        return json_answer({"error": "There is no such audience."}, status=HTTPStatus.NOT_FOUND)
    except (NoSuchPerson, Problem, ValueError) as error:
        # msgspec's errors are ValueErrors too.
        return json_answer({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)


def _look(service: MailchimpService, request: HttpRequest, list_id: str) -> HttpAnswer:
    match request.path.removeprefix(CONTROL_PREFIX):
        case "/contacts" if re.search(r"\btext/html\b", request.accept):
            with service.audience(list_id) as audience:
                return contacts_page(audience)
        case "/contacts":
            with service.audience(list_id) as audience:
                return json_answer([contact_view(contact) for contact in audience.contacts.values()])
        case "/merge-fields":
            with service.audience(list_id) as audience:
                return json_answer(list(audience.merge_fields.values()))
        case "/requests":
            return json_answer(service.log.all())
        case "/summary":
            return json_answer(service.summary())
        case _:
            return json_answer({"error": "There is nothing here."}, status=HTTPStatus.NOT_FOUND)


def _steer(service: MailchimpService, request: HttpRequest) -> HttpAnswer:
    match request.method, request.path.removeprefix(CONTROL_PREFIX):
        case "POST", "/people":
            return json_answer(service.act(msgspec.json.decode(request.body, type=PersonAction)))
        case "POST", "/failures":
            service.failures.add(msgspec.json.decode(request.body, type=Failure))
        case "DELETE", "/failures":
            service.failures.clear()
        case "POST", "/refusals":
            _refuse(service, msgspec.json.decode(request.body, type=RefusedAddress))
        case "DELETE", "/requests":
            service.log.clear()
        case "POST", "/reset":
            service.reset()
        case _:
            return json_answer({"error": "There is nothing here."}, status=HTTPStatus.NOT_FOUND)
    return HttpAnswer(status=HTTPStatus.NO_CONTENT)


def _refuse(service: MailchimpService, refused: RefusedAddress) -> None:
    key = subscriber_hash(refused.email_address)
    with service.audience(refused.list_id, is_changed=True) as audience:
        if refused.refusal is None:
            audience.refusals.pop(key, None)
        else:
            audience.refusals[key] = refused.refusal
