"""Value-moving calls have one effect however often they are sent: key, effect and answer commit together."""

import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from server.context import Context
from server.db.engine import DB
from server.db.ids import new_id
from server.errors import Refused
from shared.problems import Code


class IdempotentCall(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a call: who sent it, what it asks for, the key and the body's keyed hash."""

    principal: str
    operation: str
    key: str
    body_hash: bytes


class StoredReply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as bytes; `replayed` when it was given before."""

    status: int
    body: bytes
    replayed: bool


# The lock makes a second call with the same key wait until the first has committed or failed.
_LOCK = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
_FIND = "select body_hash, status, reply from idempotency_key where principal = $1 and operation = $2 and key = $3"
_STORE = """
insert into idempotency_key (id, principal, operation, key, body_hash, status, reply, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""


def hash_body(ctx: Context, path: str, body: bytes) -> bytes:
    """Return the keyed hash of what a call asks for: its path and its exact body.

    Some bodies hold a password, which whoever reads a plain hash in the database could try out.
    """
    return ctx.tokens.keyed_hash("idempotent-body", hashlib.sha256(path.encode() + b"\0" + body).hexdigest())


async def find_reply(call: IdempotentCall) -> StoredReply | None:
    """Return the answer a call got before, if any.

    Raises:
        Refused: IDEMPOTENCY_CONFLICT, the key was used for another request.
    """
    row = await DB.fetch_row(_FIND, call.principal, call.operation, call.key)
    if row is None:
        return None
    if row["body_hash"] != call.body_hash:
        raise Refused(Code.IDEMPOTENCY_CONFLICT)
    return StoredReply(status=row["status"], body=row["reply"], replayed=True)


async def once(
    ctx: Context, call: IdempotentCall, status: int, work: Callable[[], Awaitable[msgspec.Struct]]
) -> StoredReply:
    """Run `work` in a transaction unless this call was carried out before, and store its answer with it.

    Refusals are not stored: nothing happened, so trying again is right.

    Raises:
        Refused: IDEMPOTENCY_CONFLICT, the key was used for another request; or what `work` raises.
    """
    async with DB.transaction():
        return await lock_reply(call) or await keep_reply(ctx, call, status, await work())


async def lock_reply(call: IdempotentCall) -> StoredReply | None:
    """Return the answer a call got before, and let no other call with its key go on, in the caller's transaction.

    Raises:
        Refused: IDEMPOTENCY_CONFLICT, the key was used for another request.
    """
    await DB.fetch(_LOCK, f"{call.principal}|{call.operation}|{call.key}")
    return await find_reply(call)


async def keep_reply(ctx: Context, call: IdempotentCall, status: int, answer: msgspec.Struct) -> StoredReply:
    """Store the answer of a locked call in the caller's transaction, and return it."""
    body = msgspec.json.encode(answer)
    await DB.fetch(_STORE, new_id(), call.principal, call.operation, call.key, call.body_hash, status, body, ctx.now)
    return StoredReply(status=status, body=body, replayed=False)
