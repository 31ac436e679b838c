"""Limits on tries, kept in the database so that all processes share them.

A try is counted before it is looked at and stays counted whatever becomes of it. The try that reaches the limit is
still looked at; the ones after it are refused until a wait is over, and for guesses each wait is twice the last one.
If the counters cannot be reached, nothing that they guard is done.
"""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from server.context import Context
from server.db.engine import DB
from server.errors import Busy, Throttled
from server.logs import get_logger
from shared import limits

log = get_logger()


class ThrottlesUnavailable(Busy):
    """The counters cannot be reached, so nothing may be tried."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How many tries in how long.

    Attributes:
        tries: Tries of a window that are looked at; the wait after them lasts one window, or the pause.
        doublings: How often the wait doubles with further tries.
        quiet: Time after a wait until everything is forgotten.
    """

    tries: int
    window: timedelta
    doublings: int = 0
    quiet: timedelta = timedelta(0)
    pause: timedelta | None = None


_OUT_OF_REACH = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    OSError,
)

# One person's guesses from one network, guesses at one person from anywhere, and guesses of one network.
_PAIR = Limit(
    tries=limits.SIGN_IN_TRIES, window=limits.SIGN_IN_WINDOW, doublings=limits.WAIT_DOUBLINGS, quiet=limits.WAIT_MEMORY
)
_NAME = Limit(tries=limits.ACCOUNT_TRIES, window=limits.ACCOUNT_WINDOW)
_NETWORK = Limit(tries=limits.NETWORK_TRIES, window=limits.NETWORK_WINDOW)
_MAILS = Limit(tries=limits.MAILS_PER_ADDRESS, window=limits.MAILS_WINDOW)
_FORMS = Limit(tries=limits.FORMS_PER_NETWORK, window=limits.FORMS_WINDOW)
_PRESENCE = Limit(
    tries=limits.PRESENCE_TRIES,
    window=limits.PRESENCE_WINDOW,
    doublings=limits.WAIT_DOUBLINGS,
    quiet=limits.WAIT_MEMORY,
)

_CLAIMS = Limit(tries=limits.CLAIM_TRIES, window=limits.CLAIM_WINDOW, pause=limits.CLAIM_PAUSE)
_CLAIMS_OF_NETWORK = Limit(tries=limits.CLAIM_NETWORK_TRIES, window=limits.CLAIM_WINDOW, pause=limits.CLAIM_PAUSE)
_CLAIMS_OF_ALL = Limit(tries=limits.CLAIM_MISSES_ALARM, window=limits.CLAIM_WINDOW)
_TEXTS = Limit(tries=limits.SMS_CODES_MAX, window=limits.SMS_CODES_WINDOW)

# A key whose wait is not over is not updated and so not returned: that try is refused. Keys are taken in their order,
# so that two processes cannot block each other.
_COUNT = """
insert into throttle_counter as t (key, tries, window_started_at, blocked_until)
select k.key, 1, $1::timestamptz, case when k.tries <= 1 then $1::timestamptz + k.pause end
from unnest($2::text[], $3::int[], $4::interval[], $5::int[], $6::interval[], $7::interval[])
     as k(key, tries, span, doublings, quiet, pause)
order by k.key
on conflict (key) do update set (tries, window_started_at, blocked_until) = (
    select n.tries, case when n.tries = 1 then $1::timestamptz else t.window_started_at end,
           case when n.tries >= k.tries then $1::timestamptz + k.pause * power(2, least(n.tries - k.tries, k.doublings)) end
    from unnest($2::text[], $3::int[], $4::interval[], $5::int[], $6::interval[], $7::interval[])
             as k(key, tries, span, doublings, quiet, pause),
         lateral (select case
             when t.blocked_until is null and t.window_started_at + k.span <= $1::timestamptz then 1
             when t.blocked_until + k.quiet <= $1::timestamptz then 1
             else t.tries + 1 end as tries) n
    where k.key = excluded.key
)
where t.blocked_until is null or t.blocked_until <= $1::timestamptz
returning key
"""
_BLOCKED_UNTIL = "select max(blocked_until) from throttle_counter where key = any($1::text[])"
# One try fewer; a wait that began with it is taken back. Locked in the order of the keys, as above.
_FORGIVE = """
with chosen as (
    select t.key, k.tries as most from throttle_counter t
    join unnest($1::text[], $2::int[]) as k(key, tries) on k.key = t.key
    where t.tries > 0 order by t.key for update of t
)
update throttle_counter t
set tries = t.tries - 1, blocked_until = case when t.tries > c.most then t.blocked_until end
from chosen c where t.key = c.key
"""
_CLEAR = """
delete from throttle_counter
where key in (select key from throttle_counter where key = any($1::text[]) order by key for update)
"""


