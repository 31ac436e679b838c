"""Use cases of managers who make, change, close and open programmes. Each opens one transaction."""

import hashlib
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from server.audit.store import record
from server.context import Context
from server.db.engine import DB, Row
from server.errors import Invalid, Refused
from server.programmes import drafts, store
from server.programmes.service import Programme, get_programme, view_of
from shared.problems import Code, FieldProblem
from shared.programmes import (
    NewProgramme,
    ProgrammeChange,
    ProgrammeClosing,
    ProgrammeOpening,
    ProgrammeSettings,
    ProgrammeStanding,
)
from shared.staff import ProgrammeView

_CHANGEABLE = ("name", "unit_one", "unit_many", "zone", "currency", "launch_at", "settings")
# What points were earned by, which the first member makes a promise.
_FIXED_BY_MEMBERS = ("zone", "currency", "launch_at")


async def get_view(ctx: Context, programme_id: UUID) -> ProgrammeView:
    """Return a programme.

    Raises:
        NotFound: There is none.
    """
    return view_of(await get_programme(programme_id, fresh=True), ctx.now)


async def create_programme(ctx: Context, form: NewProgramme) -> ProgrammeView:
    """Make a further programme with its first rules, which hold from its launch.

    Raises:
        Invalid: With every wrong field.
        Refused: PROGRAMME_CODE_TAKEN.
    """
    launch_at = form.launch_at or ctx.now
    codes = {row["code"] for row in await store.list_stores()}
    problems = [
        *_problems(zone=form.zone, launch_at=launch_at, settings=form.settings),
        *drafts.list_problems(form.rules, store_codes=codes),
    ]
    if problems:
        raise Invalid(*problems)
    try:
        async with DB.transaction():
            programme_id = await store.insert_programme(
                ctx,
                code=form.code,
                name=form.name,
                unit_one=form.unit_one,
                unit_many=form.unit_many,
                zone=form.zone,
                currency=form.currency,
                launch_at=launch_at,
                is_default=False,
                settings=form.settings,
            )
            # Sales count from the start of the day of the launch, so the rules reach back to where no sale does.
            await store.insert_rules(ctx, programme_id, form.rules, valid_from=drafts.FIRST_RULES_FROM)
            await record(
                ctx, "programme.created", subject_kind="programme", subject_id=programme_id,
                details={"code": form.code},
            )  # fmt: skip
            return await get_view(ctx, programme_id)
    except asyncpg.UniqueViolationError as error:
        raise Refused(Code.PROGRAMME_CODE_TAKEN) from error


async def change_programme(ctx: Context, programme_id: UUID, form: ProgrammeChange) -> ProgrammeView:
    """Change what a form names; points that were earned or spent before stay as they are.

    Raises:
        NotFound: There is no such programme.
        Invalid: With every wrong field, and with those that members have made fixed.
        Refused: VERSION_CONFLICT.
    """
    async with DB.transaction():
        programme = await _lock(programme_id)
        _check_version(programme, form.version)
        values = {
            name: getattr(programme, name) if getattr(form, name) is UNSET else getattr(form, name)
            for name in _CHANGEABLE
        }
        changed = {
            name: [getattr(programme, name), values[name]]
            for name in _CHANGEABLE
            if getattr(programme, name) != values[name]
        }
        problems = _problems(zone=values["zone"], launch_at=values["launch_at"], settings=values["settings"])
        if not problems and (fixed := [name for name in _FIXED_BY_MEMBERS if name in changed]):
            problems = await _fixed_problems(programme, fixed)
        if problems:
            raise Invalid(*problems)
        if changed:
            await store.change_programme(programme_id, form.version, **values)
            await record(
                ctx, "programme.changed", subject_kind="programme", subject_id=programme_id, reason=form.reason,
                details=msgspec.to_builtins(changed),
            )  # fmt: skip
        return await get_view(ctx, programme_id)


