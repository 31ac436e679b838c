"""A second person joins a membership by staff; and that taken back."""

import hashlib
from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.auth import Staff
from server.context import Context
from server.db.engine import DB
from server.db.ids import new_id
from server.errors import Refused
from server.memberships.service import adopt_card, issue_card
from server.programmes.rules import eligible_from
from server.programmes.service import get_programme
from server.sharing import mails, store
from server.sharing.commands import BLOCKED_HASH, answer_undone, check_undoable, get_operation, try_out
from server.sharing.effects import JoinEffects
from server.sharing.groups import (
    Group,
    check_active,
    check_agreed,
    check_free,
    check_not_self,
    check_room,
    check_status,
    get_account,
    list_people_views,
    lock_group,
    record_for_all,
)
from server.sharing.store import Operation
from shared.limits import SHARING_UNDO
from shared.problems import Code
from shared.sharing import ExistingMembership, Joined, Joining, JoinPreview, SharingUndo, SharingUndone


async def preview_join(ctx: Context, staff: Staff, membership_id: UUID, form: Joining) -> JoinPreview:
    """Return what joining would do; of a customer with a membership, that one.

    Raises:
        NotFound: There is no such membership or customer.
        Refused: SELF_DEALING.
    """
    async with DB.transaction():
        group = await _lock_for_join(staff, membership_id, form)
        must_agree = _must_agree_to_join(group, membership_id, form.customer_id)
        existing = await _find_existing(ctx, group, membership_id, form.customer_id)
        account = await get_account(ctx, membership_id)
    # What they were asked comes last: the preview names whom to ask.
    wish = msgspec.structs.replace(form, agreed_by=must_agree)
    joined, blockers = await try_out(lambda: _join(ctx, staff, membership_id, wish))
    return JoinPreview(
        membership_id=membership_id,
        customer_id=form.customer_id,
        account=account,
        people=joined.people if joined else await list_people_views(ctx, membership_id),
        existing=existing,
        must_agree=must_agree,
        blockers=blockers,
        warnings=(),
        preview_hash=_hash_join(group, membership_id, form) if joined else BLOCKED_HASH,
    )


async def join(ctx: Context, staff: Staff, membership_id: UUID, form: Joining) -> Joined:
    """Let a customer share a membership, in the caller's transaction.

    Raises:
        NotFound: There is no such membership or customer.
        Refused: PREVIEW_STALE, SELF_DEALING, MEMBERSHIP_EXISTS with the card and points of the customer's own,
            CONSENT_MISSING, SHARER_LIMIT, MEMBERSHIP_CLOSED, OPEN_HOLD, REDEMPTION_HELD, or the customer is no more.
    """
    return await _join(ctx, staff, membership_id, form, check_hash=True)


async def join_agreed(ctx: Context, group: Group, membership_id: UUID, form: Joining) -> Joined:
    """Let a customer share a locked membership, whoever has asked.

    Raises:
        Refused: As in `join`, but for SELF_DEALING.
    """
    customer_id = form.customer_id
    check_status(group, customer_id)
    check_active(group, membership_id)
    existing = await _find_existing(ctx, group, membership_id, customer_id)
    if existing is not None:
        raise Refused(Code.MEMBERSHIP_EXISTS, data=msgspec.to_builtins(existing))
    check_agreed(group, _must_agree_to_join(group, membership_id, customer_id), form.agreed_by)
    await check_room(group, membership_id, 1)
    await check_free(ctx, group)
    programme = await get_programme(group.memberships[membership_id]["programme"], fresh=True)
    since = eligible_from(ctx.now, programme.launch_at, programme.zone, grace_days=programme.settings.grace_days)
    person_id = await store.add_person(
        membership_id, customer_id, role="sharer", joined_at=ctx.now, eligible_from=since
    )
    if form.card_number is None:
        card = await issue_card(ctx, membership_id=membership_id, customer_id=customer_id)
    else:
        card = await adopt_card(ctx, form.card_number, membership_id=membership_id, customer_id=customer_id)
    operation = Operation(
        id=new_id(),
        kind="join",
        membership_id=membership_id,
        customer_id=customer_id,
        reason=form.reason,
        effects=JoinEffects(agreed_by=form.agreed_by, person_id=person_id),
        undo_until=ctx.now + SHARING_UNDO,
    )
    await store.insert_operation(ctx, operation)
    everybody = await lock_group([membership_id])
    await record_for_all(ctx, "membership.joined", operation.id, everybody, form.reason, 0)
    joiner = everybody.find_person(membership_id, customer_id)
    assert joiner is not None
    await mails.tell(ctx, "sharing_joined", everybody.people, about=joiner.name)
    await mark_membership(ctx, membership_id)
    return Joined(
        operation_id=operation.id,
        membership_id=membership_id,
        customer_id=customer_id,
        card_number=card,
        account=await get_account(ctx, membership_id),
        people=await list_people_views(ctx, membership_id),
        undo_until=operation.undo_until,
    )


