"""Use cases of memberships."""

from datetime import datetime
from uuid import UUID

import msgspec

from server.audit.store import record
from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Refused
from server.memberships import store
from server.programmes.rules import eligible_from
from server.programmes.service import Programme, get_default_programme, get_programme
from server.programmes.standings import list_windows, next_level
from shared.codes import make_card_number, normalise_card_number
from shared.limits import CARD_LENGTH, CARD_PREFIX
from shared.members import Balance, DatedPoints, MembershipView
from shared.problems import Code

_RANDOM_DIGITS = CARD_LENGTH - len(CARD_PREFIX) - 1


class OpenedMembership(msgspec.Struct, frozen=True, kw_only=True):
    """A new membership and the card that scans for it."""

    membership_id: UUID
    card_number: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a membership is on the way to the next tier, "" where there is none."""

    points: int = 0
    next_tier: str = ""
    points_missing: int = 0


async def check_not_self(own_id: UUID | None, customer_id: UUID) -> None:
    """Keep staff from working on themselves and on those with whom they share points.

    Raises:
        Refused: SELF_DEALING.
    """
    if own_id is not None and await store.shares_with(own_id, customer_id):
        raise Refused(Code.SELF_DEALING)


async def open_membership(
    ctx: Context,
    *,
    customer_id: UUID,
    enrolled_at: datetime,
    card_number: str | None = None,
    programme: Programme | None = None,
) -> OpenedMembership:
    """Open a membership in a programme, the shop's own unless another is named; runs in the caller's transaction.

    Args:
        enrolled_at: When the person asked to join; sales from the start of that local day on count.
        card_number: An issued, unregistered card in the person's hand; a new one is made without it.

    Raises:
        Refused: CARD_UNKNOWN or CARD_TAKEN.
    """
    # Another process may have changed what decides from when on sales count.
    programme = programme or await get_default_programme(fresh=True)
    membership_id = new_id()
    await store.open_membership(
        membership_id,
        programme_id=programme.id,
        customer_id=customer_id,
        enrolled_at=enrolled_at,
        eligible_from=eligible_from(
            enrolled_at, programme.launch_at, programme.zone, grace_days=programme.settings.grace_days
        ),
        now=ctx.now,
    )
    if card_number is None:
        code = await issue_card(ctx, membership_id=membership_id, customer_id=customer_id)
    else:
        code = await adopt_card(ctx, card_number, membership_id=membership_id, customer_id=customer_id)
    return OpenedMembership(membership_id=membership_id, card_number=code)


async def issue_card(ctx: Context, *, membership_id: UUID, customer_id: UUID) -> str:
    """Make a card for a customer in a membership and return its number; runs in the caller's transaction."""
    while True:
        code = make_card_number(ctx.tokens.random_digits(_RANDOM_DIGITS))
        if await store.issue_card(code, membership_id=membership_id, customer_id=customer_id, now=ctx.now):
            return code


async def print_cards(ctx: Context, count: int) -> tuple[str, ...]:
    """Issue unregistered cards to be printed and return their numbers; a customer who takes one registers with it."""
    numbers: list[str] = []
    async with DB.transaction():
        while len(numbers) < count:
            drawn = [make_card_number(ctx.tokens.random_digits(_RANDOM_DIGITS)) for _ in range(count - len(numbers))]
            numbers += await store.insert_unregistered_cards(drawn, ctx.now)
        await record(ctx, "cards.issued", subject_kind="card", subject_id=None, details={"count": count})
    return tuple(numbers)


async def adopt_card(ctx: Context, card_number: str, *, membership_id: UUID, customer_id: UUID) -> str:
    """Register a printed card and return its number; runs in the caller's transaction.

    Raises:
        Refused: CARD_UNKNOWN or CARD_TAKEN.
    """
    code = normalise_card_number(card_number)
    card = await store.lock_card(code)
    if card is None:
        raise Refused(Code.CARD_UNKNOWN)
    if not await store.adopt_card(card["id"], membership_id=membership_id, customer_id=customer_id, now=ctx.now):
        raise Refused(Code.CARD_TAKEN)
    return code


async def is_card_free(card_number: str) -> bool:
    """Return whether a printed card can be registered; locks it, so that the answer holds in this transaction."""
    card = await store.lock_card(normalise_card_number(card_number))
    return card is not None and card["status"] == "issued"


async def list_membership_views(customer_id: UUID, now: datetime) -> tuple[MembershipView, ...]:
    """Return a customer's memberships with card and balance, oldest first."""
    rows = await store.list_views(customer_id, now)
    return tuple([_view(row, await _get_progress(row, now), now) for row in rows])


async def _get_progress(row: Row, now: datetime) -> Progress:
    programme = await get_programme(row["programme"])
    if programme.version != row["programme_version"]:
        programme = await get_programme(row["programme"], fresh=True)
    version = programme.rules_at(now)
    if version is None or not version.rules.tiers.levels:
        return Progress()
    tiers = version.rules.tiers
    running = list_windows(tiers, now, programme.zone)[0]
    points = await store.get_qualifying_points(row["id"], running.since, running.until)
    above = next_level(tiers, row["tier"], points)
    return Progress(
        points=points,
        next_tier=above.name if above else "",
        points_missing=max(0, above.from_points - points) if above else 0,
    )


def _view(row: Row, progress: Progress, now: datetime) -> MembershipView:
    return MembershipView(
        id=row["id"],
        programme_code=row["programme_code"],
        programme_name=row["programme_name"],
        unit_one=row["unit_one"],
        unit_many=row["unit_many"],
        status=row["status"],
        role=row["role"],
        tier=row["tier"],
        enrolled_at=row["enrolled_at"],
        card_number=row["card_number"],
        former_id=row["former_id"],
        tier_until=row["tier_until"],
        qualifying_points=progress.points,
        next_tier=progress.next_tier,
        next_tier_points=progress.points_missing,
        idle_until=row["idle_until"],
        balance=Balance(
            available=row["available"],
            pending=row["pending"],
            deficit=row["deficit"],
            lifetime=row["lifetime"],
            held=row["held"],
            maturing=tuple(DatedPoints(at=at, points=points) for at, points in row["maturing"]),
            expiring=tuple(DatedPoints(at=at, points=points) for at, points in row["expiring"]),
            as_of=now,
        ),
    )
