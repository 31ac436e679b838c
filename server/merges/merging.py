"""Everything that is one customer's becomes another's, in the caller's transaction.

The steps are in the order of what they build on: places in memberships with their points first, then what names a person.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.context import Context
from server.customers.store import update_person
from server.db.ids import new_id
from server.email_changes.apply import give_up_changes
from server.errors import Busy
from server.ledger.movements import Origin, claw_back
from server.links.service import move_links
from server.memberships.service import list_membership_views
from server.memberships.store import lock_memberships
from server.merges import contacts, older_orders, store
from server.merges.checks import Pair
from server.merges.effects import Effects, MovedPlace, PersonFields
from server.merges.rules import Fields, Person, join_notes, list_fields, plan_fields
from server.sessions.links import Purpose
from server.sessions.service import end_sessions
from server.sharing import store as sharing_store
from server.sharing.combining import Combination, combine_memberships
from server.sharing.groups import lock_group
from server.sharing.leaving import leave_membership
from shared.base import Birthday
from shared.enums import EntryKind
from shared.merges import MergeChoices, MergeEffect
from shared.sharing import CombineEffect, LeavePolicy, Leaving

# The ways back from an earlier change or merge stay open.
_KEPT_LINKS = (Purpose.NOT_ME, Purpose.MERGE_NOT_ME)
_UNSPENT = ("issued", "held")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that was decided."""

    merge_id: UUID
    choices: MergeChoices
    reason: str
    method: str = "staff"


class _Places(msgspec.Struct, frozen=True, kw_only=True):
    operations: tuple[UUID, ...] = ()
    combined: tuple[CombineEffect, ...] = ()
    moved: tuple[MovedPlace, ...] = ()
    only_absorbed: tuple[UUID, ...] = ()


async def carry_out(ctx: Context, pair: Pair, wish: Wish) -> Effects:
    """Make the absorbed customer a part of the survivor; both, and all their memberships with their people, are locked.

    Raises:
        Refused: OPEN_HOLD, REDEMPTION_HELD, or what `checks` refuses.
        Busy: Somebody joined or left a membership just now.
    """
    survivor, absorbed = pair.survivor, pair.absorbed
    fields = plan_fields(survivor, absorbed, wish.choices)
    if wish.choices.cancel_email_changes:
        await give_up_changes(ctx, pair.ids)
    bonuses_twice = await store.list_bonuses_twice(survivor.id, absorbed.id)
    places = await _merge_places(ctx, pair, wish)
    cards = await store.move_cards(absorbed.id, survivor.id)
    vouchers = await store.move_vouchers(absorbed.id, survivor.id)
    orders = await store.move_orders(ctx, absorbed.id, survivor.id)
    moved = await move_links(ctx, from_customer=absorbed.id, to_customer=survivor.id)
    void = await _void_self_referrals(ctx, pair, wish)
    referrals, referred, codes = await store.move_referrals(absorbed.id, survivor.id)
    emails = await store.list_contact_emails(absorbed.id)
    points = await contacts.merge_addresses(ctx, survivor, absorbed, fields)
    login, sessions = await _merge_logins(ctx, survivor, absorbed, wish)
    before, after = await _write_person(ctx, survivor, absorbed, fields)
    staff = await store.move_staff(absorbed.id, survivor.id)
    await store.bury(ctx, absorbed.id, survivor.id)
    await contacts.merge_consents(ctx, survivor.id, absorbed.id)
    older = await older_orders.count(ctx, survivor.id) if wish.choices.count_older_orders else older_orders.NONE
    await contacts.settle_contacts(ctx, survivor.id, absorbed.id)
    sums = await _sum_up(ctx, survivor.id)
    shown = MergeEffect(
        fields=list_fields(survivor, absorbed, fields),
        combined=places.combined,
        memberships_moved=places.only_absorbed,
        cards=tuple(card["code"] for card in cards if card["status"] == "active"),
        vouchers=sum(voucher["status"] in _UNSPENT for voucher in vouchers),
        orders=len(orders),
        pos_links=len(moved.link_ids),
        older_orders=older.orders,
        older_points=older.points,
        older_counted=wish.choices.count_older_orders,
        bonuses_twice=tuple(bonuses_twice),
        referrals_void=void,
        sessions_ended=sessions,
        available_after=sums[0],
        pending_after=sums[1],
        deficit_after=sums[2],
    )
    return Effects(
        before=before,
        after=after,
        absorbed_status=absorbed.status,
        points=points,
        operations=places.operations,
        places=places.moved,
        cards=tuple(card["id"] for card in cards),
        vouchers=tuple(voucher["id"] for voucher in vouchers),
        orders=tuple(orders),
        links=moved.link_ids,
        reviews=moved.review_ids,
        login=login,
        staff=tuple(staff),
        referrals=tuple(referrals),
        referred=tuple(referred),
        codes=tuple(codes),
        contact_emails=tuple(emails),
        shown=shown,
    )


