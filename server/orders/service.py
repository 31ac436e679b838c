"""Use cases of orders."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import msgspec

from server.auth import Key, find_key
from server.context import Context
from server.cursors import cut_page, decode_cursor
from server.customers.service import check_exists
from server.db.engine import Row
from server.decoding import Unread
from server.errors import Invalid, NotFound, NotPermitted, Refused
from server.idempotency import IdempotentCall, StoredReply, once
from server.orders import assignment_store, assignments, change_store, changes, receipts, return_store, sales, store
from server.orders.batch import Outcome, Sender, post_orders
from server.tokens import hash_token
from shared.codes import normalise_card_number
from shared.enums import Scope
from shared.members import LineReturn, LineView, OrderPage, OrderReturn, OrderView
from shared.orders import StaffOrderDetail
from shared.pos import PosCustomer, PosLookup, PosOrder, PosOrderResult
from shared.problems import Code, FieldProblem


async def push_order(ctx: Context, *, token: str, call: IdempotentCall, order: PosOrder) -> StoredReply:
    """Take a sale from a till and post its points, once, and answer how many and why.

    The plain case (a member's card or linked POS record, rules as remembered, no deficit, nothing sent before) is one statement that also
    checks the key. Everything else goes step by step in one transaction.

    Raises:
        NotSignedIn: The key is unknown, expired or revoked.
        NotPermitted: The key lacks the scope or is not for this store.
        Invalid: A field is wrong; it is named.
        Refused: ORDER_CONFLICT or IDEMPOTENCY_CONFLICT.
    """
    try:
        sale = await sales.prepare_sale(ctx, order)
    except Refused:
        # Strangers learn that their key is wrong, not what is wrong with their order.
        await find_key(ctx, token, Scope.ORDERS)
        raise
    if reply := await _post_plain(ctx, sale, token=token, call=call):
        return StoredReply(status=201, body=reply, replayed=False)
    key = await find_key(ctx, token, Scope.ORDERS)
    ctx = ctx.acting_as("key", key.key_id)
    answer = await once(ctx, call, 201, partial(_post_step_by_step, ctx, key, order))
    return await receipts.add_code(ctx, order, answer)


async def _post_plain(ctx: Context, sale: sales.Sale, *, token: str, call: IdempotentCall) -> bytes | None:
    customer = sale.order.customer
    if customer is None or customer.email is not None or not sale.plan.points or sale.skipped:
        return None
    if sale.version is None or sale.programme.needs_history(sale.version) or sale.programme.has_idle_points:
        return None
    is_card = customer.card_number is not None
    found_by = normalise_card_number(customer.card_number) if customer.card_number else customer.pos_customer_id
    assert found_by is not None, "a sale names its customer in one of three ways"
    target = sales.Target(reason="card" if is_card else "pos")
    result = sales.result_of(sale, target)
    reply = msgspec.json.encode(result)
    plain = store.PlainSale(
        token_hash=hash_token(token),
        found_by=found_by,
        is_card=is_card,
        programme_version=sale.programme.version,
        principal=call.principal,
        idempotency_key=call.key,
        body_hash=call.body_hash,
        reply=reply,
    )
    posted = await store.post_plain(
        sales.record_of(sale, target, result), plain, now=ctx.now, request_id=ctx.request_id
    )
    return reply if posted else None


async def _post_step_by_step(ctx: Context, key: Key, order: PosOrder) -> PosOrderResult:
    if key.stores and order.store not in key.stores:
        raise NotPermitted("This key is not for this store.")
    if not await store.store_exists(order.store):
        raise Invalid(FieldProblem(field="store", detail="We do not know this store."), code=Code.STORE_UNKNOWN)
    sale = await sales.prepare_sale(ctx, order, fresh=True)
    result = await changes.post_order(ctx, key.connection_id, sale, stores=key.stores)
    await receipts.issue_codes(ctx, [(order, result)])
    await return_store.wake_refunds(key.connection_id, [order.external_id])
    await store.touch_key(key.key_id, ctx.now.date())
    return result


async def push_orders(ctx: Context, key: Key, sent: Sequence[PosOrder | Unread]) -> tuple[Outcome, ...]:
    """Take sales from a till in the caller's transaction, each accepted or refused by itself, as are those not as described.

    Raises:
        Busy: Somebody else changed one of the orders just now; nothing of the batch has happened.
    """
    orders = [one for one in sent if isinstance(one, PosOrder)]
    outcomes = await post_orders(ctx, Sender(connection_id=key.connection_id, stores=key.stores), orders)
    await receipts.issue_codes(ctx, zip(orders, (outcome.result for outcome in outcomes), strict=True))
    await store.touch_key(key.key_id, ctx.now.date())
    posted = iter(outcomes)
    return tuple(
        next(posted) if isinstance(one, PosOrder) else Outcome(external_id=one.external_id, refusal=one.refusal)
        for one in sent
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
    page, next_cursor = cut_page(rows, limit, at="completed_at")
    lines: dict[UUID, list[LineView]] = {row["id"]: [] for row in page}
    for line in await store.list_lines(list(lines)):
        lines[line["order"]].append(_line_view(line))
    returns = await _list_returns(list(lines))
    return OrderPage(
        items=tuple(_order_view(row, tuple(lines[row["id"]]), returns.get(row["id"], ())) for row in page),
        next_cursor=next_cursor,
    )


async def get_order(order_id: UUID) -> StaffOrderDetail:
    """Return an order with its lines and what came back of it, for staff.

    Raises:
        NotFound: There is no such order.
    """
    if await change_store.find_order(order_id) is None:
        raise NotFound
    lines = await assignment_store.list_lines(order_id)
    return StaffOrderDetail(
        order=assignments.staff_order(await assignment_store.get_view(order_id)),
        lines=tuple(_line_view(line) for line in lines),
        returns=(await _list_returns([order_id])).get(order_id, ()),
    )


async def _list_returns(order_ids: list[UUID]) -> dict[UUID, tuple[OrderReturn, ...]]:
    """Return what came back of each of these orders that something came back of."""
    lines: dict[UUID, dict[UUID, list[Row]]] = {}
    for row in await return_store.list_returns(order_ids):
        lines.setdefault(row["order"], {}).setdefault(row["id"], []).append(row)
    return {order: tuple(map(_return_view, returns.values())) for order, returns in lines.items()}


def _return_view(rows: list[Row]) -> OrderReturn:
    return OrderReturn(
        completed_at=rows[0]["completed_at"],
        points_restored=rows[0]["points_restored"],
        lines=tuple(
            LineReturn(
                line_id=row["line_id"],
                description=row["description"],
                quantity=None if row["quantity"] is None else f"{row['quantity'].normalize():f}",
                net_minor=row["net_minor"],
                points=row["points"],
            )
            for row in rows
        ),
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


def _order_view(row: Row, lines: tuple[LineView, ...], returns: tuple[OrderReturn, ...]) -> OrderView:
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
        "points_returned",
        "skipped_reason",
    )
    return OrderView(**{name: row[name] for name in names}, lines=lines, returns=returns)


async def look_up(ctx: Context, customer: PosCustomer) -> PosLookup:
    """Return what a till may know of a customer.

    Raises:
        NotFound: Nobody has this card or proven address.
    """
    found, _ = await sales.resolve_customer(customer)
    row = await store.look_up(found["customer"], found["membership"], ctx.now) if found else None
    if row is None:
        raise NotFound("No customer has this card or address.")
    return PosLookup(
        customer_id=row["id"],
        given_name=row["given_name"],
        tier=row["tier"],
        available=row["available"],
        email_bouncing=row["email_bouncing"],
    )
