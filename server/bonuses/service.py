"""Use cases of bonuses. A grant is a row of its own, so that each is given once, however many ask for it at once."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server.audience.marks import mark_membership
from server.audit.store import record
from server.bonuses import rules, store
from server.context import Context
from server.db.engine import DB, Row
from server.errors import Busy, NotFound, Refused
from server.ledger.movements import Clawback, Origin, claw_back
from server.ledger.service import post_credit
from server.ledger.transfer_store import list_parts
from server.programmes.rules import lot_dates
from server.programmes.service import Programme, get_default_programme, get_programme
from server.programmes.store import list_programmes
from shared.enums import EntryKind
from shared.problems import Code
from shared.programmes import BonusRules, ReferralAnswer, ReferralCode

_AT_ONCE = 500
_CODE_BITS_DIGITS = 12  # 40 bits, as a code has.
_WORDS = {
    "sign_up": "welcome",
    "birthday": "birthday",
    "first_purchase": "first purchase",
    "referrer": "a friend joined",
    "referred": "brought by a friend",
}

BonusTaken: TypeAlias = tuple[UUID, Clawback]
"""What was taken of a bonus, and from which membership: its owner may have taken points of it along on leaving one."""


async def grant_sign_up(
    ctx: Context, *, customer_id: UUID, membership_id: UUID, programme: Programme | None = None
) -> None:
    """Give a new member of a programme, the shop's own unless another is named, the welcome bonus; in the transaction."""
    programme = programme or await get_default_programme(fresh=True)
    bonuses = _bonuses_of(programme, ctx.now)
    await _grant(ctx, programme, "sign_up", bonuses.sign_up, customer_id=customer_id, membership_id=membership_id)


async def grant_for_sale(
    ctx: Context,
    programme: Programme,
    bonuses: BonusRules,
    *,
    customer_id: UUID,
    membership_id: UUID,
    order_id: UUID,
) -> None:
    """Give what a sale that earned points sets off, in its transaction: first purchase, and the friend's part of a referral.

    The referrer's part follows by the sweep, as that membership may not be locked after this one.

    Args:
        bonuses: Of the rules by which the sale earned.
    """
    if not (bonuses.first_purchase or bonuses.referred or bonuses.referrer):
        return
    if await store.has_bought(customer_id, programme.id, except_order=order_id):
        return
    points = {"first_purchase": bonuses.first_purchase}
    if await store.complete_referral(
        programme.id, customer_id, order_id=order_id, referrer_points=bonuses.referrer, now=ctx.now
    ):
        points["referred"] = bonuses.referred
    for code, worth in points.items():
        returned = await store.count_returned(programme.id, code, customer_id)
        await _grant(
            ctx, programme, code, worth, customer_id=customer_id, membership_id=membership_id,
            occasion=str(returned + 1) if returned else "", order_id=order_id,
        )  # fmt: skip


async def take_back_for_sale(ctx: Context, *, order_id: UUID, membership: Row) -> list[BonusTaken]:
    """Take back what a sale set off, as it goes to somebody else; the customer can be given it again.

    A friend's referral is open again; what the referrer was paid for it stays, and is not paid twice.

    Args:
        membership: Locked; where the bonuses are today.
    """
    grants = await store.list_set_off(order_id, membership["id"])
    return await _take_back(ctx, grants, order_id=order_id)


async def take_back_without_sales(
    ctx: Context, *, order_id: UUID, customer_id: UUID, membership: Row
) -> list[BonusTaken]:
    """Take back what a customer's sales set off, as one is void or all of it came back, and no other one is left.

    With another one they keep it: that would have set it off.

    Args:
        membership: Locked; where the sale counts.
    """
    if await store.has_bought(customer_id, membership["programme"], except_order=order_id):
        return []
    grants = await store.list_set_off_by(customer_id, membership["id"])
    return await _take_back(ctx, grants, order_id=order_id)