async def _merge_places(ctx: Context, pair: Pair, wish: Wish) -> _Places:
    ours, theirs = await store.list_homes(pair.survivor.id), await store.list_homes(pair.absorbed.id)
    operations: list[UUID] = []
    combined: list[CombineEffect] = []
    moved: list[MovedPlace] = []
    for programme_id, home in sorted(theirs.items()):
        target = ours.get(programme_id)
        if target is None or target == home:
            moved.append(await _move_place(ctx, pair, home))
            continue
        operation_id, effect, place = await _combine(ctx, pair, wish, target=target, home=home)
        operations.append(operation_id)
        combined.append(effect)
        moved += [place] if place else []
    return _Places(
        operations=tuple(operations),
        combined=tuple(combined),
        moved=tuple(moved),
        only_absorbed=tuple(home for programme, home in theirs.items() if programme not in ours),
    )


async def _combine(
    ctx: Context, pair: Pair, wish: Wish, *, target: UUID, home: UUID
) -> tuple[UUID, CombineEffect, MovedPlace | None]:
    """Make the two memberships of both one; the survivor's goes on, or the one that others share."""
    group = await lock_group([target, home])
    is_shared = len(group.people_of(home)) > 1
    if is_shared and wish.choices.shared_membership == "leave":
        leaving = Leaving(
            customer_id=pair.absorbed.id,
            policy=LeavePolicy.CONTRIBUTION,
            agreed_by=(pair.absorbed.id,),
            reason=wish.reason,
        )
        home = (await leave_membership(ctx, group, home, leaving)).new_membership_id
        is_shared = False
    operation_id = new_id()
    into, other = (home, target) if is_shared else (target, home)
    without = None if is_shared else pair.absorbed.id
    start = await store.find_place(home, pair.absorbed.id)
    assert start is not None
    effect = await combine_memberships(
        ctx,
        Combination(
            operation_id=operation_id,
            kept_id=into,
            other_id=other,
            reason=wish.reason,
            without=without,
            merge_id=wish.merge_id,
        ),
    )
    place = await _move_place(ctx, pair, into) if is_shared else None
    own = await store.find_place(into, pair.survivor.id)
    assert own is not None
    await store.set_eligible(own["id"], start["eligible_from"])
    return operation_id, effect, place


async def _move_place(ctx: Context, pair: Pair, membership_id: UUID) -> MovedPlace:
    """Let the survivor take the absorbed customer's place in a membership."""
    theirs = await store.find_place(membership_id, pair.absorbed.id)
    ours = await store.find_place(membership_id, pair.survivor.id)
    assert theirs is not None
    await sharing_store.end_person(ctx, theirs["id"], reason="merged")
    if ours is None:
        place_id = await sharing_store.add_person(
            membership_id,
            pair.survivor.id,
            role=theirs["role"],
            joined_at=theirs["joined_at"],
            eligible_from=theirs["eligible_from"],
            instead_of=pair.absorbed.id,
        )
        return MovedPlace(membership_id=membership_id, old_id=theirs["id"], new_id=place_id, raised_id=None)
    is_raised = theirs["role"] == "owner"
    if is_raised:
        await sharing_store.set_role(ours["id"], "owner")
    await store.set_eligible(ours["id"], theirs["eligible_from"])
    raised_id = ours["id"] if is_raised else None
    return MovedPlace(membership_id=membership_id, old_id=theirs["id"], new_id=None, raised_id=raised_id)


async def _void_self_referrals(ctx: Context, pair: Pair, wish: Wish) -> int:
    """Take bonuses back that somebody had for having brought themselves; return how many points."""
    taken = 0
    rows = await store.list_self_referrals(pair.survivor.id, pair.absorbed.id)
    for row in rows:
        if row["entry"] is None:
            continue
        await lock_memberships([row["membership"]])
        origin = Origin(
            source_key=f"merge:{wish.merge_id}:{row['entry']}",
            customer_id=pair.survivor.id,
            related_entry_id=row["entry"],
            reason_code="self_referral",
        )
        back = await claw_back(
            ctx, row["membership"], row["points"], origin, own_entry_id=row["entry"], kind=EntryKind.CLAWBACK
        )
        taken += back.points
    if rows:
        await store.void_self_referrals(pair.survivor.id, pair.absorbed.id)
    return taken


