"""Mail is written down with its cause, and sent later by a job."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server import jobs
from server.context import Context, Tools, system_context
from server.db.engine import DB
from server.db.ids import new_id
from server.logs import get_logger
from server.messages import store
from server.messages.bounces import flag_bounces
from server.messages.gateways import MailDelayed, MailRefused, create_gateway
from server.messages.rules import QueuedMail, compose, delivery_address
from server.messages.texts import LIVES, TEXTS, create_text_gateway, write_text
from server.tokens import voucher_code
from shared.limits import MAIL_KEPT_TRYING

log = get_logger()

JOB = "mail.send"
_SUPERSEDED, _GAVE_UP = "superseded", "gave_up"
_TEXT_PRIORITY = 1  # Somebody may be waiting for its digits just now, so it leaves before mails.


class MailToken(msgspec.Struct, frozen=True, kw_only=True):
    """The link of a mail: the row its token is derived from, and what the token is for."""

    token_id: UUID
    purpose: str


class SendMail(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload."""

    message_id: UUID


async def queue_mail(
    ctx: Context,
    *,
    to: str,
    template: str,
    customer_id: UUID | None,
    token: MailToken | None = None,
    voucher_ids: Sequence[UUID] = (),
    parameters: Mapping[str, str] = {},
    priority: int = 0,
    withheld: str | None = None,
) -> None:
    """Write a mail down and enqueue its sending, in the caller's transaction.

    Args:
        to: The address stored for the person; never one that a caller typed, unless proving it is the point.
        template: A file of `messages/templates`, without its ending.
        token: Makes the mail's one link; a link that is used, voided or over by then keeps the mail from leaving.
        voucher_ids: Vouchers whose codes the template tells as `codes`; as a link, they are made when the mail leaves.
        parameters: Values of the template. They are forgotten once the mail has left.
        withheld: Reason for which this mail must not leave. Everything else happens as usual, so that the caller of a
            neutral operation cannot tell.
    """
    message_id = new_id()
    await store.insert_message(
        message_id,
        customer_id=customer_id,
        purpose=token.purpose if token else template,
        to_address=to,
        template=template,
        parameters=dict(parameters),
        token_id=token.token_id if token else None,
        voucher_ids=voucher_ids,
        withheld=withheld,
        now=ctx.now,
    )
    await jobs.enqueue(JOB, SendMail(message_id=message_id), priority=priority)


async def withdraw_mails(customer_id: UUID, *, to: str) -> None:
    """Keep a customer's mails to an address that have not left yet from leaving, in the caller's transaction."""
    await store.withdraw(customer_id, to, reason=_SUPERSEDED)


async def queue_text(ctx: Context, *, to: str, template: str, customer_id: UUID, code_id: UUID) -> None:
    """Write a text message down and enqueue its sending, in the caller's transaction.

    Args:
        to: The proven number of the customer, in the form of E.164.
        template: One of `texts.TEXTS`.
        code_id: What the digits in it are made from when it leaves.
    """
    message_id = new_id()
    await store.insert_message(
        message_id,
        customer_id=customer_id,
        purpose=template,
        to_address=to,
        template=template,
        parameters={"code_id": str(code_id)},
        token_id=None,
        voucher_ids=(),
        withheld=None,
        now=ctx.now,
    )
    await jobs.enqueue(JOB, SendMail(message_id=message_id), priority=_TEXT_PRIORITY)


async def _send_text(tools: Tools, message: QueuedMail, now: datetime) -> None:
    if now - message.created_at >= LIVES[message.template]:
        await store.finish(message.id, state="failed", reason=_SUPERSEDED, now=now)
        return
    code_id = UUID(message.parameters["code_id"])
    text = write_text(message.template, code_id, tokens=tools.tokens, settings=tools.settings)
    try:
        await create_text_gateway(tools.settings).send(message.id, text, message.to_address)
    except MailRefused as error:
        log.warning("text_refused", message_id=str(message.id), template=message.template, reason=error.reason)
        await store.finish(message.id, state="failed", reason=error.reason, now=now)
    except MailDelayed as error:
        await store.note_try(message.id, reason=error.reason)
        raise
    else:
        await store.finish(message.id, state="sent", reason=None, now=now)


async def send_mail(tools: Tools, message_id: UUID) -> None:
    """Send a queued mail; the worker's handler of `JOB`. A mail that was sent or given up before is left alone.

    It leaves at least once: after a crash it may leave again, with the same Message-ID.

    Raises:
        MailDelayed: It could not be sent now; try again later.
    """
    now = tools.clock.now()
    message = await store.find_queued(message_id, now)
    if message is None:
        return
    if message.link_is_void:
        await store.finish(message_id, state="failed", reason=_SUPERSEDED, now=now)
        return
    token = tools.tokens.derive(message.purpose, message.token_id) if message.token_id else None
    if message.template in TEXTS:
        await _send_text(tools, message, now)
        return
    if message.voucher_ids:
        codes = ", ".join(voucher_code(tools.tokens, voucher_id) for voucher_id in message.voucher_ids)
        message = msgspec.structs.replace(message, parameters={**message.parameters, "codes": codes})
    mail = compose(message, settings=tools.settings, token=token, now=now)
    try:
        await create_gateway(tools.settings).send(mail, delivery_address(message.to_address))
    except MailRefused as error:
        log.warning("mail_refused", message_id=str(message_id), template=message.template, reason=error.reason)
        await _give_up(tools, message, error)
    except MailDelayed as error:
        if now - message.created_at < MAIL_KEPT_TRYING:
            await store.note_try(message_id, reason=error.reason)
            raise
        log.warning("mail_given_up", message_id=str(message_id), template=message.template, reason=error.reason)
        await store.finish(message_id, state="failed", reason=_GAVE_UP, now=now)
    else:
        await store.finish(message_id, state="sent", reason=None, now=now)


async def _give_up(tools: Tools, message: QueuedMail, error: MailRefused) -> None:
    """Set a refused mail aside; where there is no such mailbox, flag the address for staff to ask the customer."""
    ctx = system_context(tools)
    async with DB.transaction():
        await store.finish(message.id, state="failed", reason=error.reason, now=ctx.now)
        if not error.is_bounce:
            return
        await flag_bounces(ctx, {message.to_address: ctx.now}, reason=error.reason)