async def preview_closing(ctx: Context, programme_id: UUID) -> ProgrammeStanding:
    """Return what a closing would leave.

    Raises:
        NotFound: There is no such programme.
    """
    async with DB.transaction():
        return await _get_standing(ctx, await get_programme(programme_id, fresh=True))


async def close_programme(ctx: Context, programme_id: UUID, form: ProgrammeClosing) -> ProgrammeView:
    """Close a programme: nobody joins and nothing earns any more; points stay until they are spent or lapse.

    Raises:
        NotFound: There is no such programme.
        Refused: PROGRAMME_DEFAULT, PREVIEW_STALE.
    """
    async with DB.transaction():
        programme = await _lock(programme_id)
        if programme.is_default:
            raise Refused(Code.PROGRAMME_DEFAULT)
        standing = await _get_standing(ctx, programme)
        if programme.status != "active" or form.preview_hash != standing.preview_hash:
            raise Refused(Code.PREVIEW_STALE)
        await store.set_status(programme_id, programme.version, "closed")
        await record(
            ctx, "programme.closed", subject_kind="programme", subject_id=programme_id, reason=form.reason,
            details={"members": standing.members, "points": standing.points},
        )  # fmt: skip
        return await get_view(ctx, programme_id)


async def open_programme(ctx: Context, programme_id: UUID, form: ProgrammeOpening) -> ProgrammeView:
    """Open a closed programme again; sales made meanwhile stay without points.

    Raises:
        NotFound: There is no such programme.
        Refused: VERSION_CONFLICT, which an open one gives too.
    """
    async with DB.transaction():
        programme = await _lock(programme_id)
        _check_version(programme, form.version)
        if programme.status != "closed":
            raise Refused(Code.VERSION_CONFLICT, "The programme is open.")
        await store.set_status(programme_id, form.version, "active")
        await record(ctx, "programme.opened", subject_kind="programme", subject_id=programme_id, reason=form.reason)
        return await get_view(ctx, programme_id)


async def _lock(programme_id: UUID) -> Programme:
    await store.lock_programme(programme_id)
    return await get_programme(programme_id, fresh=True)


def _check_version(programme: Programme, version: int) -> None:
    if programme.version != version:
        raise Refused(Code.VERSION_CONFLICT, data={"version": programme.version})


async def _get_standing(ctx: Context, programme: Programme) -> ProgrammeStanding:
    row = await store.get_standing(programme.id, ctx.now)
    # Sales go on while somebody reads the preview, so their points are no part of what was agreed to.
    body = msgspec.json.encode((programme.id, programme.version, programme.status), order="deterministic")
    return ProgrammeStanding(
        **{name: row[name] for name in ("members", "points", "vouchers", "open_holds")},
        pending_points=row["pending"],
        last_lapses_at=row["last_lapses_at"],
        has_points_for_ever=row["has_points_for_ever"],
        warnings=tuple(_warnings(programme, row)),
        preview_hash=hashlib.sha256(body).hexdigest()[:32],
    )


def _warnings(programme: Programme, row: Row) -> list[str]:
    warnings = []
    if programme.is_default:
        warnings.append("This is the programme that members join; it cannot be closed.")
    if programme.status != "active":
        warnings.append("The programme is closed.")
    if row["has_points_for_ever"]:
        warnings.append("Some points never lapse: they stay to be spent for ever.")
    if row["open_holds"]:
        warnings.append("Points are being spent at a till just now.")
    return warnings


def _problems(*, zone: str, launch_at: datetime, settings: ProgrammeSettings) -> list[FieldProblem]:
    problems = []
    if not drafts.is_zone(zone):
        problems.append(FieldProblem(field="zone", detail="Give a time zone by its name, like Europe/London."))
    if problem := drafts.time_problem("launch_at", launch_at):
        problems.append(problem)
    return [*problems, *drafts.list_setting_problems(settings)]


async def _fixed_problems(programme: Programme, names: list[str]) -> list[FieldProblem]:
    if not await store.has_members(programme.id):
        return []
    return [FieldProblem(field=name, detail="Members have joined, so this stays as it is.") for name in names]
