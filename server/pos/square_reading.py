"""What Square's customers, orders and signatures mean to us: pure functions.

Square's money is a whole number of the smallest unit, as ours is. A line's total has discounts taken off and tax, inclusive
or not, in it.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from server.pos.protocol import ReadOrder, Unreadable
from shared.links import PosRecord
from shared.pos import PosOrder
from shared.refunds import PosRefund

_STATES = {"OPEN": "open", "COMPLETED": "completed", "CANCELED": "voided"}
_QUANTITY_STEP = Decimal("0.001")
_TEXT_MAX = 200
_REFERENCE_MAX = 64
_NAME_MAX = 80

_Message = TypeVar("_Message", bound=msgspec.Struct)


class Money(msgspec.Struct, frozen=True):
    """An amount in the smallest unit."""

    amount: int = 0
    currency: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of a sale."""

    quantity: str
    uid: str = ""
    name: str | None = None
    variation_name: str | None = None
    catalog_object_id: str | None = None
    item_type: str = "ITEM"
    total_money: Money = Money()
    total_tax_money: Money = Money()


class ReturnLine(msgspec.Struct, frozen=True):
    """A line of a return."""

    quantity: str
    source_line_item_uid: str | None = None
    total_money: Money = Money()


class Return(msgspec.Struct, frozen=True):
    """Goods that came back of one former order."""

    source_order_id: str | None = None
    return_line_items: tuple[ReturnLine, ...] = ()


class Tender(msgspec.Struct, frozen=True):
    """A payment."""

    customer_id: str | None = None


class SquareOrder(msgspec.Struct, frozen=True):
    """The part of an order that concerns points."""

    id: str
    location_id: str
    state: str = "OPEN"
    version: int = 0
    customer_id: str | None = None
    reference_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None
    total_money: Money = Money()
    line_items: tuple[Line, ...] = ()
    returns: tuple[Return, ...] = ()
    tenders: tuple[Tender, ...] = ()


class SquareCustomer(msgspec.Struct, frozen=True):
    """The part of a customer profile that concerns us."""

    id: str
    given_name: str | None = None
    family_name: str | None = None
    company_name: str | None = None
    email_address: str | None = None
    phone_number: str | None = None
    reference_id: str | None = None
    updated_at: datetime | None = None
    version: int = 0


def read_customer(payload: bytes) -> PosRecord:
    """Return what a profile says.

    Raises:
        Unreadable: It is not a profile as described.
    """
    customer = _decode(payload, SquareCustomer)
    return record_of(customer)


def record_of(customer: SquareCustomer) -> PosRecord:
    """Return a profile as a record of ours; what is longer than we keep is cut."""
    email, phone = customer.email_address or None, customer.phone_number or None
    return PosRecord(
        external_id=customer.id,
        given_name=(customer.given_name or customer.company_name or "")[:_NAME_MAX],
        family_name=(customer.family_name or "")[:_NAME_MAX],
        email=email[:254] if email else None,
        phone=phone[:254] if phone else None,
        changed_at=customer.updated_at,
    )


def read_order(payload: bytes, stores: Mapping[str, str]) -> ReadOrder:
    """Return the sale and the returns of an order; a draft, or an empty one, is neither.

    Args:
        stores: Our store codes by Square's location ids.

    Raises:
        Unreadable: The location is nobody's, money has no currency, or it is not as described.
    """
    order = _decode(payload, SquareOrder)
    store = stores.get(order.location_id)
    if store is None:
        raise Unreadable("unknown_location", f"No store of ours is Square's location {order.location_id}.")
    if order.state not in _STATES:
        return ReadOrder()
    completed_at = order.closed_at or order.updated_at or order.created_at
    if completed_at is None:
        raise Unreadable("no_time", "The order has no time.")
    refunds = tuple(
        _refund(order, number, part, store=store, completed_at=completed_at)
        for number, part in enumerate(order.returns)
    )
    sale = _sale(order, store, completed_at) if order.line_items else None
    return ReadOrder(sale=sale, refunds=refunds if order.state == "COMPLETED" else ())


def _sale(order: SquareOrder, store: str, completed_at: datetime) -> PosOrder:
    customer_id = order.customer_id or next((one.customer_id for one in order.tenders if one.customer_id), None)
    return _convert(
        {
            "external_id": order.id,
            "number": (order.reference_id or order.id)[:_REFERENCE_MAX],
            "store": store,
            "completed_at": completed_at.astimezone(UTC),
            "currency": _currency(order),
            "customer": {"pos_customer_id": customer_id} if customer_id else None,
            "state": _STATES[order.state],
            "revision": order.version,
            "lines": [_line(number, line) for number, line in enumerate(order.line_items, 1)],
        },
        PosOrder,
    )


def _line(number: int, line: Line) -> dict[str, object]:
    name = " - ".join(part for part in (line.name, line.variation_name) if part)
    return {
        "line_id": line.uid or str(number),
        "sku": (line.catalog_object_id or "")[:_TEXT_MAX],
        "description": name[:_TEXT_MAX],
        "quantity": _quantity(line.quantity),
        "net_minor": line.total_money.amount - line.total_tax_money.amount,
        "tax_minor": line.total_tax_money.amount,
        "stored_value": line.item_type == "GIFT_CARD",
    }


def _refund(order: SquareOrder, number: int, part: Return, *, store: str, completed_at: datetime) -> PosRefund:
    quantities: dict[str, Decimal] = {}
    for line in part.return_line_items:
        if not line.source_line_item_uid:
            raise Unreadable("return_without_line", "Money went back that names no line of a sale.")
        uid = line.source_line_item_uid
        quantities[uid] = quantities.get(uid, Decimal(0)) + _quantity(line.quantity)
    return _convert(
        {
            "external_id": f"{order.id[: _REFERENCE_MAX - 4]}:{number}",
            "original_order": part.source_order_id,
            "store": store,
            "completed_at": completed_at.astimezone(UTC),
            "currency": _currency(order),
            "lines": [{"line_id": uid, "quantity": quantity} for uid, quantity in quantities.items()],
        },
        PosRefund,
    )


def _currency(order: SquareOrder) -> str:
    moneys = [order.total_money, *(line.total_money for line in order.line_items)]
    moneys += [line.total_money for part in order.returns for line in part.return_line_items]
    currency = next((money.currency for money in moneys if money.currency), "")
    if not currency:
        raise Unreadable("no_currency", "The order does not say in which currency it is.")
    return currency


def _quantity(text: str) -> Decimal:
    try:
        exact = Decimal(text)
        rounded = exact.quantize(_QUANTITY_STEP)
    except InvalidOperation as error:
        raise Unreadable("not_as_described", "A quantity is no number.") from error
    # Square counts up to five decimals; a pinch of saffron is still something sold.
    return rounded or (_QUANTITY_STEP if exact else exact)


def _decode(payload: bytes, kind: type[_Message]) -> _Message:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable("not_as_described", str(error)) from error


def _convert(fields: dict[str, object], kind: type[_Message]) -> _Message:
    try:
        return msgspec.convert(fields, type=kind)
    except msgspec.ValidationError as error:
        raise Unreadable("not_as_described", str(error)) from error


def is_signed(*, body: bytes, signature: str, key: str, address: str) -> bool:
    """Return whether a webhook message comes from Square: base64 of HMAC-SHA256 over the address and the raw body."""
    expected = base64.b64encode(hmac.new(key.encode(), address.encode() + body, hashlib.sha256).digest())
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))
