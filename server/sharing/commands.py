"""What all commands of sharing have in common: trying out, finding what is to be taken back, and the answer to that."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import TypeVar
from uuid import UUID

from server.auth import Staff
from server.context import Context
from server.db.engine import Row
from server.db.rehearsal import rehearse
from server.errors import NotFound, Refused
from server.sharing import store
from server.sharing.groups import list_people_views
from shared.problems import Code
from shared.sharing import SharingUndone, SplitEffect

_Result = TypeVar("_Result")
# These are no obstacles that somebody could see and remove in the dialog.
_NOT_SHOWN = (Code.NOT_FOUND, Code.SELF_DEALING, Code.INVALID_REQUEST)
BLOCKED_HASH = hashlib.sha256(b"blocked").hexdigest()  # No execution has it.


async def try_out(work: Callable[[], Coroutine[object, object, _Result]]) -> tuple[_Result | None, tuple[str, ...]]:
    """Carry something out in a transaction, take it back, and return what it did, or in words what stands against it."""
    try:
        return await rehearse(work()), ()
    except Refused as refusal:
        if refusal.code in _NOT_SHOWN:
            raise
        return None, (refusal.detail or str(refusal.code),)


async def get_operation(staff: Staff, membership_id: UUID, operation_id: UUID, kind: str) -> Row:
    """Return an operation of a membership, unless the staff member is among those whom it concerns."""
    operation = await store.find_operation(operation_id)
    if operation is None or operation["membership"] != membership_id or operation["kind"] != kind:
        raise NotFound
    ids = [one for one in (operation["membership"], operation["other"]) if one is not None]
    people = {person.customer for person in await store.list_people(ids)} | {operation["customer"]}
    if staff.customer_id is not None and staff.customer_id in people:
        raise Refused(Code.SELF_DEALING)
    return operation


async def check_undoable(ctx: Context, operation_id: UUID) -> Row:
    """Return an operation as it is under the locks.

    Raises:
        Refused: UNDO_EXPIRED or UNDO_NOT_LAST.
    """
    operation = await store.find_operation(operation_id)
    assert operation is not None
    if operation["state"] != "done":
        raise Refused(Code.UNDO_EXPIRED, "This was taken back before.")
    if operation["undo_until"] <= ctx.now:
        raise Refused(Code.UNDO_EXPIRED)
    if await store.has_later(operation):
        raise Refused(Code.UNDO_NOT_LAST)
    return operation


async def answer_undone(ctx: Context, operation: Row, effect: SplitEffect | None) -> SharingUndone:
    return SharingUndone(
        operation_id=operation["id"],
        membership_id=operation["membership"],
        other_membership_id=operation["other"],
        effect=effect,
        people=await list_people_views(ctx, operation["membership"]),
    )
