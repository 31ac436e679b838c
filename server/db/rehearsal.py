"""Work that is carried out and taken back, for previews that cannot differ from the act."""

from collections.abc import Coroutine
from typing import TypeVar

from server.db.engine import DB
from server.errors import RegularsError

_T = TypeVar("_T")


class _TakenBack(RegularsError):
    """Ends the transaction, so that nothing of it stays."""


async def rehearse(work: Coroutine[object, object, _T]) -> _T:
    """Return what some work comes to, of which nothing stays; it runs in a transaction of its own."""
    try:
        async with DB.transaction():
            result = await work
            raise _TakenBack
    except _TakenBack:
        return result
    finally:
        # Where there was no connection for it, it has not begun, and Python would complain of that.
        work.close()