async def _take_back(ctx: Context, grants: Sequence[Row], *, order_id: UUID) -> list[BonusTaken]:
    taken: list[BonusTaken] = []
    for grant in grants:
        backs = [
            (part["membership"], await _take_part_back(ctx, grant, part, number=number))
            for number, part in enumerate(await list_parts(grant["entry"]))
            if part["points"]
        ]
        points = sum(back.points for _, back in backs)
        await store.return_grant(grant["id"], points, ctx.now)
        await record(
            ctx, "bonus.taken_back", subject_kind="orders", subject_id=order_id, customer_id=grant["customer"],
            details={"code": grant["code"], "points": points},
        )  # fmt: skip
        taken += backs
    await store.reopen_referrals({order_id, *(grant["order"] for grant in grants)})
    return taken


async def _take_part_back(ctx: Context, grant: Row, part: Row, *, number: int) -> Clawback:
    origin = Origin(
        source_key=f"bonus:{grant['id']}:{number}" if number else f"bonus:{grant['id']}",
        customer_id=grant["customer"],
        related_entry_id=part["entry"],
        reason_code="bonus_moved",
    )
    return await claw_back(ctx, part["membership"], part["points"], origin, own_entry_id=part["entry"])


async def grant_due(ctx: Context) -> int:
    """Give the birthday bonuses of the last days and what referrers are owed; return how many bonuses were given."""
    count = 0
    for row in await list_programmes():
        programme = await get_programme(row["id"], fresh=True)
        bonuses = _bonuses_of(programme, ctx.now)
        if bonuses.birthday:
            count += await _grant_birthdays(ctx, programme, bonuses.birthday)
        if programme.status == "active":
            count += await _grant_referrers(ctx, programme)
    return count


async def get_referral_code(ctx: Context, customer_id: UUID, membership_id: UUID) -> ReferralCode:
    """Return the code a member hands to friends, and make it the first time.

    Raises:
        NotFound: This is not an active membership of the member's.
    """
    async with DB.transaction():
        programme_id = await store.find_programme_of(membership_id, customer_id)
        if programme_id is None:
            raise NotFound
        while True:
            if code := await store.find_code(programme_id, customer_id):
                return ReferralCode(code=code)
            number = int(ctx.tokens.random_digits(_CODE_BITS_DIGITS))
            await store.insert_code(rules.make_referral_code(number), programme_id, customer_id, ctx.now)


async def name_referrer(ctx: Context, customer_id: UUID, membership_id: UUID, code: str) -> ReferralAnswer:
    """Note who brought a member; counts until the first purchase.

    Raises:
        NotFound: This is not an active membership of the member's, or nobody has the code.
        Refused: SELF_REFERRAL or REFERRAL_CLOSED.
    """
    async with DB.transaction():
        programme_id = await store.find_programme_of(membership_id, customer_id)
        owner = await store.find_code_owner(rules.normalise_referral_code(code))
        named = [owner["customer"]] if owner is not None else []
        # A purchase that is being posted comes first, as it is the last one that could pay for this.
        if programme_id is None or await store.lock_membership(membership_id, customer_id, *named) is None:
            raise NotFound
        # Whoever has the code may have been merged while we waited.
        if await store.find_code_owner(rules.normalise_referral_code(code)) != owner:
            raise Busy
        if owner is None or owner["programme"] != programme_id:
            raise NotFound("Nobody has this code.")
        if owner["customer"] == customer_id:
            raise Refused(Code.SELF_REFERRAL)
        if await store.has_bought(customer_id, programme_id, except_order=None):
            raise Refused(Code.REFERRAL_CLOSED)
        if not await store.insert_referral(
            programme_id, referrer_id=owner["customer"], referred_id=customer_id, now=ctx.now
        ):
            raise Refused(Code.REFERRAL_CLOSED)
        await record(
            ctx, "referral.named", subject_kind="customer", subject_id=owner["customer"], customer_id=customer_id
        )
    return ReferralAnswer(accepted=True)


