"""Whom no import brings back: keyed hashes of what tills and files name an erased person by.

Only hashes are kept, under the service's secret, so that the list names nobody. A hash goes when the person signs up again
with that address, of their own will; whoever comes back so is not welcomed with points again.
"""

from collections.abc import Collection
from typing import Literal
from uuid import UUID

from server.context import Context
from server.db.engine import DB

Kind = Literal["email", "phone", "card", "pos"]
Name = tuple[Kind, str]
"""A kind, and the key of that kind: of an address, a number, a card, or `pos_name`."""

_ADD = """
insert into suppression (hash, kind, erasure, created_at)
select n.hash, n.kind, $3, $4 from unnest($1::bytea[], $2::text[]) as n(hash, kind)
on conflict (hash) do nothing
"""
_FIND = "select hash from suppression where hash = any($1::bytea[])"
_LIFT = "delete from suppression where hash = $1"


def pos_name(connection_id: UUID, external_id: str) -> str:
    """Return the key of a customer as one till system knows them."""
    return f"{connection_id}:{external_id}"


async def suppress(ctx: Context, erasure_id: UUID, names: Collection[Name]) -> None:
    """Let no import bring these names back, in the caller's transaction."""
    hashes = {_hash(ctx, name): name[0] for name in names}
    await DB.fetch(_ADD, list(hashes), list(hashes.values()), erasure_id, ctx.now)


async def find_suppressed(ctx: Context, names: Collection[Name]) -> set[Name]:
    """Return those of some names that no import may bring back."""
    hashes = {_hash(ctx, name): name for name in names}
    return {hashes[row["hash"]] for row in await DB.fetch(_FIND, list(hashes))} if hashes else set()


async def lift(ctx: Context, email_key: str) -> None:
    """Let an address come back, as whoever proved it wishes; in the caller's transaction."""
    await DB.fetch(_LIFT, _hash(ctx, ("email", email_key)))


def _hash(ctx: Context, name: Name) -> bytes:
    kind, key = name
    return ctx.tokens.keyed_hash(f"suppressed:{kind}", key)
