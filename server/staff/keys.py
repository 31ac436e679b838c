"""API keys of tills: made on the service's own machine, shown once, stored as a hash."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from server.audit.store import record
from server.context import Context
from server.db.engine import DB
from server.db.ids import new_id
from server.errors import NotFound, Refused
from server.staff import rules, store
from server.tokens import hash_token
from shared.limits import NAME_LENGTH_MAX
from shared.problems import Code


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret. `stores` holds store codes; none means every store."""

    id: UUID
    name: str
    connection_code: str
    scopes: tuple[str, ...]
    stores: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


async def create_api_key(
    ctx: Context,
    *,
    name: str,
    connection_code: str,
    scopes: Sequence[str],
    stores: Sequence[str] = (),
    valid_days: int = 365,
) -> str:
    """Make a key for a till and return it; it cannot be shown again.

    Args:
        name: What the key is for, as it shows in the audit trail.
        connection_code: The till system; a new code adds one.
        scopes: Names of `shared.enums.Scope`.
        stores: Codes of the stores it may speak for; none means every store.
        valid_days: Days until it expires, 1 to KEY_DAYS_MAX.

    Raises:
        Invalid: A name, code, scope or number of days is wrong.
        Refused: STORE_UNKNOWN.
    """
    name = rules.check_name(name, NAME_LENGTH_MAX)
    connection_code = rules.check_connection_code(connection_code)
    granted = rules.check_scopes(scopes)
    expires_at = ctx.now + timedelta(days=rules.check_valid_days(valid_days))
    key_id = new_id()
    # The readable front says what was found when a key turns up in a log or a repository.
    token = f"regulars_{'demo' if ctx.settings.demo else 'live'}_{ctx.tokens.new()}"
    async with DB.transaction():
        unknown = sorted(set(stores) - await store.list_store_codes(stores))
        if unknown:
            raise Refused(Code.STORE_UNKNOWN, f"There is no store '{unknown[0]}'.")
        await store.insert_key(
            ctx,
            key_id,
            name=name,
            connection_id=await store.ensure_connection(ctx, connection_code),
            token_hash=hash_token(token),
            scopes=granted,
            stores=stores,
            expires_at=expires_at,
        )
        details = {"scopes": granted, "stores": list(stores), "expires_at": expires_at}
        await record(ctx, "api_key.created", subject_kind="api_key", subject_id=key_id, details=details)
    return token


async def revoke_api_key(ctx: Context, key_id: UUID) -> None:
    """Revoke a key; its next request is refused.

    Raises:
        NotFound: There is no such key, or it is revoked already.
    """
    async with DB.transaction():
        if not await store.revoke_key(key_id, ctx.now):
            raise NotFound
        await record(ctx, "api_key.revoked", subject_kind="api_key", subject_id=key_id)


async def list_api_keys() -> tuple[KeyInfo, ...]:
    """Return all keys, oldest first."""
    return tuple(
        KeyInfo(
            id=row["id"],
            name=row["name"],
            connection_code=row["connection_code"],
            scopes=tuple(row["scopes"]),
            stores=tuple(row["stores"]),
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
        )
        for row in await store.list_keys()
    )
