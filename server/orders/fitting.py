"""A sale as it counts for one member: their programme, tier and caps before it is written, what it sets off after.

Everything here runs in the caller's transaction, with the membership locked.
"""

from uuid import UUID

import msgspec

from server.bonuses.service import grant_for_sale
from server.context import Context
from server.ledger.idle import date_idle_lot, move_idle_lots
from server.ledger.store import refresh_figures
from server.orders import rules
from server.orders.sales import Sale, Target, sale_in, skip_reason
from server.programmes.rules import needs_history
from server.programmes.service import get_programme
from server.tiers.service import get_occasion, note_uses, raise_tier
from shared.enums import OrderState, SkippedReason


def is_plain(sale: Sale, target: Target) -> bool:
    """Return whether a sale counts for its member as it would for any other of the shop's programme."""
    if target.membership_id is None:
        return True
    is_elsewhere = target.programme_id != sale.programme.id
    if is_elsewhere or sale.programme.has_idle_points:
        return False
    return sale.version is None or not sale.programme.needs_history(sale.version)


async def fit_to_member(sale: Sale, target: Target) -> tuple[Sale, Target]:
    """Return a sale with what it earns this member, and the target with why not.

    The programme is that of the membership, which the card on the sale names.
    """
    if is_plain(sale, target) or sale.order.state is OrderState.VOIDED:
        return sale, target
    assert target.membership_id is not None
    assert target.programme_id is not None
    assert target.eligible_from is not None
    programme = await get_programme(target.programme_id, fresh=True)
    if programme.id != sale.programme.id:
        sale = sale_in(programme, sale.order, order_id=sale.order_id, content_hash=sale.content_hash)
    if sale.version is not None and needs_history(sale.version.rules):
        occasion = await get_occasion(
            programme,
            sale.version.rules,
            membership_id=target.membership_id,
            completed_at=sale.order.completed_at,
            store_code=sale.order.store,
            order_id=sale.order_id,
        )
        plan = rules.plan_points(sale.order, sale.version.rules, programme.currency, occasion)
        sale = msgspec.structs.replace(sale, plan=plan)
    if sale.dates.idle_days is not None and sale.dates.expires_at is not None:
        expires_at = await date_idle_lot(target.membership_id, sale.dates.idle_days, sale.dates.expires_at)
        sale = msgspec.structs.replace(sale, dates=msgspec.structs.replace(sale.dates, expires_at=expires_at))
    return sale, msgspec.structs.replace(target, skipped=skip_reason(sale, target.eligible_from))


def keep_counting(sale: Sale, target: Target) -> Target:
    """Return the target of a sale that counted before its programme was closed: that takes nothing back."""
    if target.skipped is not SkippedReason.PROGRAMME_INACTIVE or target.eligible_from is None:
        return target
    programme = msgspec.structs.replace(sale.programme, status="active")
    skipped = skip_reason(msgspec.structs.replace(sale, programme=programme), target.eligible_from)
    return msgspec.structs.replace(target, skipped=skipped)


async def follow_up(ctx: Context, sale: Sale, target: Target, *, order_id: UUID, assignment_version: int) -> None:
    """Do what a sale that earned points sets off: caps are counted, tiers reached, bonuses given."""
    if target.membership_id is None or target.customer_id is None or target.skipped or sale.version is None:
        return
    if sale.programme.has_idle_points:
        await move_idle_lots(ctx, target.membership_id)
        await refresh_figures(target.membership_id, ctx.now)
    if not sale.programme.needs_history(sale.version):
        return
    await note_promotions(sale, target, order_id=order_id, assignment_version=assignment_version)
    await raise_tier(ctx, sale.programme, target.membership_id)
    await grant_for_sale(
        ctx,
        sale.programme,
        sale.version.rules.bonuses,
        customer_id=target.customer_id,
        membership_id=target.membership_id,
        order_id=order_id,
    )


async def note_promotions(sale: Sale, target: Target, *, order_id: UUID, assignment_version: int) -> None:
    """Note what promotions added to a sale, so that their caps for a member hold."""
    if target.skipped is None and sale.version is not None and sale.version.rules.promotions:
        await note_uses(order_id, assignment_version, sale.plan.promotions)
