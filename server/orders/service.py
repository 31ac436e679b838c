"""Use cases of orders."""

import hashlib
from functools import partial
from uuid import UUID

import msgspec

from server.auth import Key, find_key
from server.context import Context
from server.cursors import decode_cursor, encode_cursor
from server.customers.rules import parse_email
from server.customers.service import check_exists
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import Invalid, NotFound, NotPermitted, Refused
from server.idempotency import IdempotentCall, StoredReply, once
from server.ledger import store as ledger_store
from server.ledger.rules import Debt, plan_fills
from server.orders import rules, store
from server.programmes.rules import EarningPlan, LotDates, lot_dates
from server.programmes.service import Programme, RuleVersion, get_default_programme
from server.tokens import hash_token
from shared.codes import normalise_card_number
from shared.enums import Scope, SkippedReason
from shared.limits import ORDER_AHEAD_MAX
from shared.members import LineView, OrderPage, OrderView
from shared.pos import LinePoints, PosCustomer, PosLookup, PosOrder, PosOrderResult
from shared.problems import Code, FieldProblem


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A checked sale with all that is known before anybody looks at the customer."""

    order: PosOrder
    order_id: UUID
    programme: Programme
    version: RuleVersion | None
    plan: EarningPlan
    dates: LotDates
    content_hash: bytes


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a sale counts for, and why it earns nothing if it does not. `reason` says how the customer was found."""

    customer_id: UUID | None = None
    membership_id: UUID | None = None
    deficit: int = 0
    reason: str = "none"
    skipped: SkippedReason | None = None


async def push_order(ctx: Context, *, token: str, call: IdempotentCall, order: PosOrder) -> StoredReply:
    """Take a sale from a till and post its points, once, and answer how many and why.

    The plain case (a member's card, rules as remembered, no deficit, nothing sent before) is one statement that also
    checks the key. Everything else goes step by step in one transaction.

    Raises:
        NotSignedIn: The key is unknown, expired or revoked.
        NotPermitted: The key lacks the scope or is not for this store.
        Invalid: A field is wrong; it is named.
        Refused: ORDER_CONFLICT or IDEMPOTENCY_CONFLICT.
    """
    try:
        sale = await prepare_sale(ctx, order)
    except Refused:
        # Strangers learn that their key is wrong, not what is wrong with their order.
        await find_key(ctx, token, Scope.ORDERS)
        raise
    if reply := await _post_plain(ctx, sale, token=token, call=call):
        return StoredReply(status=201, body=reply, replayed=False)
    key = await find_key(ctx, token, Scope.ORDERS)
    ctx = ctx.acting_as("key", key.key_id)
    return await once(ctx, call, 201, partial(_post_step_by_step, ctx, key, order))


async def prepare_sale(ctx: Context, order: PosOrder, *, fresh: bool = False) -> Sale:
    """Check a sale and work out what it would earn a member.

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
    version = programme.rules_at(order.completed_at)
    return Sale(
        order=order,
        order_id=new_id(),
        programme=programme,
        version=version,
        plan=rules.plan_points(order, version.rules if version else None, programme.currency),
        dates=lot_dates(order.completed_at, version.rules, programme.zone)
        if version
        else LotDates(available_at=order.completed_at, expires_at=None),
        content_hash=hashlib.sha256(msgspec.json.encode(order)).digest(),
    )


async def _post_plain(ctx: Context, sale: Sale, *, token: str, call: IdempotentCall) -> bytes | None:
    customer = sale.order.customer
    if customer is None or customer.card_number is None or not sale.plan.points:
        return None
    target = Target(reason="card")
    reply = msgspec.json.encode(_result(sale, target))
    card_sale = store.CardSale(
        token_hash=hash_token(token),
        card_code=normalise_card_number(customer.card_number),
        programme_version=sale.programme.version,
        principal=call.principal,
        idempotency_key=call.key,
        body_hash=call.body_hash,
        reply=reply,
    )
    posted = await store.post_by_card(_record(sale, target), card_sale, now=ctx.now, request_id=ctx.request_id)
    return reply if posted else None


async def _post_step_by_step(ctx: Context, key: Key, order: PosOrder) -> PosOrderResult:
    """Post a sale in the caller's transaction; one sent before with the same content gets the first answer."""
    if key.stores and order.store not in key.stores:
        raise NotPermitted("This key is not for this store.")
    if not await store.store_exists(order.store):
        raise Invalid(FieldProblem(field="store", detail="We do not know this store."), code=Code.STORE_UNKNOWN)
    sale = await prepare_sale(ctx, order, fresh=True)
    target = await _find_target(sale)
    if not await _record_sale(ctx, key, sale, target):
        existing = await store.find_by_external_id(key.connection_id, order.external_id)
        assert existing is not None, "the insert conflicted with this order, and orders are never deleted"
        return await _first_result(existing, sale)
    await store.touch_key(key.key_id, ctx.now.date())
    return _result(sale, target)


async def _record_sale(ctx: Context, key: Key, sale: Sale, target: Target) -> bool:
    record = _record(sale, target)
    fills = plan_fills(record.points, await _debts_of(target)) if record.points else ()
    recorded = await store.record(
        msgspec.structs.replace(record, filled=sum(fill.points for fill in fills)),
        connection_id=key.connection_id,
        customer_id=target.customer_id,
        membership_id=target.membership_id,
        now=ctx.now,
        request_id=ctx.request_id,
        actor=ctx.actor,
    )
    if recorded and target.membership_id:
        if fills:
            await ledger_store.insert_fills(target.membership_id, record.entry_id, fills, ctx.now)
        # The cached figures may have been out of date, so they are summed anew.
        await ledger_store.refresh_figures(target.membership_id, ctx.now)
    return recorded