async def check_sign_in(ctx: Context, kind: str, name: str, *, network_is_known: bool = False) -> None:
    """Count one try to sign in; call it before the password is looked at, outside of a transaction.

    Args:
        kind: Whose sign-in, "member" or "staff".
        name: The sign-in name, whether or not it exists.
        network_is_known: The person has signed in from this network before, so strangers' guesses do not count here.

    Raises:
        Throttled: Too many tries.
        ThrottlesUnavailable: The counters cannot be reached.
    """
    keys = {_pair_key(ctx, kind, name): _PAIR, f"network:{ctx.network}": _NETWORK}
    if not network_is_known:
        keys[_name_key(ctx, kind, name)] = _NAME
    await _count(ctx.now, keys)


async def clear_sign_in(ctx: Context, kind: str, name: str) -> None:
    """Forget a person's tries after the right password; the network's stay. Runs in the caller's transaction."""
    await DB.fetch(_CLEAR, [_pair_key(ctx, kind, name), _name_key(ctx, kind, name)])


async def check_form(ctx: Context) -> None:
    """Count a public form of this network.

    Raises:
        Throttled: Too many forms.
        ThrottlesUnavailable: The counters cannot be reached.
    """
    await _count(ctx.now, {f"forms:{ctx.network}": _FORMS})


async def check_presence(ctx: Context, customer_id: UUID) -> None:
    """Count a try at the digits that a member's app shows at the till.

    Raises:
        Throttled: Too many tries.
        ThrottlesUnavailable: The counters cannot be reached.
    """
    await _count(ctx.now, {f"presence:{customer_id}": _PRESENCE})


async def check_text(ctx: Context, customer_id: UUID) -> None:
    """Count a text message that a till asks for.

    Raises:
        Throttled: Too many texts to this member.
        ThrottlesUnavailable: The counters cannot be reached.
    """
    await _count(ctx.now, {f"text:{customer_id}": _TEXTS})


async def clear_presence(customer_id: UUID) -> None:
    """Forget the tries after the right digits. Runs in the caller's transaction."""
    await DB.fetch(_CLEAR, [f"presence:{customer_id}"])


async def check_claim(ctx: Context, customer_id: UUID) -> None:
    """Count a member's try at a claim code as a wrong one, in the transaction in which it is looked at.

    Tries of one member or network wait for each other there. A wrong one commits its count; `forgive_claim`, or going
    back, undoes it for any other.

    Raises:
        Throttled: Too many wrong codes of this member or this network.
        ThrottlesUnavailable: The counters cannot be reached.
    """
    await _count(ctx.now, _claim_keys(ctx, customer_id))


async def forgive_claim(ctx: Context, customer_id: UUID) -> None:
    """Take a try back that was no wrong code; the others stay counted."""
    keys = _claim_keys(ctx, customer_id)
    await DB.fetch(_FORGIVE, list(keys), [limit.tries for limit in keys.values()])


async def note_claim_miss(ctx: Context) -> None:
    """Count a wrong claim code of anybody; very many of them are told to whoever runs the shop."""
    try:
        await _count(ctx.now, {"claims-of-all": _CLAIMS_OF_ALL})
    except Throttled:
        log.error("claim_codes_guessed", misses_an_hour=limits.CLAIM_MISSES_ALARM)


async def may_mail(ctx: Context, purpose: str, email_key: str) -> bool:
    """Count a mail that somebody asked for and return whether it may leave; the one who asked must not learn which.

    Raises:
        ThrottlesUnavailable: The counters cannot be reached.
    """
    try:
        await _count(ctx.now, {f"mail:{purpose}:{_hidden(ctx, email_key)}": _MAILS})
    except Throttled:
        return False
    return True


async def _count(now: datetime, keys: dict[str, Limit]) -> None:
    names, rules = list(keys), list(keys.values())
    try:
        allowed = await DB.fetch(
            _COUNT,
            now,
            names,
            [limit.tries for limit in rules],
            [limit.window for limit in rules],
            [limit.doublings for limit in rules],
            [limit.quiet for limit in rules],
            [limit.pause or limit.window for limit in rules],
        )
        if len(allowed) == len(keys):
            return
        blocked_until = await DB.fetch_value(_BLOCKED_UNTIL, names)
    except _OUT_OF_REACH as error:
        raise ThrottlesUnavailable from error
    log.warning("too_many_tries", limits=sorted({key.partition(":")[0] for key in keys}))
    wait = blocked_until - now if isinstance(blocked_until, datetime) else timedelta(0)
    raise Throttled(max(wait, timedelta(seconds=1)))


def _claim_keys(ctx: Context, customer_id: UUID) -> dict[str, Limit]:
    return {f"claims:{customer_id}": _CLAIMS, f"claims-network:{ctx.network}": _CLAIMS_OF_NETWORK}


def _pair_key(ctx: Context, kind: str, name: str) -> str:
    return f"{kind}:{_hidden(ctx, name)}:{ctx.network}"


def _name_key(ctx: Context, kind: str, name: str) -> str:
    return f"{kind}:{_hidden(ctx, name)}"


def _hidden(ctx: Context, name: str) -> str:
    # Addresses of strangers have no place in our tables.
    return ctx.tokens.keyed_hash("throttle", name).hex()[:32]