async def _grant_birthdays(ctx: Context, programme: Programme, points: int) -> int:
    tz = ZoneInfo(programme.zone)
    today, count = ctx.now.astimezone(tz).date(), 0
    for late in range(rules.BIRTHDAYS_LATE_MAX.days + 1):
        day = today - timedelta(days=late)
        ends_at = datetime.combine(day + timedelta(days=1), time(), tz).astimezone(UTC)
        while True:
            due = await store.list_birthdays(
                programme.id,
                rules.celebrated_on(day),
                joined_before=ends_at - timedelta(microseconds=1),
                occasion=str(day.year),
                none_since=ends_at - rules.BIRTHDAYS_APART_MIN,
                limit=_AT_ONCE,
            )
            given = 0
            for row in due:
                async with DB.transaction():
                    given += await _grant(
                        ctx, programme, "birthday", points, customer_id=row["customer"],
                        membership_id=row["membership"], occasion=str(day.year),
                    )  # fmt: skip
            count += given
            if len(due) < _AT_ONCE or not given:
                break
    return count


async def _grant_referrers(ctx: Context, programme: Programme) -> int:
    count = 0
    while True:
        due = await store.list_unpaid(programme.id, _AT_ONCE)
        given = 0
        for row in due:
            given += await _pay_referrer(ctx, programme, row)
        count += given
        if len(due) < _AT_ONCE or not given:
            return count


async def _pay_referrer(ctx: Context, programme: Programme, referral: Row) -> bool:
    async with DB.transaction():
        membership = await store.lock_membership(referral["membership"], referral["referrer"])
        # The sale may have been taken back meanwhile; and where the membership is over, it waits for another one.
        if membership is None or not await store.mark_paid(referral["id"], ctx.now):
            return False
        return await _grant(
            ctx, programme, "referrer", referral["referrer_points"], customer_id=referral["referrer"],
            membership_id=referral["membership"], occasion=str(referral["id"]),
        )  # fmt: skip


async def _grant(
    ctx: Context,
    programme: Programme,
    code: str,
    points: int,
    *,
    customer_id: UUID,
    membership_id: UUID,
    occasion: str = "",
    order_id: UUID | None = None,
) -> bool:
    """Give a bonus once; False if it was given before, is worth nothing, or the membership is over."""
    if not points:
        return False
    membership = await store.lock_membership(membership_id, customer_id)
    version = programme.rules_at(ctx.now)
    if membership is None or version is None:
        return False
    if not await store.insert_grant(
        programme.id, code, customer_id, occasion=occasion, membership_id=membership_id, points=points, now=ctx.now,
        order_id=order_id,
    ):  # fmt: skip
        return False
    # A bonus cannot be returned, so it does not wait; it lapses like points earned today.
    dates = lot_dates(ctx.now, msgspec.structs.replace(version.rules, pending_days=0), programme.zone)
    entry_id = await post_credit(
        ctx,
        membership_id=membership_id,
        deficit=membership["deficit"],
        kind=EntryKind.BONUS,
        points=points,
        source_key=":".join((str(programme.id), code, str(customer_id), *([occasion] if occasion else []))),
        occurred_at=ctx.now,
        available_at=dates.available_at,
        expires_at=dates.expires_at,
        idle_days=dates.idle_days,
        customer_id=customer_id,
        reason_code=f"bonus_{code}",
        note=_WORDS[code],
    )
    await record(
        ctx, "bonus.granted", subject_kind="ledger_entry", subject_id=entry_id, customer_id=customer_id,
        details={"code": code, "points": points},
    )  # fmt: skip
    await mark_membership(ctx, membership_id)
    return True


def _bonuses_of(programme: Programme, now: datetime) -> BonusRules:
    version = programme.rules_at(now)
    return version.rules.bonuses if version is not None and programme.status == "active" else BonusRules()
