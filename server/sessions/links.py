"""Mailed links: each opens one thing, once, until it is over or something it relied on has changed."""

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Refused
from server.messages.service import MailToken
from server.tokens import hash_token
from shared.problems import Code


class Purpose(StrEnum):
    """What a link opens; also the last part of its address."""

    SIGN_UP = "signup"
    PASSWORD_RESET = "password-reset"  # noqa: S105 - the name of a purpose
    INVITATION = "invitation"
    EMAIL_CHANGE = "email-change"
    NOT_ME = "not-me"
    MERGE_NOT_ME = "merge-not-me"
    LINK_NOT_ME = "link-not-me"
    STAFF_INVITATION = "staff-invitation"
    EXPORT = "export"
    ERASURE_CANCEL = "erasure-cancel"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link as it was issued.

    Attributes:
        subject: The row it is about, such as a sign-up form or an email change.
        state: What it was issued against, such as the password's version; the use case compares.
    """

    id: UUID
    purpose: Purpose
    customer_id: UUID | None
    email_key: str
    subject: UUID | None
    state: str


# A new link replaces the customer's open ones of the same purpose, unless they are about different things.
_CREATE = """
with replaced as (
    update one_time_token set voided_at = $9
    where customer = $4 and purpose = $2 and used_at is null and voided_at is null and not $10 and $11
)
insert into one_time_token (id, purpose, token_hash, customer, email_key, subject, state, expires_at, created_at, voided_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, case when $10 then $9::timestamptz end)
"""
_FIND = """
select id, purpose, customer, email_key, subject, state from one_time_token
where token_hash = $1 and purpose = any($2::text[]) and used_at is null and voided_at is null and expires_at > $3
"""
# Whoever gets the row has the only use of it; a second use waits here and then finds nothing.
_USE = """
update one_time_token set used_at = $3
where token_hash = $1 and purpose = any($2::text[]) and used_at is null and voided_at is null and expires_at > $3
returning id, purpose, customer, email_key, subject, state
"""
_VOID = """
update one_time_token set voided_at = $3
where customer = $1 and purpose = any($2::text[]) and used_at is null and voided_at is null
"""
_VOID_BY_SUBJECT = """
update one_time_token set voided_at = $3
where subject = any($1::uuid[]) and purpose = $2 and used_at is null and voided_at is null
"""


async def create_link(
    ctx: Context,
    *,
    purpose: str,
    customer_id: UUID | None,
    email_key: str,
    life: timedelta,
    subject: UUID | None = None,
    state: str = "",
    is_void: bool = False,
    replaces_older: bool = True,
) -> MailToken:
    """Add a link in the caller's transaction and return what its mail needs.

    Args:
        email_key: The address it is mailed to; using it proves this address.
        replaces_older: Whether the customer's older links of this purpose are void from now on.
        is_void: The link never opens anything; for operations that must do the same work for people we do not know.
    """
    link_id = new_id()
    token_hash = hash_token(ctx.tokens.derive(purpose, link_id))
    await DB.fetch(
        _CREATE, link_id, purpose, token_hash, customer_id, email_key, subject, state, ctx.now + life, ctx.now, is_void,
        replaces_older,
    )  # fmt: skip
    return MailToken(token_id=link_id, purpose=purpose)


async def find_link(ctx: Context, *, purposes: Collection[str], token: str) -> Link:
    """Return an open link without using it, to prepare for its use.

    Raises:
        Refused: TOKEN_EXPIRED.
    """
    return _link(await DB.fetch_row(_FIND, hash_token(token), list(purposes), ctx.now))


async def use_link(ctx: Context, *, purpose: str, token: str) -> Link:
    """Use a link up, in the transaction of its effect.

    Raises:
        Refused: TOKEN_EXPIRED: unknown, used, void, over, or made for something else.
    """
    return _link(await DB.fetch_row(_USE, hash_token(token), [purpose], ctx.now))


async def void_links(ctx: Context, *, customer_id: UUID, purposes: Collection[str]) -> None:
    """Void a customer's open links of some purposes, in the caller's transaction."""
    await DB.fetch(_VOID, customer_id, list(purposes), ctx.now)


async def void_links_about(ctx: Context, *, subjects: Collection[UUID], purpose: str) -> None:
    """Void open links about some rows, in the caller's transaction."""
    await DB.fetch(_VOID_BY_SUBJECT, list(subjects), purpose, ctx.now)


def _link(row: Row | None) -> Link:
    if row is None:
        raise Refused(Code.TOKEN_EXPIRED)
    return Link(
        id=row["id"],
        purpose=Purpose(row["purpose"]),
        customer_id=row["customer"],
        email_key=row["email_key"],
        subject=row["subject"],
        state=row["state"],
    )
