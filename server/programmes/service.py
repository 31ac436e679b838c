"""The programme as orders need it, kept in memory between changes."""

from datetime import datetime
from itertools import takewhile
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server.db.engine import DB, Row
from server.errors import NotFound, RegularsError
from server.programmes import store
from server.programmes.rules import needs_history
from shared.enums import Role
from shared.programmes import AdjustmentLimits, EarningRules, ProgrammeSettings
from shared.staff import ProgrammeList, ProgrammeView


class NoProgramme(RegularsError):
    """The shop has not set up a programme yet."""


class RuleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Rules and the instant from which they are in force."""

    id: UUID
    version: int
    valid_from: datetime
    rules: EarningRules


class Programme(msgspec.Struct, frozen=True, kw_only=True):
    """A programme with all its rule versions, newest first. `version` goes up with every change.

    `has_idle_points` says whether points have ever been earned under inactivity, which every sale and redemption then moves.
    """

    id: UUID
    code: str
    name: str
    unit_one: str
    unit_many: str
    zone: str
    currency: str
    launch_at: datetime
    status: str
    version: int
    is_default: bool
    settings: ProgrammeSettings
    rule_versions: tuple[RuleVersion, ...]
    has_idle_points: bool

    def rules_at(self, at: datetime) -> RuleVersion | None:
        """Return the rules in force at an instant, None before the first."""
        return next((version for version in self.rule_versions if version.valid_from <= at), None)

    def needs_history(self, version: RuleVersion) -> bool:
        """Return whether what a sale under these rules earns, or sets off, depends on more of the member than the sale.

        It counts for the tiers of later rules, too.
        """
        later = takewhile(lambda one: one.id != version.id, self.rule_versions)
        return needs_history(version.rules) or any(one.rules.tiers.levels for one in later)


_CACHED_MAX = 100

_cache: dict[str, Programme] = {}
_cache_by_id: dict[tuple[str, UUID], Programme] = {}


async def get_programme(programme_id: UUID, *, fresh: bool = False) -> Programme:
    """Return a programme; kept in memory like the default one.

    Raises:
        NotFound: There is no such programme.
    """
    key = (str(DB.config["dsn"]), programme_id)
    cached = _cache_by_id.get(key)
    if cached is None or fresh:
        row = await store.find_programme(programme_id)
        if row is None:
            raise NotFound
        cached = await _load(row, cached)
        # A shop has a handful of programmes; what is more belongs to databases that are gone.
        if len(_cache_by_id) >= _CACHED_MAX:
            _cache_by_id.clear()
        _cache_by_id[key] = cached
    return cached


async def get_default_programme(*, fresh: bool = False) -> Programme:
    """Return the programme that members join.

    It is kept in memory; whoever acts on it in SQL compares `version` there, and asks again with `fresh` when it has
    changed.

    Raises:
        NoProgramme: There is none.
    """
    database = str(DB.config["dsn"])
    cached = _cache.get(database)
    if cached is None or fresh:
        row = await store.find_default()
        if row is None:
            raise NoProgramme
        cached = await _load(row, cached)
        _cache.clear()
        _cache[database] = cached
    return cached


async def get_shop_zone() -> ZoneInfo:
    """Return the zone in which customers are told times: the default programme's, UTC before there is one."""
    try:
        programme = await get_default_programme()
    except NoProgramme:
        return ZoneInfo("UTC")
    return ZoneInfo(programme.zone)


def adjustment_limits(programme: Programme, role: Role) -> AdjustmentLimits | None:
    """Return what one person of a role may adjust alone in a programme; None for a role that may not adjust."""
    by_role = programme.settings.adjustment_limits
    return {Role.CASHIER: by_role.cashier, Role.MANAGER: by_role.manager}.get(role)


async def list_views(now: datetime) -> ProgrammeList:
    """Return all programmes with the rules in force."""
    return ProgrammeList(items=tuple([view_of(await _load(row), now) for row in await store.list_programmes()]))


# What table, programme and view have in common, each under the same name.
_PLAIN = (
    "id", "code", "name", "unit_one", "unit_many", "zone", "currency", "launch_at", "status", "version", "is_default",
)  # fmt: skip


def view_of(programme: Programme, now: datetime) -> ProgrammeView:
    """Return a programme as staff see it."""
    current = programme.rules_at(now)
    return ProgrammeView(
        **{name: getattr(programme, name) for name in (*_PLAIN, "settings")},
        rule_version=current.version if current else 0,
        rules=msgspec.to_builtins(current.rules) if current else {},
    )


async def _load(row: Row, known: Programme | None = None) -> Programme:
    """Return a programme; its rules are those that are known of it, unless there are newer ones."""
    versions = known.rule_versions if known is not None else ()
    if row["newest_rules"] != (max(versions, key=lambda one: one.version).id if versions else None):
        versions = tuple(
            RuleVersion(
                id=version["id"],
                version=version["version"],
                valid_from=version["valid_from"],
                rules=msgspec.json.decode(version["body"], type=EarningRules),
            )
            for version in await store.list_versions(row["id"])
        )
    return Programme(
        **{name: row[name] for name in _PLAIN},
        settings=store.settings_of(row),
        rule_versions=versions,
        has_idle_points=any(version.rules.expiry.kind == "inactivity" for version in versions),
    )
