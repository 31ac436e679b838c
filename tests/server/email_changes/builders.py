"""Steps that the tests of email changes share."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from server.db.engine import DB
from server.db.ids import new_id
from server.ledger.service import post_credit
from server.memberships.store import lock_memberships
from shared.enums import EntryKind, Role
from tests.app import PASSWORD, START_AT, SignedUp, World, expect

OLD, NEW = "ana@shop.test", "ana.new@shop.test"

LOTS: tuple[tuple[int, int, int | None], ...] = ((120, -10, 40), (120, -10, 40), (75, -3, None), (30, 5, 90))
"""Points, days until they are available, days until they lapse: equal lots, endless ones and pending ones."""


async def give_points(world: World, member: SignedUp, lots: Sequence[tuple[int, int, int | None]] = LOTS) -> int:
    """Post lots to a member and return their sum."""
    for points, available_days, expires_days in lots:
        async with DB.transaction():
            (membership,) = await lock_memberships([await home_of(member.customer_id)])
            await post_credit(
                world.ctx,
                membership_id=membership["id"],
                deficit=membership["deficit"],
                kind=EntryKind.OPENING,
                points=points,
                source_key=str(new_id()),
                occurred_at=START_AT,
                available_at=START_AT + timedelta(days=available_days),
                expires_at=START_AT + timedelta(days=expires_days) if expires_days is not None else None,
                customer_id=member.customer_id,
            )
    return sum(points for points, _, _ in lots)


async def home_of(customer_id: UUID) -> UUID:
    """Return the active membership of a customer."""
    sql = """
    select m.id from membership_person p join membership m on m.id = p.membership
    where p.customer = $1 and p.left_at is null and m.status = 'active'
    """
    (row,) = await DB.fetch(sql, customer_id)
    home: UUID = row["id"]
    return home


async def add_voucher(member: SignedUp | UUID, *, value_minor: int = 500, status: str = "issued") -> UUID:
    """Give a member, or a customer by the id, a voucher."""
    customer_id = member if isinstance(member, UUID) else member.customer_id
    reward, voucher = new_id(), new_id()
    await DB.fetch(
        "insert into reward (id, programme, code, name, points_cost, value_minor, created_at) "
        "select $1, id, $2, 'Five off', 500, $3, $4 from programme",
        reward, str(reward), value_minor, START_AT,
    )  # fmt: skip
    await DB.fetch(
        "insert into voucher (id, reward, membership, customer, code_hash, code_last4, value_minor, currency, status, "
        "issued_at) values ($1, $2, $3, $4, $5, 'XXXX', $6, 'GBP', $7, $8)",
        voucher, reward, await home_of(customer_id), customer_id, voucher.bytes, value_minor, status,
        START_AT,
    )  # fmt: skip
    return voucher


async def add_sharer(world: World, member: SignedUp, *, email: str = "ben@shop.test") -> SignedUp:
    """Let another member share this member's membership, with a card of their own."""
    sharer = await world.sign_up(email)
    home = await home_of(member.customer_id)
    await DB.fetch(
        "update membership_person set left_at = $2, left_reason = 'joined' where customer = $1 and left_at is null",
        sharer.customer_id, world.clock.now(),
    )  # fmt: skip
    await DB.fetch("update membership set status = 'closed' where id = $1", sharer.membership_id)
    await DB.fetch(
        "insert into membership_person (id, membership, programme, customer, role, joined_at, eligible_from) "
        "select $1, id, programme, $2, 'sharer', $3, $3 from membership where id = $4",
        new_id(), sharer.customer_id, world.clock.now(), home,
    )  # fmt: skip
    await DB.fetch("update card set membership = $2 where customer = $1", sharer.customer_id, home)
    return sharer


async def request(
    world: World, member: SignedUp, new_email: str = NEW, mode: str = "keep", **fields: object
) -> httpx.Response:
    """Send a member's wish for another address."""
    body = {"new_email": new_email, "mode": mode, "password": PASSWORD, **fields}
    return await world.client.post("/v1/me/email-changes", json=body, headers=member.headers)


async def confirm(world: World, address: str = NEW) -> httpx.Response:
    """Use the newest link that proves a new address."""
    mail = await world.mail_to(address, purpose="email-change")
    return await world.client.post("/v1/email-changes/confirm", json={"token": mail.token})


async def not_me(world: World, address: str = OLD, *, which: int = -1) -> httpx.Response:
    """Use a "not me" link that an address got, the newest unless another is asked for."""
    mails = [mail for mail in await world.mails_to(address) if "/links/not-me#" in mail.text]
    return await world.client.post("/v1/email-changes/cancel", json={"token": mails[which].token})


async def change(world: World, member: SignedUp, new_email: str = NEW, mode: str = "keep") -> dict[str, Any]:
    """Carry a member's email change out."""
    expect(await request(world, member, new_email, mode), 202)
    done: dict[str, Any] = expect(await confirm(world, new_email), 200)
    return done


async def snapshot(customer_id: UUID) -> dict[str, object]:
    """Return what an email change may touch of a customer, comparable as a whole."""
    home = await home_of(customer_id)
    lots = await DB.fetch(
        "select remaining, available_at, expires_at, earned_at from lot where membership = $1 and remaining > 0 "
        "order by available_at, expires_at, remaining",
        home,
    )
    figures = await DB.fetch_row(
        "select balance, available, pending, deficit, lifetime, tier, enrolled_at, programme from membership where id = $1",
        home,
    )
    cards = await DB.fetch("select code from card where customer = $1 and status = 'active' order by code", customer_id)
    assert figures is not None
    vouchers = await DB.fetch(
        "select value_minor, currency from voucher where customer = $1 and membership = $2 and status = 'issued' order by id",
        customer_id,
        home,
    )
    return {
        "home": home,
        "lots": [tuple(lot) for lot in lots],
        "figures": tuple(figures),
        "cards": [card["code"] for card in cards],
        "vouchers": [tuple(voucher) for voucher in vouchers],
    }


def without_ids(shot: dict[str, object]) -> dict[str, object]:
    """Return what must be equal before and after a reissue: all but membership and card numbers."""
    return {name: value for name, value in shot.items() if name not in ("home", "cards")}


async def dump(world: World) -> dict[str, list[tuple[object, ...]]]:
    """Send what is queued, then return every row an email change could have written, to show that nothing was."""
    await world.run_jobs()
    tables = ("customer", "contact_point", "membership", "membership_person", "card", "voucher", "ledger_entry", "lot",
              "allocation", "consent_event", "email_change", "one_time_token", "audit_entry", "message", "pgqueuer",
              "audience_contact", "member_session")  # fmt: skip
    return {table: sorted(map(tuple, await DB.fetch(f"select * from {table}")), key=repr) for table in tables}


async def staff_with(world: World, role: Role = Role.MANAGER) -> dict[str, str]:
    """Return headers of a new staff member, with an idempotency key of their own."""
    return keyed(await world.staff_headers(role))


def keyed(headers: dict[str, str]) -> dict[str, str]:
    """Return headers with a fresh idempotency key."""
    return headers | {"Idempotency-Key": new_id().hex}
