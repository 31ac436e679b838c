"""A sale before it is written: checked, worked out, and the member it counts for."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.customers.rules import parse_email
from server.customers.suppression import Name, find_suppressed, pos_name
from server.db.engine import Row
from server.db.ids import new_id, new_ids
from server.errors import Busy, Invalid
from server.orders import rules, store
from server.programmes.rules import EarningPlan, LotDates, Occasion, lot_dates
from server.programmes.service import Programme, RuleVersion, get_default_programme
from shared.codes import normalise_card_number
from shared.enums import OrderState, SkippedReason
from shared.limits import ORDER_AHEAD_MAX
from shared.pos import LinePoints, PosCustomer, PosOrder, PosOrderResult
from shared.problems import Code, FieldProblem


class Sale(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A checked sale with all that is known before anybody looks at the customer."""

    order: PosOrder
    order_id: UUID
    programme: Programme
    version: RuleVersion | None
    plan: EarningPlan
    dates: LotDates
    content_hash: bytes

    @property
    def skipped(self) -> SkippedReason | None:
        """Why it earns nothing whoever bought, None if that is all there is against it."""
        return rules.why_unfinished(self.order.state)


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whom a sale counts for, and why it earns nothing if it does not. `reason` says how the customer was found."""

    customer_id: UUID | None = None
    membership_id: UUID | None = None
    programme_id: UUID | None = None
    eligible_from: datetime | None = None
    deficit: int = 0
    reason: str = "none"
    skipped: SkippedReason | None = None


PRESENT = ("active", "stub")
"""The states of customers for whom a sale can count."""


class BuyerMoved(Busy):
    """Somebody else moved the points of who bought, or merged them, just now; the next try finds them where they are."""


async def prepare_sale(ctx: Context, order: PosOrder, *, fresh: bool = False, order_id: UUID | None = None) -> Sale:
    """Check a sale and work out what it would earn a member.

    Args:
        order_id: What it will have if it is new; None makes one.

    Raises:
        Invalid: A field is wrong by itself; it is named.
    """
    rules.check_order(order)
    if order.completed_at > ctx.now + ORDER_AHEAD_MAX:
        field = FieldProblem(field="completed_at", detail="This is in the future.")
        raise Invalid(field, code=Code.TIME_OUT_OF_RANGE)
    programme = await get_default_programme(fresh=fresh)
    if order.currency != programme.currency:
        field = FieldProblem(field="currency", detail=f"The programme counts {programme.currency}.")
        raise Invalid(field, code=Code.CURRENCY_MISMATCH)
    return sale_in(programme, order, order_id=order_id or new_id(), content_hash=_hash_content(order))


def sale_in(programme: Programme, order: PosOrder, *, order_id: UUID, content_hash: bytes) -> Sale:
    """Return what a checked sale earns in a programme by itself."""
    version = programme.rules_at(order.completed_at) if order.currency == programme.currency else None
    return Sale(
        order=order,
        order_id=order_id,
        programme=programme,
        version=version,
        plan=rules.plan_points(
            order,
            version.rules if version else None,
            programme.currency,
            Occasion(completed_at=order.completed_at, zone=programme.zone, store_code=order.store),
        ),
        dates=lot_dates(order.completed_at, version.rules, programme.zone)
        if version
        else LotDates(available_at=order.completed_at, expires_at=None),
        content_hash=content_hash,
    )


def _hash_content(order: PosOrder) -> bytes:
    """Return the SHA-256 of what was sold to whom, however it is written; state and revision go their own way."""
    order = rules.same_however_written(order)
    if order.state is not OrderState.COMPLETED or order.revision:
        order = msgspec.structs.replace(order, state=OrderState.COMPLETED, revision=0)
    return hashlib.sha256(msgspec.json.encode(order)).digest()


async def find_target(sale: Sale, connection_id: UUID) -> Target:
    """Find and lock the membership that a till system's sale counts for, or say why there is none.

    Raises:
        BuyerMoved: Who bought was merged or forgotten, joined or left, or their points moved, between look and lock.
    """
    if sale.order.customer is None:
        return Target(skipped=sale.skipped or SkippedReason.NO_CUSTOMER)
    found, reason = await resolve_customer(sale.order.customer, connection_id)
    if found is None:
        return Target(skipped=sale.skipped or SkippedReason.CUSTOMER_UNKNOWN)
    # Held before the membership is looked at: who has waited sees what those did for whom they waited.
    if await store.hold_customer(found["customer"]) not in PRESENT:
        raise BuyerMoved
    target = await lock_target(sale, found["customer"], found["membership"], reason)
    if target.membership_id is None:
        # Held as they are now, they may be somewhere else than at the first look, or nobody any more.
        again, _ = await resolve_customer(sale.order.customer, connection_id)
        if again is None or again["membership"] != found["membership"]:
            raise BuyerMoved
    return target


async def drop_erased_names(
    ctx: Context, connection_id: UUID, decided: Sequence[tuple[Sale, Target]]
) -> list[tuple[Sale, Target]]:
    """Let sales of nobody that name an erased person, by the till's own id, name nobody: such an id is not kept."""
    ids = {
        sale.order.customer.pos_customer_id
        for sale, target in decided
        if sale.order.customer is not None and sale.order.customer.pos_customer_id and target.customer_id is None
    }
    if not ids:
        return list(decided)
    names: dict[str, Name] = {one: ("pos", pos_name(connection_id, one)) for one in ids}
    erased = await find_suppressed(ctx, names.values())
    return [
        (msgspec.structs.replace(sale, order=msgspec.structs.replace(sale.order, customer=None)), target)
        if sale.order.customer is not None and names.get(sale.order.customer.pos_customer_id or "") in erased
        else (sale, target)
        for sale, target in decided
    ]


