"""Use cases of consents. Every yes or no is an event with its words; the latest about the exact address rules."""

from datetime import datetime
from uuid import UUID

from server.audience.marks import mark_customers
from server.audit.store import record
from server.consents import store
from server.consents.wordings import version_of
from server.context import Context
from server.customers.rules import parse_email
from server.customers.store import lock_customers
from server.db.engine import DB, Row
from server.errors import Invalid, Refused
from shared.base import ConsentChoices
from shared.enums import ConsentAnswer, ConsentChannel
from shared.members import Consents, ConsentView
from shared.problems import Code

_NOT_ASKED = ConsentView(state=ConsentAnswer.NOT_ASKED)
_KIND_OF = {ConsentChannel.EMAIL: "email", ConsentChannel.SMS: "phone"}
_NEEDS = {ConsentChannel.EMAIL: Code.CONSENT_NEEDS_EMAIL, ConsentChannel.SMS: Code.CONSENT_NEEDS_PHONE}


async def record_choice(
    ctx: Context,
    *,
    customer_id: UUID,
    channel: str,
    address_key: str,
    opted_in: bool,
    source: str,
    wording_version: str | None = None,
    store_id: UUID | None = None,
) -> None:
    """Write a yes or no down, in the caller's transaction, who also marks the audience contact.

    Args:
        address_key: The exact address it is about.
        source: Where it was given: "app", "till", "import", "email_change" or "correction". A yes at the till to an
            unproven email address is pending.
        wording_version: The words that were shown; today's unless given.
        store_id: The shop, if given in one.
    """
    await store.insert_event(
        ctx,
        customer_id=customer_id,
        channel=channel,
        address_key=address_key,
        opted_in=opted_in,
        source=source,
        wording_version=wording_version or version_of(channel),
        store_id=store_id,
    )


async def get_consents(customer_id: UUID) -> Consents:
    """Return where a customer stands on each channel, for the addresses of today."""
    return _view(await store.list_current(customer_id))


async def change_consents(ctx: Context, customer_id: UUID, choices: ConsentChoices) -> Consents:
    """Carry a member's own choices out; a choice that holds already writes nothing.

    Raises:
        Refused: CONSENT_NEEDS_EMAIL or CONSENT_NEEDS_PHONE, a yes without an address.
    """
    wanted = {ConsentChannel.EMAIL: choices.email, ConsentChannel.SMS: choices.sms}
    async with DB.transaction():
        await lock_customers([customer_id])
        rows = {row["kind"]: row for row in await store.list_current(customer_id)}
        changed = []
        for channel, opted_in in wanted.items():
            row = rows.get(_KIND_OF[channel])
            if row is None and opted_in:
                raise Refused(_NEEDS[channel])
            target = ConsentAnswer.OPTED_IN if opted_in else ConsentAnswer.OPTED_OUT
            if row is not None and row["state"] != target:
                await record_choice(
                    ctx,
                    customer_id=customer_id,
                    channel=channel,
                    address_key=row["key"],
                    opted_in=opted_in,
                    source="app",
                )
                changed.append(f"{channel}:{target}")
        if changed:
            await record(
                ctx,
                "consent.changed",
                subject_kind="customer",
                subject_id=customer_id,
                customer_id=customer_id,
                details={"changed": changed},
            )
            await mark_customers(ctx, [customer_id])
        return _view(await store.list_current(customer_id))


async def take_opt_out(ctx: Context, *, address: str, at: datetime, source: str) -> None:
    """Note that whoever reads an address wants no news and offers there, in the caller's transaction.

    A later yes to the same address stands, and somebody who said no before has no more to say.

    Args:
        at: When they said so.
        source: Where and how, such as "mailchimp_complaint".
    """
    try:
        key = parse_email(address, "email").key
    except Invalid:
        return
    found = await store.list_customers_at(key)
    await lock_customers(found)
    withdrawn = await store.insert_opt_outs(ctx, found, key, at=at, source=source)
    for customer_id in withdrawn:
        await record(
            ctx,
            "consent.changed",
            subject_kind="customer",
            subject_id=customer_id,
            customer_id=customer_id,
            details={"changed": [f"{ConsentChannel.EMAIL}:{ConsentAnswer.OPTED_OUT}"], "source": source},
        )
    if withdrawn:
        await mark_customers(ctx, withdrawn)


def _view(rows: list[Row]) -> Consents:
    views = {
        row["kind"]: ConsentView(state=ConsentAnswer(row["state"]), since=row["at"], source=row["source"])
        for row in rows
        if row["state"]
    }
    return Consents(email=views.get("email", _NOT_ASKED), sms=views.get("phone", _NOT_ASKED))
