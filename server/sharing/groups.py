"""Memberships with the people in them, locked; and what has to hold before anything of them moves."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from server.audit.store import record
from server.context import Context
from server.customers.store import lock_customers
from server.db.engine import Row
from server.errors import Busy, NotFound, Refused
from server.ledger.transfers import list_live_lots
from server.memberships.store import lock_memberships
from server.rewards.service import check_no_open_hold
from server.sharing import store
from server.sharing.store import Person
from shared.problems import Code
from shared.sharing import Account, SharingPerson

STATUS_BLOCKS = {
    "blocked": Code.CUSTOMER_BLOCKED,
    "merged": Code.CUSTOMER_MERGED,
    "erased": Code.CUSTOMER_ERASED,
}


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Locked memberships and everybody in them, and the locked customers."""

    memberships: dict[UUID, Row]
    people: tuple[Person, ...]
    statuses: dict[UUID, str]

    def people_of(self, membership_id: UUID) -> tuple[Person, ...]:
        """Return who is in one of the memberships, its owner first."""
        return tuple(person for person in self.people if person.membership == membership_id)

    def owner_of(self, membership_id: UUID) -> Person:
        """Return the owner of an active membership."""
        (owner,) = (person for person in self.people_of(membership_id) if person.role == "owner")
        return owner

    def find_person(self, membership_id: UUID, customer_id: UUID) -> Person | None:
        """Return somebody's place in a membership."""
        return next((one for one in self.people_of(membership_id) if one.customer == customer_id), None)


async def lock_group(membership_ids: Sequence[UUID], customer_ids: Iterable[UUID] = ()) -> Group:
    """Lock everybody in some memberships, further customers, and the memberships, in this order; return them.

    Whoever earned points there is locked too: where points are moved, the new entries name them.

    Raises:
        NotFound: There is no such membership or customer.
        Busy: Somebody joined or left, or points were moved, just now.
    """
    expected = set(customer_ids)
    wanted = {person.customer for person in await store.list_people(membership_ids)} | expected
    wanted.update(await store.list_earners(membership_ids))
    customers = await lock_customers(wanted)
    memberships = {row["id"]: row for row in await lock_memberships(sorted(membership_ids))}
    statuses = {row["id"]: row["status"] for row in customers}
    if not set(membership_ids) <= set(memberships):
        raise NotFound("There is no such membership.")
    if not expected <= set(statuses):
        raise NotFound("There is no such customer.")
    people = await store.list_people(membership_ids)
    # Who came in between the look and the lock is not locked, and locks are taken in one order only.
    if not {person.customer for person in people}.union(await store.list_earners(membership_ids)) <= wanted:
        raise Busy
    return Group(memberships=memberships, people=tuple(people), statuses=statuses)


def check_active(group: Group, *membership_ids: UUID) -> None:
    """Refuse for a membership that is over.

    Raises:
        Refused: MEMBERSHIP_CLOSED.
    """
    for membership_id in membership_ids:
        membership = group.memberships[membership_id]
        if membership["status"] != "active":
            successor = membership["successor"]
            raise Refused(Code.MEMBERSHIP_CLOSED, data={"successor_id": successor} if successor else None)


def check_status(group: Group, *customer_ids: UUID) -> None:
    """Refuse for customers who are blocked or no more.

    Raises:
        Refused: CUSTOMER_BLOCKED, CUSTOMER_MERGED or CUSTOMER_ERASED.
    """
    for customer_id in customer_ids:
        if code := STATUS_BLOCKS.get(group.statuses[customer_id]):
            raise Refused(code, data={"customer_id": customer_id})


def check_not_self(staff_customer_id: UUID | None, group: Group, *customer_ids: UUID) -> None:
    """Refuse staff whose own points these are.

    Raises:
        Refused: SELF_DEALING.
    """
    if staff_customer_id is not None and staff_customer_id in {one.customer for one in group.people} | {*customer_ids}:
        raise Refused(Code.SELF_DEALING)


def check_agreed(group: Group, needed: Iterable[UUID], agreed: Iterable[UUID]) -> None:
    """Refuse unless everybody who has to agree has done so.

    Raises:
        Refused: CONSENT_MISSING, with who has not in `data`.
    """
    missing = sorted(set(needed) - set(agreed))
    if missing:
        names = {person.customer: person.name for person in group.people}
        words = ", ".join(names[one] for one in missing if names.get(one))
        detail = f"Ask first: {words}." if words else None
        raise Refused(Code.CONSENT_MISSING, detail, data={"missing": [str(one) for one in missing]})


async def check_free(ctx: Context, group: Group) -> None:
    """Refuse while points of these memberships are in a sale, or somebody's spending is held after a change.

    Raises:
        Refused: OPEN_HOLD or REDEMPTION_HELD.
    """
    await check_no_open_hold(ctx, list(group.memberships))
    for person in group.people:
        until = person.redemption_held_until
        if until is not None and until > ctx.now:
            raise Refused(Code.REDEMPTION_HELD, data={"held_until": until.isoformat(), "customer_id": person.customer})


async def check_room(group: Group, membership_id: UUID, newcomers: int) -> None:
    """Refuse more people than a programme lets share.

    Raises:
        Refused: SHARER_LIMIT.
    """
    terms = await store.get_programme_terms(group.memberships[membership_id]["programme"])
    if len(group.people_of(membership_id)) - 1 + newcomers > terms["max_sharers"]:
        raise Refused(Code.SHARER_LIMIT, data={"sharers_max": terms["max_sharers"]})


async def record_for_all(ctx: Context, action: str, operation_id: UUID, group: Group, reason: str, points: int) -> None:
    """Write an act down for everybody in the memberships that it concerns."""
    details = {"memberships": sorted(group.memberships), "points": points}
    for customer_id in dict.fromkeys(person.customer for person in group.people):
        await record(
            ctx, action, subject_kind="sharing_operation", subject_id=operation_id, customer_id=customer_id,
            reason=reason, details=details,
        )  # fmt: skip


async def get_account(ctx: Context, membership_id: UUID) -> Account:
    """Return a membership's figures at this instant, summed from its lots."""
    row = await store.find_membership(membership_id)
    assert row is not None
    lots = await list_live_lots(membership_id)
    return Account(
        membership_id=membership_id,
        available=sum(
            lot.remaining
            for lot in lots
            if lot.available_at <= ctx.now and (lot.expires_at is None or lot.expires_at > ctx.now)
        ),
        pending=sum(lot.remaining for lot in lots if lot.available_at > ctx.now),
        deficit=row["deficit"],
        lifetime=row["lifetime"],
    )


async def list_people_views(ctx: Context, membership_id: UUID) -> tuple[SharingPerson, ...]:
    """Return everybody in a membership with what each brought and spent."""
    shares = await store.list_shares(membership_id, ctx.now)
    return tuple(
        SharingPerson(
            customer_id=person.customer,
            name=person.name,
            role=person.role,
            joined_at=person.joined_at,
            card_number=shares[person.customer]["card"],
            points_earned=shares[person.customer]["earned"],
            points_spent=shares[person.customer]["spent"],
            points_left=shares[person.customer]["left"],
            daily_limit=person.redeem_limit,
        )
        for person in await store.list_people([membership_id])
    )
