"""Rules of privacy: when an answer is due, and what ties a command to its preview."""

import calendar
import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from shared.privacy import ErasureEffect, ErasureNeed


def one_month_after(at: datetime) -> datetime:
    """Return the same day and time of the next month; its last day where it has no such day."""
    year, month = divmod(at.year * 12 + at.month, 12)
    month += 1
    last_day = calendar.monthrange(year, month)[1]
    return at.replace(year=year, month=month, day=min(at.day, last_day))


def years_before(at: datetime, years: int) -> datetime:
    """Return the beginning of the day (UTC) so many years before; the last of February where there was no 29th."""
    day = min(at.day, calendar.monthrange(at.year - years, at.month)[1])
    return at.replace(year=at.year - years, day=day, hour=0, minute=0, second=0, microsecond=0)


def hash_erasure(family: Sequence[UUID], effect: ErasureEffect, needs: Sequence[ErasureNeed]) -> str:
    """Return the hash that ties an erasure to the preview that was looked at, 64 hex digits."""
    return hashlib.sha256(msgspec.json.encode((family, effect, needs), order="deterministic")).hexdigest()


def list_warnings(effect: ErasureEffect, cooling_days: int) -> tuple[str, ...]:
    """Return what somebody should know before being forgotten."""
    warnings = []
    if effect.points_lost:
        warnings.append(f"{effect.points_lost} points are given up and do not come back.")
    if effect.memberships_left:
        warnings.append("The points of a shared membership stay with the others in it.")
    if effect.vouchers_void:
        warnings.append(f"{effect.vouchers_void} unspent vouchers become void.")
    if effect.pos_records:
        warnings.append("The records at the till have to be removed there by hand.")
    taking_back = f"It can be taken back for {cooling_days} days." if cooling_days else "It is done at once."
    warnings.append(f"{taking_back} Afterwards nobody can undo it.")
    return tuple(warnings)