async def _merge_logins(ctx: Context, survivor: Person, absorbed: Person, wish: Wish) -> tuple[str | None, int]:
    """Keep the survivor's login, else take the other's over; return what became of that, and the sessions ended."""
    if wish.method == "staff":
        # A claim uses its code up by itself.
        await store.revoke_claim_codes(ctx, absorbed.id)
    ended = await end_sessions(ctx, absorbed.id, reason="merged")
    await store.void_all_links(ctx, absorbed.id, but=_KEPT_LINKS)
    if survivor.has_login:
        return ("disabled" if await store.disable_login(ctx, absorbed.id) else None), ended
    # A disabled login of the survivor would be in the way of the other one; nobody signs in by it.
    if absorbed.has_login and not await store.has_any_login(survivor.id):
        await store.move_login(absorbed.id, survivor.id)
        return "moved", ended
    return ("disabled" if await store.disable_login(ctx, absorbed.id) else None), ended


async def _write_person(
    ctx: Context, survivor: Person, absorbed: Person, fields: Fields
) -> tuple[PersonFields, PersonFields]:
    named = absorbed if fields.name == "absorbed" else survivor
    born = absorbed if fields.birthday == "absorbed" else survivor
    notes = join_notes(survivor.notes, absorbed.notes)
    assert notes is not None, "the checks refuse notes that are too long together"
    holder = max(
        (survivor, absorbed), key=lambda one: (one.redemption_held_until is not None, one.redemption_held_until)
    )
    housed = survivor if survivor.postal_address or survivor.post_code else absorbed
    before = _fields_of(survivor)
    after = msgspec.structs.replace(
        before,
        given_name=named.given_name,
        family_name=named.family_name,
        birth_year=born.birth_year,
        birth_month=born.birth_month,
        birth_day=born.birth_day,
        postal_address=housed.postal_address,
        post_code=housed.post_code,
        locale=absorbed.locale if fields.locale == "absorbed" else survivor.locale,
        notes=notes,
        status=_status_of(survivor, absorbed),
        created_at=min(survivor.created_at, absorbed.created_at),
        redemption_held_until=holder.redemption_held_until,
        redemption_held_reason=holder.redemption_held_reason,
    )
    await write_fields(ctx, survivor.id, after)
    return before, after


async def write_fields(ctx: Context, customer_id: UUID, fields: PersonFields) -> None:
    """Write a customer's fields with the keys of the name."""
    birthday = None
    if fields.birth_month is not None and fields.birth_day is not None:
        birthday = Birthday(year=fields.birth_year, month=fields.birth_month, day=fields.birth_day)
    await update_person(
        ctx,
        customer_id,
        given_name=fields.given_name,
        family_name=fields.family_name,
        birthday=birthday,
        locale=fields.locale,
    )
    await store.set_person(ctx, customer_id, fields)


def _fields_of(person: Person) -> PersonFields:
    return PersonFields(**{name: getattr(person, name) for name in PersonFields.__struct_fields__})


def _status_of(survivor: Person, absorbed: Person) -> str:
    statuses = {survivor.status, absorbed.status}
    return next(status for status in ("blocked", "active", "stub") if status in statuses)


async def _sum_up(ctx: Context, customer_id: UUID) -> tuple[int, int, int]:
    """Mark all that the survivor has now, and return its available, pending and owed points."""
    for membership_id in sorted((await store.list_homes(customer_id)).values()):
        await mark_membership(ctx, membership_id)
    views = await list_membership_views(customer_id, ctx.now)
    balances = [view.balance for view in views if view.status == "active"]
    return (
        sum(one.available for one in balances),
        sum(one.pending for one in balances),
        sum(one.deficit for one in balances),
    )


async def lock_everything(customer_ids: Sequence[UUID], membership_ids: Sequence[UUID] = ()) -> None:
    """Lock customers, all their memberships, further ones, and everybody in them, in the order of all locks.

    Raises:
        NotFound: There is no such customer or membership.
        Busy: Somebody joined or left just now.
    """
    homes = {home for one in customer_ids for home in (await store.list_homes(one)).values()} | set(membership_ids)
    await lock_group(sorted(homes), customer_ids)
    now_homes = {home for one in customer_ids for home in (await store.list_homes(one)).values()}
    if not now_homes <= homes:
        raise Busy
