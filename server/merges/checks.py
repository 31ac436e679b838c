"""What stands against a merge, in the order in which a person is told."""

from uuid import UUID

import msgspec

from server.context import Context
from server.errors import Invalid, NotFound, Refused
from server.ledger.transfers import list_live_lots
from server.merges import store
from server.merges.rules import Person, join_notes, plan_fields
from server.rewards.service import check_no_open_hold
from server.sharing.store import list_people
from shared.limits import MERGE_POINTS_MAX
from shared.merges import MergeChoices, MergeNeed
from shared.problems import Code, FieldProblem

_DEAD = {"merged": Code.CUSTOMER_MERGED, "erased": Code.CUSTOMER_ERASED}


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The two customers as they are under the locks."""

    survivor: Person
    absorbed: Person
    staff_ids: tuple[UUID, ...]

    @property
    def ids(self) -> tuple[UUID, UUID]:
        """The ids of both."""
        return (self.survivor.id, self.absorbed.id)


async def load_pair(survivor_id: UUID, absorbed_id: UUID) -> Pair:
    """Return both customers.

    Raises:
        NotFound: One of them does not exist.
        Refused: MERGE_SAME, CUSTOMER_MERGED with the survivor's id, CUSTOMER_ERASED.
    """
    if survivor_id == absorbed_id:
        raise Refused(Code.MERGE_SAME)
    people = []
    for customer_id in (survivor_id, absorbed_id):
        person = await store.find_person(customer_id)
        if person is None:
            raise NotFound("There is no such customer.")
        if code := _DEAD.get(person.status):
            raise Refused(code, data={"customer_id": str(person.merged_into)} if person.merged_into else None)
        people.append(person)
    staff = tuple(await store.list_staff_of([survivor_id, absorbed_id]))
    return Pair(survivor=people[0], absorbed=people[1], staff_ids=staff)


async def check_pair(ctx: Context, pair: Pair, choices: MergeChoices) -> None:
    """Refuse what no approval can help.

    Raises:
        Invalid: A choice that leaves a sign-in without a proven address, or notes that are too long together.
        Refused: OPEN_HOLD, EMAIL_CHANGE_PENDING, MERGE_KIND_MISMATCH, MERGE_SHARED, PRIVACY_REQUEST_OPEN.
    """
    ours, theirs = await store.list_homes(pair.survivor.id), await store.list_homes(pair.absorbed.id)
    await check_no_open_hold(ctx, sorted({*ours.values(), *theirs.values()}))
    if not choices.cancel_email_changes and await store.has_pending_change(pair.ids, ctx.now):
        raise Refused(Code.EMAIL_CHANGE_PENDING, "A change of address waits for its proof; it can be given up here.")
    if pair.survivor.kind != pair.absorbed.kind:
        raise Refused(Code.MERGE_KIND_MISMATCH)
    await _check_shared(pair, choices, ours, theirs)
    if await store.has_open_erasure(pair.ids):
        raise Refused(Code.PRIVACY_REQUEST_OPEN)
    _check_fields(pair, choices)


async def list_needs(pair: Pair) -> tuple[MergeNeed, ...]:
    """Return why a second person has to approve."""
    survivor, absorbed = pair.survivor, pair.absorbed
    needs = []
    if pair.staff_ids:
        needs.append(MergeNeed.STAFF_LINKED)
    if all(one.has_login and one.has_proven_email for one in (survivor, absorbed)):
        needs.append(MergeNeed.BOTH_HAVE_LOGINS)
    if "blocked" in (survivor.status, absorbed.status):
        needs.append(MergeNeed.BLOCKED)
    homes = await store.list_homes(absorbed.id)
    points = [sum(lot.remaining for lot in await list_live_lots(home)) for home in homes.values()]
    if sum(points) > MERGE_POINTS_MAX:
        needs.append(MergeNeed.MANY_POINTS)
    return tuple(needs)


async def check_not_self(staff_customer_id: UUID | None, pair: Pair) -> None:
    """Refuse staff who are one of the two, or share points with one.

    Raises:
        Refused: SELF_DEALING.
    """
    if staff_customer_id is None:
        return
    homes = [home for one in pair.ids for home in (await store.list_homes(one)).values()]
    people = {person.customer for person in await list_people(homes)}
    if staff_customer_id in people | set(pair.ids):
        raise Refused(Code.SELF_DEALING)


async def _check_shared(pair: Pair, choices: MergeChoices, ours: dict[UUID, UUID], theirs: dict[UUID, UUID]) -> None:
    for programme_id, home in theirs.items():
        own = ours.get(programme_id)
        if own is None or own == home:
            continue
        people = await list_people([home])
        if len(people) == 1:
            continue
        if choices.shared_membership is None:
            raise Refused(
                Code.MERGE_SHARED,
                "The customer who is folded in shares a membership with others: choose whether the one who is kept comes "
                "into it, or the other leaves it first.",
            )
        is_owner = any(one.customer == pair.absorbed.id and one.role == "owner" for one in people)
        if choices.shared_membership == "leave" and is_owner:
            raise Refused(Code.MERGE_SHARED, "An owner has to name the next one first: let them leave the membership.")
        if choices.shared_membership == "combine" and len(await list_people([own])) > 1:
            raise Refused(
                Code.MERGE_SHARED, "Both share their memberships with others: one of them has to leave first."
            )


def _check_fields(pair: Pair, choices: MergeChoices) -> None:
    survivor, absorbed = pair.survivor, pair.absorbed
    fields = plan_fields(survivor, absorbed, choices)
    email = (absorbed if fields.email == "absorbed" else survivor).primary("email")
    if (survivor.has_login or absorbed.has_login) and not (email is not None and email.is_proven):
        detail = "A sign-in needs a proven address: choose the one that is proven."
        raise Invalid(FieldProblem(field="choices.email", detail=detail))
    if join_notes(survivor.notes, absorbed.notes) is None:
        detail = "The notes of both are too long together: shorten one of them first."
        raise Invalid(FieldProblem(field="notes", detail=detail))