async def _debts_of(target: Target) -> list[Debt]:
    if not target.deficit or target.membership_id is None:
        return []
    return await ledger_store.list_debts(target.membership_id)


async def _first_result(existing: Row, sale: Sale) -> PosOrderResult:
    if existing["content_hash"] != sale.content_hash:
        raise Refused(Code.ORDER_CONFLICT, "This external_id was sent before with other content.")
    lines = await store.list_line_points(existing["id"])
    return PosOrderResult(
        order_id=existing["id"],
        points=existing["points"],
        lines=tuple(LinePoints(line_id=row["line_id"], points=row["points"], rule=row["rule"]) for row in lines),
        skipped_reason=SkippedReason(existing["skipped_reason"]) if existing["skipped_reason"] else None,
    )


async def _find_target(sale: Sale) -> Target:
    """Find and lock the membership that a sale counts for, or say why there is none."""
    if sale.order.customer is None:
        return Target(skipped=SkippedReason.NO_CUSTOMER)
    found, reason = await _resolve_customer(sale.order.customer)
    if found is None:
        return Target(skipped=SkippedReason.CUSTOMER_UNKNOWN)
    if found["membership"] is None:
        return Target(customer_id=found["customer"], reason=reason, skipped=SkippedReason.NOT_MEMBER)
    locked = await store.lock_target(found["membership"], found["customer"])
    assert locked is not None
    if locked["status"] != "active" or locked["eligible_from"] is None:
        return Target(customer_id=found["customer"], reason=reason, skipped=SkippedReason.NOT_MEMBER)
    return Target(
        customer_id=found["customer"],
        membership_id=locked["id"],
        deficit=locked["deficit"],
        reason=reason,
        skipped=_skip_reason(sale, locked),
    )


async def _resolve_customer(customer: PosCustomer) -> tuple[Row | None, str]:
    if customer.card_number is not None:
        found = await store.resolve_card(normalise_card_number(customer.card_number))
        if found is None or found["status"] != "active" or found["customer_status"] not in ("active", "stub"):
            return None, "card"
        return found, "card"
    if customer.email is not None:
        return await store.resolve_email(parse_email(customer.email, "customer.email").key), "email"
    # POS customer ids are known through links, which the directory of POS records brings.
    return None, "pos"


def _skip_reason(sale: Sale, locked: Row) -> SkippedReason | None:
    if sale.version is None or sale.programme.status != "active":
        return SkippedReason.PROGRAMME_INACTIVE
    if sale.order.completed_at < locked["eligible_from"]:
        return SkippedReason.BEFORE_START
    return None if sale.plan.points else rules.why_nothing(sale.plan)


def _result(sale: Sale, target: Target) -> PosOrderResult:
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
    )


def _record(sale: Sale, target: Target) -> store.OrderRecord:
    order = sale.order
    result = _result(sale, target)
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
                id=new_id(),
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
            )
            for position, (line, earned) in enumerate(zip(order.lines, result.lines, strict=True))
        ),
        entry_id=new_id(),
        available_at=sale.dates.available_at,
        expires_at=sale.dates.expires_at,
    )


async def list_orders(customer_id: UUID, *, cursor: str, limit: int) -> OrderPage:
    """Return a page of a customer's orders with their lines, newest first.

    Raises:
        NotFound: There is no such customer.
        Invalid: The cursor is not one of ours.
    """
    rows = await store.list_orders(customer_id, before=decode_cursor(cursor), limit=limit + 1)
    if not rows:
        await check_exists(customer_id)
    page, more = rows[:limit], len(rows) > limit
    lines: dict[UUID, list[LineView]] = {row["id"]: [] for row in page}
    for line in await store.list_lines(list(lines)):
        lines[line["order"]].append(_line_view(line))
    return OrderPage(
        items=tuple(_order_view(row, tuple(lines[row["id"]])) for row in page),
        next_cursor=encode_cursor(page[-1]["completed_at"], page[-1]["id"]) if more else None,
    )


def _line_view(row: Row) -> LineView:
    return LineView(
        line_id=row["line_id"],
        description=row["description"],
        category=row["category"],
        quantity=f"{row['quantity'].normalize():f}",
        net_minor=row["net_minor"],
        tax_minor=row["tax_minor"],
        points=row["points"],
        rule=row["rule"],
    )


def _order_view(row: Row, lines: tuple[LineView, ...]) -> OrderView:
    names = (
        "id",
        "number",
        "store_name",
        "completed_at",
        "currency",
        "net_minor",
        "tax_minor",
        "state",
        "points",
        "skipped_reason",
    )
    return OrderView(**{name: row[name] for name in names}, lines=lines)


async def look_up(ctx: Context, customer: PosCustomer) -> PosLookup:
    """Return what a till may know of a customer.

    Raises:
        NotFound: Nobody has this card or proven address.
    """
    found, _ = await _resolve_customer(customer)
    row = await store.look_up(found["customer"], ctx.now) if found else None
    if row is None:
        raise NotFound("No customer has this card or address.")
    return PosLookup(customer_id=row["id"], given_name=row["given_name"], tier=row["tier"], available=row["available"])
