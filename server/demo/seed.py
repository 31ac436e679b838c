"""Filling the demo shop: one transaction, so that a crash leaves either the whole shop or none.

Sales go the way of a till's, each at the time it is from; `regulars verify` proves the outcome like any other shop's.
"""

import hashlib
import random
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server.app import create_tools
from server.audience.marks import ensure_contact
from server.audit.store import record
from server.consents.service import record_choice
from server.context import Context, system_context
from server.customers.rules import parse_email, parse_phone
from server.customers.store import insert_contact_point, insert_customer
from server.db.engine import DB
from server.db.ids import new_id
from server.demo import marker, store
from server.demo.plan import REWARDS, RULES, STORES, Goodwill, Joining, Sale, plan_year
from server.demo.receipts import ZONE
from server.demo.signins import STAFF_NAMES, DemoSignIns
from server.idempotency import IdempotentCall
from server.ledger.service import post_credit
from server.memberships.service import issue_card, open_membership
from server.orders.service import push_order
from server.private_files import secret_key_bytes
from server.programmes.rules import lot_dates
from server.programmes.store import insert_programme, insert_rules, insert_store
from server.rewards.catalogue_store import insert_reward
from server.sessions.store import insert_login
from server.settings import Settings
from server.staff.store import ensure_connection, insert_key
from server.tokens import Tokens, hash_token
from shared.enums import EntryKind, Role, Scope
from shared.pos import PosCustomer, PosLine, PosOrder

_LAUNCHED = timedelta(days=400)
_KEY_LIFE = timedelta(days=730)
_CURRENCY = "GBP"


class _Member(msgspec.Struct, frozen=True):
    """Where a person of the plan ended up."""

    customer_id: UUID
    membership_id: UUID
    card_number: str


class _Shop(msgspec.Struct, frozen=True, kw_only=True):
    """What every event of the year needs. `members` are by their place in the list of people."""

    ctx: Context
    sign_ins: DemoSignIns
    password_hash: str
    manager_id: UUID
    members: dict[int, _Member]

    def at(self, at: datetime) -> Context:
        """Return the program's own context at an instant of the year."""
        return msgspec.structs.replace(self.ctx, now=at)


async def seed_demo(settings: Settings, sign_ins: DemoSignIns) -> None:
    """Fill an empty, migrated database; the engine is open."""
    # Seeded, so that a card has the same number in every demo shop; the keys and passwords are not made from it.
    cards = random.Random("cards")  # noqa: S311
    tools = create_tools(settings, tokens=Tokens(secret_key_bytes(settings), random_bytes=cards.randbytes))
    try:
        staff_hash = await tools.passwords.hash(sign_ins.staff_password)
        member_hash = await tools.passwords.hash(sign_ins.member_password)
    finally:
        tools.passwords.close()
    ctx = system_context(tools)
    today = ctx.now.astimezone(ZoneInfo(ZONE)).date()
    launch_at = ctx.now.replace(hour=6, minute=0, second=0, microsecond=0) - _LAUNCHED
    events = plan_year(today, launch_at)
    async with DB.transaction():
        shop = await _open_shop(
            msgspec.structs.replace(ctx, now=launch_at), sign_ins, staff_hash=staff_hash, member_hash=member_hash
        )
        for event in events:
            match event:
                case Joining():
                    await _join(shop, event)
                case Sale():
                    await _sell(shop, event)
                case Goodwill():
                    await _make_up(shop, event)
        await store.start_contacts_now(ctx)


async def _open_shop(ctx: Context, sign_ins: DemoSignIns, *, staff_hash: str, member_hash: str) -> _Shop:
    await marker.mark(ctx)
    for code, name in STORES.items():
        await insert_store(ctx, code=code, name=name, zone=ZONE)
    programme_id = await insert_programme(
        ctx, code="regulars-club", name="Regulars Club", zone=ZONE, currency=_CURRENCY, launch_at=ctx.now
    )
    await insert_rules(ctx, programme_id, RULES, valid_from=ctx.now)
    for reward in REWARDS:
        await insert_reward(ctx, programme_id, reward)
    staff = {
        role: await store.insert_staff(ctx, role=role, name=name, store_code="high-street", password_hash=staff_hash)
        for role, name in STAFF_NAMES.items()
    }
    await insert_key(
        ctx,
        new_id(),
        name="Demo till",
        connection_id=await ensure_connection(ctx, "demo-till"),
        token_hash=hash_token(sign_ins.pos_key),
        scopes=[scope.value for scope in Scope],
        stores=(),
        expires_at=ctx.now + _LAUNCHED + _KEY_LIFE,
    )
    return _Shop(ctx=ctx, sign_ins=sign_ins, password_hash=member_hash, manager_id=staff[Role.MANAGER], members={})


