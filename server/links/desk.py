"""Staff link POS records to customers, end links, and decide what nobody else may.

A preview is the execution, taken back: both run the same steps, so that what was shown is what happens.
"""

import hashlib
from collections.abc import Sequence
from uuid import UUID

import msgspec

from server.audit.store import record as audit
from server.auth import Staff
from server.bonuses.service import grant_sign_up
from server.context import Context
from server.customers import store as customers
from server.customers.store import lock_customers
from server.db.engine import Row
from server.db.rehearsal import rehearse
from server.errors import NotFound, NotPermitted, Refused
from server.links import directory_store, rules, service, store
from server.links.service import Linked
from server.links.tills import kind_of
from server.links.views import effect_view, hit_of, link_view
from server.links.writing import ask_email_write
from server.memberships import service as memberships
from server.orders.attaching import Expected
from server.pos.protocol import Capability
from server.programmes.service import get_shop_zone
from server.time_words import say_day
from shared.codes import normalise_card_number
from shared.enums import Permission
from shared.limits import LINK_POINTS_ALONE_MAX
from shared.links import (
    Attestation,
    LinkApproval,
    LinkEnding,
    LinkEndingPreview,
    LinkMade,
    LinkPreview,
    LinkRequest,
    LinkView,
    RecordHit,
    RecordTaken,
    RecordTaking,
)
from shared.permissions import may
from shared.problems import Code

_BLOCKED = hashlib.sha256(b"blocked").hexdigest()
_CLOSED = {"blocked": Code.CUSTOMER_BLOCKED, "merged": Code.CUSTOMER_MERGED, "erased": Code.CUSTOMER_ERASED}
_TYPO_DISTANCE_MAX = 2


class _Act(msgspec.Struct, frozen=True, kw_only=True):
    """A link that staff want: the record and the customer, both locked, how it is justified, what it would bring."""

    record: Row
    person: Row
    method: str
    expected: Expected
    is_approval: bool = False

    @property
    def needs_second_person(self) -> bool:
        if self.is_approval:
            return False
        # Of a record with more orders than are looked at, the points are not known.
        return self.expected.points > LINK_POINTS_ALONE_MAX or self.expected.has_more

    @property
    def hash(self) -> str:
        """What must be the same at the execution."""
        seen = (
            self.record["id"], self.record["content_hash"], self.record["aliases"], self.person["id"],
            self.person["membership"], self.person["emails"], self.method, self.expected,
        )  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


# Linking --------------------------------------------------------------------------------------------------------------


async def preview_link(ctx: Context, staff: Staff, customer_id: UUID, form: LinkRequest) -> LinkPreview:
    """Return what linking a record would do.

    Raises:
        NotFound: There is no such customer or record.
        Refused: LINK_SELF.
    """
    hit = await directory_store.find_hit(form.record_id)
    if hit is None or not await customers.exists(customer_id):
        raise NotFound
    return await rehearse(_try(ctx, staff, customer_id, form, hit_of(hit)))


async def make_link(ctx: Context, staff: Staff, customer_id: UUID, form: LinkRequest) -> LinkMade:
    """Link a record to a customer as previewed, or ask for a second person; in the caller's transaction.

    Raises:
        NotFound: There is no such customer or record.
        Refused: PREVIEW_STALE, or what the preview listed as a blocker.
    """
    act = await _check(ctx, staff, customer_id, form)
    if form.preview_hash != act.hash:
        raise Refused(Code.PREVIEW_STALE)
    if act.needs_second_person:
        return LinkMade(link=await _get_view(await _wish(ctx, staff, act, form)), effect=None)
    linked = await _carry_out(ctx, act, form)
    if form.write_email and act.person["email"]:
        await ask_email_write(linked.link_id)
    return LinkMade(
        link=await _get_view(linked.link_id), effect=effect_view(linked.attached, held_until=linked.held_until)
    )


async def _carry_out(ctx: Context, act: _Act, form: LinkRequest) -> Linked:
    return await service.link_record(
        ctx, act.record, act.person, method=act.method, evidence=form.attestation or "", reason=form.reason
    )


async def _get_view(link_id: UUID) -> LinkView:
    row = await store.get_link(link_id)
    assert row is not None
    return link_view(row)


async def preview_approval(ctx: Context, staff: Staff, link_id: UUID) -> LinkPreview:
    """Return what granting a link that waits for a second person would do.

    Raises:
        NotFound: There is no such link.
        Refused: LINK_SELF.
    """
    link = await store.get_link(link_id)
    hit = await directory_store.find_hit(link["record"]) if link is not None else None
    if link is None or hit is None:
        raise NotFound
    _check_not_self(staff, link["customer"])
    return await rehearse(_try_granting(ctx, staff, link, hit_of(hit)))