async def undo_join(
    ctx: Context, staff: Staff, membership_id: UUID, operation_id: UUID, form: SharingUndo
) -> SharingUndone:
    """Take a joining back, while the person has moved no points; in the caller's transaction.

    Raises:
        NotFound: This membership has no such joining.
        Refused: SELF_DEALING, UNDO_EXPIRED, UNDO_NOT_LAST, OPEN_HOLD, REDEMPTION_HELD.
    """
    operation = await get_operation(staff, membership_id, operation_id, "join")
    effects = msgspec.json.decode(operation["effects"], type=JoinEffects)
    group = await lock_group([membership_id])
    operation = await check_undoable(ctx, operation_id)
    await check_free(ctx, group)
    joiner = group.find_person(membership_id, operation["customer"])
    if joiner is None or joiner.id != effects.person_id or joiner.role == "owner":
        raise Refused(Code.UNDO_NOT_LAST)
    if await store.has_acted(membership_id, joiner.customer, operation["at"]):
        raise Refused(Code.UNDO_NOT_LAST, "This person has earned or spent points since; let them leave instead.")
    await store.end_person(ctx, joiner.id, reason="join_undone")
    await store.block_cards(ctx, membership_id, joiner.customer, reason="join_undone")
    await store.close_operation(ctx, operation_id)
    await record_for_all(ctx, "membership.join_undone", operation_id, group, form.reason, 0)
    await mails.tell(ctx, "sharing_undone", group.people, about=joiner.name)
    await mark_membership(ctx, membership_id)
    return await answer_undone(ctx, operation, None)


async def _lock_for_join(staff: Staff, membership_id: UUID, form: Joining) -> Group:
    group = await lock_group([membership_id], [form.customer_id])
    check_not_self(staff.customer_id, group, form.customer_id)
    return group


async def _join(ctx: Context, staff: Staff, membership_id: UUID, form: Joining, *, check_hash: bool = False) -> Joined:
    group = await _lock_for_join(staff, membership_id, form)
    joined = await join_agreed(ctx, group, membership_id, form)
    if check_hash and form.preview_hash != _hash_join(group, membership_id, form):
        raise Refused(Code.PREVIEW_STALE)
    return joined


def _must_agree_to_join(group: Group, membership_id: UUID, customer_id: UUID) -> tuple[UUID, ...]:
    owners = [person.customer for person in group.people_of(membership_id) if person.role == "owner"]
    return (*owners, customer_id)


async def _find_existing(
    ctx: Context, group: Group, membership_id: UUID, customer_id: UUID
) -> ExistingMembership | None:
    found = await store.find_membership_of(customer_id, group.memberships[membership_id]["programme"], ctx.now)
    if found is None:
        return None
    return ExistingMembership(
        membership_id=found["membership"],
        customer_id=customer_id,
        card_number=found["card"],
        available=found["available"],
        action="none" if found["membership"] == membership_id else "combine",
    )


def _hash_join(group: Group, membership_id: UUID, form: Joining) -> str:
    people = sorted(str(person.id) for person in group.people)
    seen = (membership_id, form.customer_id, form.card_number, people, group.statuses[form.customer_id])
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()
