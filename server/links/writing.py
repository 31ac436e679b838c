"""Putting a customer's proven address onto their record in the till, where the till takes it."""

from uuid import UUID

import msgspec

from server.audit.store import record as audit
from server.context import Tools, system_context
from server.db.engine import DB
from server.jobs import enqueue
from server.links import store
from server.links.tills import open_tills
from server.logs import get_logger
from server.pos.protocol import Capability, PosRefused

log = get_logger()

WRITE_EMAIL_JOB = "links.write_email"


class WriteEmail(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload: the link whose record gets its customer's address."""

    link_id: UUID


async def ask_email_write(link_id: UUID) -> None:
    """Enqueue the writing of an address, in the caller's transaction."""
    await enqueue(WRITE_EMAIL_JOB, WriteEmail(link_id=link_id))


async def write_email(tools: Tools, payload: bytes) -> None:
    """Write the address; the worker's handler. A till that sends by itself cannot be written to.

    Raises:
        PosUnavailable: The till system does not answer; try again later.
    """
    ctx = system_context(tools)
    link = await store.get_link(msgspec.json.decode(payload, type=WriteEmail).link_id)
    if link is None or link["state"] != "linked":
        return
    person = await store.find_person(link["customer"])
    async with open_tills(tools) as tills:
        connector = tills.get(link["connection_id"])
        if connector is None or Capability.WRITE_EMAIL not in connector.capabilities:
            return
        if person is None or person["email"] is None:
            return
        try:
            await connector.write_email(link["external_id"], person["email"])
        except PosRefused as error:
            log.warning("pos_email_refused", connector=connector.name, reason=str(error))
            return
    async with DB.transaction():
        await audit(
            ctx,
            "pos_record.email_written",
            subject_kind="pos_link",
            subject_id=link["id"],
            customer_id=link["customer"],
        )