async def _join(shop: _Shop, joining: Joining) -> None:
    ctx, person = shop.at(joining.at), joining.person
    customer_id = await insert_customer(
        ctx,
        given_name=person.given_name,
        family_name=person.family_name,
        source="app" if joining.has_login else "till",
        birthday=joining.birthday,
        notes=joining.notes,
    )
    await _note_addresses(ctx, customer_id, joining)
    if joining.has_login:
        await insert_login(ctx, customer_id, shop.password_hash)
    if joining.shares_with is None:
        opened = await open_membership(ctx, customer_id=customer_id, enrolled_at=joining.at)
        member = _Member(customer_id, opened.membership_id, opened.card_number)
    else:
        membership_id = shop.members[joining.shares_with].membership_id
        await store.insert_sharer(ctx, membership_id=membership_id, customer_id=customer_id)
        card = await issue_card(ctx, membership_id=membership_id, customer_id=customer_id)
        member = _Member(customer_id, membership_id, card)
    shop.members[joining.place] = member
    await record(ctx, "customer.registered", subject_kind="customer", subject_id=customer_id, customer_id=customer_id)


async def _note_addresses(ctx: Context, customer_id: UUID, joining: Joining) -> None:
    source = "app" if joining.has_login else "till"
    if joining.has_email:
        email = parse_email(joining.person.email, "email")
        await insert_contact_point(
            ctx, customer_id=customer_id, kind="email", value=email.value, key=email.key, verified=joining.has_login
        )
        if joining.consents.email:
            await record_choice(
                ctx, customer_id=customer_id, channel="email", address_key=email.key, opted_in=True, source=source
            )
        await ensure_contact(ctx, customer_id=customer_id, email=email.value, email_key=email.key)
    if joining.phone is not None:
        phone = parse_phone(joining.phone, "GB")
        await insert_contact_point(
            ctx, customer_id=customer_id, kind="phone", value=phone.value, key=phone.key, verified=False
        )
        if joining.consents.sms:
            await record_choice(
                ctx, customer_id=customer_id, channel="sms", address_key=phone.key, opted_in=True, source=source
            )


async def _sell(shop: _Shop, sale: Sale) -> None:
    order = _order(sale, shop.members[sale.place].card_number)
    call = IdempotentCall(
        principal="demo",
        operation="push_order",
        key=f"demo-receipt-{sale.basket.number:06}",
        body_hash=hashlib.sha256(msgspec.json.encode(order)).digest(),
    )
    # A till reports a sale some moments after it.
    await push_order(shop.at(sale.at + timedelta(seconds=20)), token=shop.sign_ins.pos_key, call=call, order=order)


def _order(sale: Sale, card_number: str) -> PosOrder:
    return PosOrder(
        external_id=f"receipt-{sale.basket.number:06}",
        number=f"{sale.store[0].upper()}{sale.basket.number:05}",
        store=sale.store,
        completed_at=sale.at,
        currency=_CURRENCY,
        customer=PosCustomer(card_number=card_number),
        lines=tuple(
            PosLine(
                line_id=str(number),
                sku=line.sku,
                description=line.goods.name,
                category=line.goods.category,
                quantity=Decimal(line.quantity),
                net_minor=line.paid_minor - line.tax_minor,
                tax_minor=line.tax_minor,
            )
            for number, line in enumerate(sale.basket.lines, start=1)
        ),
    )


async def _make_up(shop: _Shop, goodwill: Goodwill) -> None:
    member = shop.members[goodwill.place]
    ctx = shop.at(goodwill.at).acting_as("staff", shop.manager_id)
    dates = lot_dates(goodwill.at, RULES, ZONE)
    entry_id = await post_credit(
        ctx,
        membership_id=member.membership_id,
        deficit=0,
        kind=EntryKind.ADJUST,
        points=goodwill.points,
        source_key=f"demo:goodwill:{goodwill.place}",
        occurred_at=goodwill.at,
        available_at=dates.available_at,
        expires_at=dates.expires_at,
        customer_id=member.customer_id,
        reason_code="goodwill",
        note=goodwill.note,
    )
    await record(
        ctx,
        "ledger.adjusted",
        subject_kind="ledger_entry",
        subject_id=entry_id,
        customer_id=member.customer_id,
        reason=goodwill.note,
        details={"points": goodwill.points},
    )
