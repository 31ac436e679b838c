"""Who may spend how much: the checks that holds and vouchers have in common. All run with the membership locked."""

from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.errors import NotFound, Refused
from server.idempotency import IdempotentCall, find_reply
from server.programmes.rules import start_of_local_day
from server.programmes.service import Programme, get_programme
from server.rewards import hold_store as store
from server.rewards.catalogue_store import get_terms
from server.rewards.rules import Standing, Terms, find_presence_step, left_by_card
from server.sessions import throttles
from shared.limits import SMS_CODE_DIGITS, SMS_CODE_TRIES
from shared.problems import Code


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The membership that a customer spends from."""

    customer_id: UUID
    membership_id: UUID
    programme_id: UUID


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """A home with what there is to spend in it, as of one instant and under its lock."""

    home: Home
    programme: Programme
    terms: Terms
    standing: Standing


async def list_homes(customer_id: UUID) -> tuple[Home, ...]:
    """Return the active memberships of a customer, that in the programme which members join first.

    Raises:
        NotFound: The customer is in none.
    """
    rows = await store.list_homes(customer_id)
    if not rows:
        raise NotFound
    return tuple(
        Home(customer_id=customer_id, membership_id=row["membership"], programme_id=row["programme"]) for row in rows
    )


async def open_wallet(ctx: Context, home: Home) -> Wallet:
    """Return what a customer can spend; lock the membership first where it matters.

    Raises:
        Refused: MEMBERSHIP_CLOSED.
    """
    programme = await get_programme(home.programme_id)
    day = start_of_local_day(ctx.now, programme.zone)
    found = await store.find_standing(home.membership_id, home.customer_id, ctx.now, day)
    if found is None or found[0] != "active":
        raise Refused(Code.MEMBERSHIP_CLOSED)
    return Wallet(home=home, programme=programme, terms=await get_terms(programme.id), standing=found[1])


def check_may_spend(standing: Standing, now: datetime) -> None:
    """Refuse while spending is held after a change to the account.

    Raises:
        Refused: REDEMPTION_HELD, with the end of it in `data`.
    """
    if standing.is_held_at(now):
        until = standing.redemption_held_until
        assert until is not None
        raise Refused(Code.REDEMPTION_HELD, data={"held_until": until.isoformat()})


def check_points(standing: Standing, points: int) -> None:
    """Refuse more points than are free, or than the member, or those who share, want to be spent in a day.

    Raises:
        Refused: INSUFFICIENT_POINTS or REDEMPTION_LIMIT, with the fresh figures in `data`.
    """
    if points > standing.spendable:
        raise insufficient(standing)
    left = standing.left_today
    if left is not None and points > left:
        only_owner = standing.shared_limit == 0
        detail = "Only the owner of this membership spends its points." if only_owner else None
        raise Refused(Code.REDEMPTION_LIMIT, detail, data={"left_today": left})


def check_by_card(wallet: Wallet, points: int) -> None:
    """Refuse more points than the card alone may spend in a day.

    Raises:
        Refused: PRESENCE_NEEDED, with what the card may still spend today in `data`.
    """
    left = left_by_card(wallet.terms, wallet.standing)
    if points > left:
        raise Refused(Code.PRESENCE_NEEDED, data={"left_by_card": left})


def insufficient(standing: Standing) -> Refused:
    """Return the refusal that tells the loser of a race the fresh balance."""
    return Refused(
        Code.INSUFFICIENT_POINTS,
        data={"available": standing.available, "held": standing.held, "spendable": standing.spendable},
    )


# Presence -------------------------------------------------------------------------------------------------------------


def presence_secret(ctx: Context, customer_id: UUID) -> bytes:
    """Return the secret of a member's rotating code; made from the service's own, so that it lies nowhere."""
    return ctx.tokens.keyed_hash("presence", str(customer_id))


def hash_sms_code(ctx: Context, customer_id: UUID, number: str | None, code: str) -> bytes:
    """Return the keyed hash under which a texted code is stored: it is good for the number that it was texted to."""
    return ctx.tokens.keyed_hash("sms-code-of", f"{customer_id}:{number}:{code}")


async def count_try(ctx: Context, customer_id: UUID, call: IdempotentCall, code: str) -> None:
    """Count a try at a member's digits; outside of a transaction, so that a refusal stays counted.

    A call that was carried out before is no new try.

    Raises:
        Throttled: Too many tries.
        Refused: IDEMPOTENCY_CONFLICT.
    """
    if await find_reply(call) is None:
        await throttles.check_presence(ctx, customer_id)
        if len(code) == SMS_CODE_DIGITS:
            number = await store.find_phone(customer_id)
            await store.count_sms_guess(customer_id, hash_sms_code(ctx, customer_id, number, code))


async def use_presence(ctx: Context, customer_id: UUID, code: str) -> None:
    """Accept a member's digits, those that the app shows or those that were texted, once, in the caller's transaction.

    Raises:
        Refused: PRESENCE_WRONG, they are wrong, too old or used.
    """
    if len(code) == SMS_CODE_DIGITS:
        code_hash = hash_sms_code(ctx, customer_id, await store.find_phone(customer_id), code)
        if not await store.use_sms_code(ctx, customer_id, code_hash, tries_max=SMS_CODE_TRIES):
            raise Refused(Code.PRESENCE_WRONG)
        await throttles.clear_presence(customer_id)
        return
    step = find_presence_step(presence_secret(ctx, customer_id), code, ctx.now)
    if step is None or not await store.use_presence_step(ctx, customer_id, step):
        raise Refused(Code.PRESENCE_WRONG)
    await throttles.clear_presence(customer_id)