async def _try_granting(ctx: Context, staff: Staff, link: Row, hit: RecordHit) -> LinkPreview:
    try:
        act = await _check_wish(ctx, staff, link)
        linked = await _grant(ctx, act, link)
    except Refused as refusal:
        return _blocked(hit, refusal)
    return _shown(hit, act, linked, warnings=_warnings(act, linked))


async def approve_link(ctx: Context, staff: Staff, link_id: UUID, form: LinkApproval) -> LinkMade:
    """Grant a link that waits for a second person as previewed, in the caller's transaction.

    Raises:
        NotFound: There is no such link.
        Refused: PREVIEW_STALE; APPROVAL_REQUIRED, it is this person's own wish; LINK_OVER, LINK_TAKEN, LINK_SELF.
    """
    link = await store.get_link(link_id)
    if link is None:
        raise NotFound
    act = await _check_wish(ctx, staff, link)
    if form.preview_hash != act.hash:
        raise Refused(Code.PREVIEW_STALE)
    linked = await _grant(ctx, act, link)
    await audit(
        ctx,
        "link.approved",
        subject_kind="pos_link",
        subject_id=link_id,
        customer_id=link["customer"],
        reason=form.note or None,
    )
    return LinkMade(link=await _get_view(link_id), effect=effect_view(linked.attached, held_until=linked.held_until))


async def _check_wish(ctx: Context, staff: Staff, link: Row) -> _Act:
    """Return what somebody else asked for, with record, customer and link locked."""
    _check_not_self(staff, link["customer"])
    if link["actor_id"] == staff.staff_id:
        raise Refused(Code.APPROVAL_REQUIRED)
    await lock_customers([link["customer"]])
    record, person = await store.lock_record(link["record"]), await store.find_person(link["customer"])
    locked = await store.lock_link(link["id"])
    assert record is not None
    assert person is not None
    assert locked is not None
    if locked["state"] != "waiting" or locked["customer"] != link["customer"]:
        raise Refused(Code.LINK_OVER)
    _check_open(person)
    _check_whole(record)
    if record["holder"] is not None:
        raise store.LinkTaken(record["holder"])
    expected = await service.expect(ctx, record, person)
    return _Act(record=record, person=person, method=link["method"], expected=expected, is_approval=True)


async def _grant(ctx: Context, act: _Act, link: Row) -> Linked:
    return await service.link_record(
        ctx, act.record, act.person, method=link["method"], evidence=link["evidence"], reason=link["reason"],
        waiting_link_id=link["id"],
    )  # fmt: skip


async def take_record(ctx: Context, staff: Staff, record_id: UUID, form: RecordTaking) -> RecordTaken:
    """Make a customer of a free record, with unproven contact data, in the caller's transaction.

    Raises:
        NotFound: There is no such record.
        Refused: LINK_TAKEN; LINK_OVER; DUPLICATE_CONTACT, somebody has proven its address.
        NotPermitted: It brings more than one person may link; that is for a manager.
    """
    record = await store.lock_record(record_id)
    if record is None:
        raise NotFound
    _check_whole(record)
    if record["holder"] is not None:
        raise store.LinkTaken(record["holder"])
    if record["email_key"] and await customers.find_customer_by_verified_email(record["email_key"]):
        raise Refused(Code.DUPLICATE_CONTACT)
    customer_id = await customers.insert_customer(
        ctx, given_name=record["given_name"], family_name=record["family_name"], source="pos", status="stub"
    )
    if record["email_key"]:
        await customers.insert_contact_point(
            ctx, customer_id=customer_id, kind="email", value=record["email"], key=record["email_key"], verified=False
        )
    if record["phone_key"]:
        await customers.insert_contact_point(
            ctx, customer_id=customer_id, kind="phone", value=record["phone"], key=record["phone_key"], verified=False
        )
    card_number = None
    if form.join:
        opened = await memberships.open_membership(ctx, customer_id=customer_id, enrolled_at=ctx.now)
        card_number = opened.card_number
        await grant_sign_up(ctx, customer_id=customer_id, membership_id=opened.membership_id)
    person = await store.find_person(customer_id)
    assert person is not None
    linked = await service.link_record(ctx, record, person, method="import", reason=form.reason)
    is_large = linked.attached.points > LINK_POINTS_ALONE_MAX or linked.attached.more_after is not None
    if is_large and not may(staff.role, Permission.LINK_ATTEST):
        # Nobody has proven anything yet, and an address that is not proven is soon changed.
        raise NotPermitted(
            f"Records with more than {LINK_POINTS_ALONE_MAX} points, or very many orders, are for a manager."
        )
    await audit(
        ctx,
        "customer.imported",
        subject_kind="customer",
        subject_id=customer_id,
        customer_id=customer_id,
        details={"record": record_id, "staff": staff.staff_id},
    )
    return RecordTaken(
        customer_id=customer_id,
        card_number=card_number,
        link=await _get_view(linked.link_id),
        effect=effect_view(linked.attached, held_until=linked.held_until),
    )


