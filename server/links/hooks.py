"""Webhooks of till systems: what they say is a hint that something changed, no more; the exchange fetches it."""

import msgspec

from server.context import Context
from server.db.engine import DB
from server.errors import NotFound, Refused
from server.links import cycle_store
from server.links.cycle import ask_cycle
from server.pos.connectors import SQUARE_CONNECTION
from server.pos.square_reading import is_signed
from shared.problems import Code

_EVENT_ID_MAX = 200


class _Event(msgspec.Struct, frozen=True):
    event_id: str


async def take_square_event(ctx: Context, *, body: bytes, signature: str) -> None:
    """Take an event of Square: proven by its signature, counted once by its id, answered before anything is fetched.

    Raises:
        NotFound: This shop takes none.
        Refused: HOOK_REFUSED, the signature is wrong, or the signed message is none.
    """
    settings = ctx.settings
    if settings.pos != "square" or not settings.square_hook_key:
        raise NotFound
    if not is_signed(body=body, signature=signature, key=settings.square_hook_key, address=settings.square_hook_url):
        raise Refused(Code.HOOK_REFUSED)
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(Code.HOOK_REFUSED, "The message has no event_id.") from error
    async with DB.transaction():
        if await cycle_store.is_new_event(event.event_id[:_EVENT_ID_MAX], ctx.now):
            await ask_cycle(connection=SQUARE_CONNECTION, cause="hook")
