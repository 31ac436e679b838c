"""`POST /lists/{list_id}`: up to 500 contacts in one call, each settled by itself.

What breaks the schema refuses the whole call; what is wrong with one address is an entry in `errors`. Two things are as
uncomfortable as reported of the real service: subscribing an address that the API unsubscribed before is passed over in
silence (the address is then in none of the three lists), and a second item for the same address is an error.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from tests.standins.mailchimp.members import MemberBody, Write, add_tags, change_contact, check_body, create_contact
from tests.standins.mailchimp.problems import Problem, invalid_field
from tests.standins.mailchimp.state import Audience, Contact, subscriber_hash

MEMBERS_MAX = 500


class BulkBody(msgspec.Struct, frozen=True, kw_only=True):
    members: list[MemberBody]
    sync_tags: bool = False
    update_existing: bool = False


class BulkOptions(msgspec.Struct, frozen=True, kw_only=True):
    validate: bool
    skip_duplicate_check: bool
    now: datetime


class BulkError(msgspec.Struct, frozen=True, kw_only=True):
    """Why one address was not written. `field` and `field_message` are empty unless a field is to blame."""

    email_address: str
    error: str
    error_code: str
    field: str
    field_message: str


class BulkResult(msgspec.Struct, kw_only=True):
    new: list[Contact] = []
    updated: list[Contact] = []
    errors: list[BulkError] = []

    def document(self, show: Callable[[Contact], dict[str, object]]) -> dict[str, object]:
        return {
            "new_members": [show(contact) for contact in self.new],
            "updated_members": [show(contact) for contact in self.updated],
            "errors": msgspec.to_builtins(self.errors),
            "total_created": len(self.new),
            "total_updated": len(self.updated),
            "error_count": len(self.errors),
        }


def write_members(audience: Audience, body: BulkBody, options: BulkOptions) -> BulkResult:
    """Write every contact of a bulk call and say what became of each.

    Raises:
        Problem: 400; the call as a whole breaks the schema or a limit, and nothing was written.
    """
    if len(body.members) > MEMBERS_MAX:
        raise invalid_field("members", f"A call takes at most {MEMBERS_MAX} members.")
    for index, member in enumerate(body.members):
        check_body(member, prefix=f"members.{index}.")
    result = BulkResult()
    seen: set[str] = set()
    for member in body.members:
        key = subscriber_hash(member.email_address or "")
        if key not in seen:
            _write_one(audience, member, body, options=options, result=result)
        elif not options.skip_duplicate_check:
            result.errors.append(_error(member, "This address is in the call more than once."))
        seen.add(key)
    return result


def _write_one(
    audience: Audience, member: MemberBody, body: BulkBody, *, options: BulkOptions, result: BulkResult
) -> None:
    write = Write(body=member, validate=options.validate, now=options.now)
    existing = audience.contacts.get(subscriber_hash(member.email_address or ""))
    try:
        if existing is None:
            result.new.append(_tagged(audience, create_contact(audience, write), write, sync=False))
        elif not body.update_existing:
            result.errors.append(_error(member, "This address is known.", code="ERROR_CONTACT_EXISTS"))
        elif not _is_passed_over(existing, member):
            changed = change_contact(audience, existing, write)
            result.updated.append(_tagged(audience, changed, write, sync=body.sync_tags))
    except Problem as problem:
        field = problem.errors[0] if problem.errors else None
        message = field.message if field else problem.detail
        result.errors.append(_error(member, message, field=field.field if field else ""))


def _is_passed_over(existing: Contact, member: MemberBody) -> bool:
    return (
        member.status == "subscribed" and existing.shown_status == "unsubscribed" and not existing.opted_out_by_person
    )


def _tagged(audience: Audience, contact: Contact, write: Write, *, sync: bool) -> Contact:
    if isinstance(write.body.tags, list):
        return add_tags(audience, contact, write, only_these=sync)
    return contact


def _error(member: MemberBody, message: str, *, code: str = "ERROR_GENERIC", field: str = "") -> BulkError:
    return BulkError(
        email_address=member.email_address or "",
        error=message,
        error_code=code,
        field=field,
        field_message=message if field else "",
    )