async def _try(ctx: Context, staff: Staff, customer_id: UUID, form: LinkRequest, hit: RecordHit) -> LinkPreview:
    try:
        act = await _check(ctx, staff, customer_id, form)
        linked = await _carry_out(ctx, act, form)
    except Refused as refusal:
        if refusal.code in (Code.NOT_FOUND, Code.LINK_SELF):
            raise
        return _blocked(hit, refusal)
    return _shown(hit, act, linked, warnings=[*_warnings(act, linked), *_email_warnings(ctx, act, form)])


def _blocked(hit: RecordHit, refusal: Refused) -> LinkPreview:
    # Nothing can be carried out with this; the hash is one that no execution has.
    return LinkPreview(
        record=hit, effect=None, method="", blockers=(refusal.detail or refusal.code,), warnings=(),
        needs_second_person=False, preview_hash=_BLOCKED,
    )  # fmt: skip


def _shown(hit: RecordHit, act: _Act, linked: Linked, *, warnings: Sequence[str]) -> LinkPreview:
    return LinkPreview(
        record=hit,
        effect=effect_view(linked.attached, held_until=linked.held_until),
        method=act.method,
        blockers=(),
        warnings=tuple(warnings),
        needs_second_person=act.needs_second_person,
        preview_hash=act.hash,
    )


async def _check(ctx: Context, staff: Staff, customer_id: UUID, form: LinkRequest) -> _Act:
    """Return what is wanted, with record and customer locked."""
    _check_not_self(staff, customer_id)
    await lock_customers([customer_id])
    person = await store.find_person(customer_id)
    if person is None:
        raise NotFound("There is no such customer.")
    _check_open(person)
    record = await store.lock_record(form.record_id)
    if record is None:
        raise NotFound("There is no such POS record.")
    _check_whole(record)
    if record["holder"] == customer_id:
        raise Refused(Code.LINK_TAKEN, f"They are linked since {say_day(record['linked_at'], await get_shop_zone())}.")
    if record["holder"] is not None:
        raise store.LinkTaken(record["holder"])
    method = _method(staff, record, person, form)
    return _Act(record=record, person=person, method=method, expected=await service.expect(ctx, record, person))


def _method(staff: Staff, record: Row, person: Row, form: LinkRequest) -> str:
    if record["email_key"] is not None and record["email_key"] in person["emails"]:
        return "staff_match"
    if form.attestation is None:
        raise Refused(Code.LINK_NEEDS_PROOF)
    has_card = form.card_number is not None and normalise_card_number(form.card_number) in person["cards"]
    if form.attestation is Attestation.CARD_IN_HAND and form.card_number is not None and not has_card:
        raise Refused(Code.CARD_UNKNOWN, "This is no card of this customer.")
    if form.attestation is Attestation.CARD_IN_HAND and has_card:
        return "staff_attest"
    if not may(staff.role, Permission.LINK_ATTEST):
        raise NotPermitted("Scan the customer's card, or ask a manager.")
    return "staff_attest"


async def _wish(ctx: Context, staff: Staff, act: _Act, form: LinkRequest) -> UUID:
    """Keep a wish that a second person has to grant, and return its id."""
    link_id = await store.insert_link(
        ctx, record_id=act.record["id"], customer_id=act.person["id"], method=act.method,
        evidence=form.attestation or "", reason=form.reason, state="waiting",
    )  # fmt: skip
    await audit(
        ctx,
        "link.requested",
        subject_kind="pos_link",
        subject_id=link_id,
        customer_id=act.person["id"],
        reason=form.reason or None,
        details={"record": act.record["id"], "points": act.expected.points, "staff": staff.staff_id},
    )
    return link_id


def _check_not_self(staff: Staff, customer_id: UUID) -> None:
    if staff.customer_id == customer_id:
        raise Refused(Code.LINK_SELF)


def _check_open(person: Row) -> None:
    if code := _CLOSED.get(person["status"]):
        data = {"customer_id": str(person["merged_into"])} if person["merged_into"] else None
        raise Refused(code, f"This customer is {person['status']}.", data=data)


def _check_whole(record: Row) -> None:
    if record["merged_into"] is not None or record["removed_at"] is not None:
        raise Refused(Code.LINK_OVER, "The till has merged this record into another one, or removed it.")