async def lock_target(sale: Sale, customer_id: UUID, membership_id: UUID | None, reason: str) -> Target:
    """Lock the membership that a known customer's sale counts for, and say why it earns nothing if it does not.

    Raises:
        BuyerMoved: The customer was merged, or the points moved, between the look and the lock.
    """
    not_member = Target(customer_id=customer_id, reason=reason, skipped=sale.skipped or SkippedReason.NOT_MEMBER)
    if membership_id is None:
        if await store.hold_customer(customer_id) == "merged":
            raise BuyerMoved
        return not_member
    locked = await store.lock_target(membership_id, customer_id)
    assert locked is not None
    if locked["successor"] is not None or locked["customer_status"] == "merged":
        raise BuyerMoved
    if not _is_member(locked):
        return not_member
    return target_of(sale, locked, customer_id, reason, eligible_from=locked["eligible_from"])


def _is_member(locked: Row) -> bool:
    return locked["status"] == "active" and locked["eligible_from"] is not None


def target_of(sale: Sale, locked: Row, customer_id: UUID, reason: str, *, eligible_from: datetime) -> Target:
    """Return the target in a membership that is locked, of which the customer is a member."""
    return Target(
        customer_id=customer_id,
        membership_id=locked["id"],
        programme_id=locked["programme"],
        eligible_from=eligible_from,
        deficit=locked["deficit"],
        reason=reason,
        skipped=skip_reason(sale, eligible_from),
    )


async def resolve_customer(customer: PosCustomer, connection_id: UUID | None = None) -> tuple[Row | None, str]:
    """Return who is meant, with the membership, and by what; a till's own ids mean something in its system only."""
    if customer.card_number is not None:
        found = await store.resolve_card(normalise_card_number(customer.card_number))
        if found is None or found["status"] != "active" or found["customer_status"] not in PRESENT:
            return None, "card"
        return found, "card"
    if customer.email is not None:
        return await store.resolve_email(parse_email(customer.email, "customer.email").key), "email"
    if customer.pos_customer_id is None or connection_id is None:
        return None, "pos"
    found = await store.resolve_record(connection_id, customer.pos_customer_id)
    is_known = found is not None and found["customer_status"] in PRESENT
    return (found if is_known else None), "pos"


def skip_reason(sale: Sale, eligible_from: datetime) -> SkippedReason | None:
    """Return why a sale earns a member nothing, None if it earns."""
    return sale.skipped or why_nothing(sale, eligible_from)


def why_nothing(sale: Sale, eligible_from: datetime) -> SkippedReason | None:
    """Return the same of a sale that is completed, or as if it were."""
    if sale.version is None or sale.programme.status != "active":
        return SkippedReason.PROGRAMME_INACTIVE
    if sale.order.completed_at < eligible_from:
        return SkippedReason.BEFORE_START
    return None if sale.plan.points else rules.why_nothing(sale.plan)


def expected_points(sale: Sale, target: Target) -> int:
    """Return what an open sale will earn if it is completed as it is, 0 for any other."""
    if sale.order.state is not OrderState.OPEN or target.eligible_from is None:
        return 0
    return 0 if why_nothing(sale, target.eligible_from) else sale.plan.points


def result_of(sale: Sale, target: Target) -> PosOrderResult:
    return PosOrderResult(
        order_id=sale.order_id,
        points=0 if target.skipped else sale.plan.points,
        lines=tuple(
            LinePoints(
                line_id=line.line_id,
                points=0 if target.skipped else share.points,
                rule=rules.skipped_line_words(target.skipped) if target.skipped else share.rule,
            )
            for line, share in zip(sale.order.lines, sale.plan.lines, strict=True)
        ),
        skipped_reason=target.skipped,
        state=sale.order.state,
        revision=sale.order.revision,
        points_expected=expected_points(sale, target),
    )


def record_of(sale: Sale, target: Target, result: PosOrderResult) -> store.OrderRecord:
    """Return what is written of a sale whose result is `result_of` the same sale and target."""
    order = sale.order
    entry_id, *line_ids = new_ids(1 + len(order.lines))
    return store.OrderRecord(
        id=sale.order_id,
        external_id=order.external_id,
        number=order.number,
        store_code=order.store,
        completed_at=order.completed_at,
        currency=order.currency,
        net_minor=sum(line.net_minor for line in order.lines),
        tax_minor=sum(line.tax_minor for line in order.lines),
        content_hash=sale.content_hash,
        points=result.points,
        skipped_reason=target.skipped,
        rule_version_id=sale.version.id if sale.version else None,
        assignment_reason=target.reason,
        lines=tuple(
            store.LineRecord(
                id=line_id,
                order_id=sale.order_id,
                position=position,
                line_id=line.line_id,
                sku=line.sku,
                description=line.description,
                category=line.category,
                quantity=str(line.quantity),
                net_minor=line.net_minor,
                tax_minor=line.tax_minor,
                points=earned.points,
                rule=earned.rule,
                stored_value=line.stored_value,
                points_paid_minor=line.points_paid_minor,
            )
            for position, (line_id, line, earned) in enumerate(zip(line_ids, order.lines, result.lines, strict=True))
        ),
        state=order.state,
        revision=order.revision,
        entry_id=entry_id,
        available_at=sale.dates.available_at,
        expires_at=sale.dates.expires_at,
        idle_days=sale.dates.idle_days,
        pos_customer_id=order.customer.pos_customer_id if order.customer else None,
    )
