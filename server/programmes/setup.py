"""Setting a shop up and changing its rules: what its owner does on the command line."""

from datetime import datetime
from uuid import UUID

import asyncpg

from server.audit.store import record
from server.context import Context
from server.db.engine import DB
from server.errors import Invalid, RegularsError
from server.programmes import drafts, store
from server.programmes.service import Programme, get_default_programme
from shared.programmes import EarningRules


class AlreadyThere(RegularsError):
    """A shop has one programme that members join, and every store a code of its own."""


async def open_shop(
    ctx: Context,
    *,
    code: str,
    name: str,
    zone: str,
    currency: str,
    rules: EarningRules,
    store_code: str,
    store_name: str,
) -> UUID:
    """Add the shop's programme with its first rules, and its first store; return the programme's id.

    Raises:
        AlreadyThere: The shop has a programme.
    """
    try:
        async with DB.transaction():
            programme_id = await store.insert_programme(
                ctx, code=code, name=name, zone=zone, currency=currency, launch_at=ctx.now
            )
            # Sales count from the start of the day of the launch, so the rules reach back to where no sale does.
            await store.insert_rules(ctx, programme_id, rules, valid_from=drafts.FIRST_RULES_FROM)
            await record(ctx, "programme.created", subject_kind="programme", subject_id=programme_id)
            await _insert_store(ctx, code=store_code, name=store_name, zone=zone)
    except asyncpg.UniqueViolationError as error:
        raise AlreadyThere from error
    return programme_id


async def add_store(ctx: Context, *, code: str, name: str, zone: str) -> UUID:
    """Add a store and return its id.

    Raises:
        AlreadyThere: Another store has this code.
    """
    try:
        async with DB.transaction():
            return await _insert_store(ctx, code=code, name=name, zone=zone)
    except asyncpg.UniqueViolationError as error:
        raise AlreadyThere from error


async def change_rules(ctx: Context, rules: EarningRules, *, valid_from: datetime) -> Programme:
    """Add a version of the rules and return the programme with it. Sales completed before keep the rules of their time.

    Raises:
        NoProgramme: There is none yet.
        Invalid: With every wrong field.
    """
    async with DB.transaction():
        programme = await get_default_programme(fresh=True)
        codes = {row["code"] for row in await store.list_stores()}
        problems = drafts.list_valid_from_problems(valid_from, ctx.now)
        if problems := [*problems, *drafts.list_problems(rules, store_codes=codes)]:
            raise Invalid(*problems)
        valid_from = max(valid_from, ctx.now)
        version_id = await store.insert_rules(ctx, programme.id, rules, valid_from=valid_from)
        await record(
            ctx, "programme.rules_changed", subject_kind="rule_version", subject_id=version_id,
            details={"valid_from": valid_from},
        )  # fmt: skip
        return await get_default_programme(fresh=True)


async def _insert_store(ctx: Context, *, code: str, name: str, zone: str) -> UUID:
    store_id = await store.insert_store(ctx, code=code, name=name, zone=zone)
    await record(ctx, "store.added", subject_kind="store", subject_id=store_id)
    return store_id