def _warnings(act: _Act, linked: Linked) -> list[str]:
    record, person = act.record, act.person
    warnings: list[str] = []
    addresses = [*person["emails"], *person["unproven_emails"]]
    if record["email_key"] and record["email_key"] not in addresses and addresses:
        near = any(rules.distance(record["email_key"], one) <= _TYPO_DISTANCE_MAX for one in addresses)
        hint = "It looks like a typing error; correct the address first." if near else "They may be two people."
        warnings.append(f"The record bears another address than the customer. {hint}")
    if record["phone_key"] and person["phones"] and record["phone_key"] not in person["phones"]:
        warnings.append("The record bears another phone number than the customer.")
    if act.needs_second_person:
        known = f"More than {LINK_POINTS_ALONE_MAX} points come with it"
        what = (
            known if act.expected.points > LINK_POINTS_ALONE_MAX else "It has too many orders to count its points now"
        )
        warnings.append(f"{what}: a second person has to agree.")
    if linked.held_until is not None:
        warnings.append("Points cannot be spent for 72 hours, and older addresses of the record are told.")
    if left := linked.attached.left:
        orders = "1 order stays as it is" if left == 1 else f"{left} orders stay as they are"
        warnings.append(f"{orders}, as somebody else's points or voucher paid.")
    if linked.attached.more_after is not None:
        warnings.append("There are more orders than are posted at once; the others follow in a few minutes.")
    return warnings


def _email_warnings(ctx: Context, act: _Act, form: LinkRequest) -> list[str]:
    warnings: list[str] = []
    if form.write_email and not act.person["email"]:
        warnings.append("The customer has no proven address that could be written to the till.")
    if form.write_email and Capability.WRITE_EMAIL not in kind_of(ctx.settings, act.record["connection_code"])[1]:
        warnings.append("This till takes no address from here: type it there.")
    return warnings


# Ending ---------------------------------------------------------------------------------------------------------------


async def preview_ending(ctx: Context, staff: Staff, link_id: UUID, form: LinkEnding) -> LinkEndingPreview:
    """Return what ending a link would do.

    Raises:
        NotFound: There is no such link.
        Refused: LINK_OVER, LINK_SELF, CUSTOMER_MERGED.
    """
    return await rehearse(_end(ctx, staff, link_id, form))


async def end_link(ctx: Context, staff: Staff, link_id: UUID, form: LinkEnding) -> LinkMade:
    """End a link as previewed, in the caller's transaction.

    Raises:
        NotFound: There is no such link.
        Refused: LINK_OVER, LINK_SELF, CUSTOMER_MERGED, PREVIEW_STALE, POINTS_SPENT.
    """
    shown = await _end(ctx, staff, link_id, form)
    if form.preview_hash != shown.preview_hash:
        raise Refused(Code.PREVIEW_STALE)
    return LinkMade(link=await _get_view(link_id), effect=None)


async def _end(ctx: Context, staff: Staff, link_id: UUID, form: LinkEnding) -> LinkEndingPreview:
    link = await store.get_link(link_id)
    if link is None:
        raise NotFound
    _check_not_self(staff, link["customer"])
    await lock_customers([link["customer"]])
    await store.lock_record(link["record"])
    locked = await store.lock_link(link_id)
    if locked is None or locked["customer"] != link["customer"]:
        raise Refused(Code.LINK_OVER)
    # Of a link that somebody said is not theirs, what came through it can still be taken back.
    is_disputed = locked["ended_reason"] == service.DISPUTED and form.take_back_orders
    is_back = await store.find_holder(link["record"]) == link["customer"]
    if locked["state"] == "ended" and (is_back or not is_disputed):
        # Staff have looked and linked it again, so that the orders are those of the link in force.
        raise Refused(Code.LINK_OVER)
    person = await store.find_person(link["customer"])
    if person is not None and person["status"] == "merged":
        # The orders went along, so that nothing would be taken back and the match be closed all the same.
        _check_open(person)
    is_taking = form.take_back_orders and link["state"] in ("linked", "ended")
    detached = await service.end_link(ctx, link, take_back_orders=is_taking, reason=form.reason)
    if is_disputed:
        await store.settle_reviews_of(
            ctx, record_id=link["record"], customer_id=link["customer"], note="taken back", reason=service.DISPUTED
        )
    seen = (link_id, locked["state"], form.take_back_orders, detached.orders, detached.points, detached.more_after)
    warnings = [] if form.take_back_orders else ["Its orders stay with the customer."]
    if form.take_back_orders:
        warnings.append("Orders for which the customer paid with points or a voucher stay with them.")
    if detached.more_after is not None:
        warnings.append(f"{detached.orders_more} of the orders follow in a few minutes.")
    return LinkEndingPreview(
        link=link_view(link),
        orders=detached.orders + detached.orders_more,
        points_taken=detached.points + detached.points_more,
        warnings=tuple(warnings),
        preview_hash=hashlib.sha256(msgspec.json.encode(seen)).hexdigest(),
    )
