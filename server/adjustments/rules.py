"""What one person may adjust alone, and what an adjustment does: pure functions."""

import hashlib
from uuid import UUID

import msgspec

from server.errors import Invalid
from shared import limits
from shared.adjustments import AdjustmentRequest, AdjustReason
from shared.enums import Role
from shared.problems import Code, FieldProblem
from shared.programmes import AdjustmentLimits

_REASONS_WITH_NOTE = (AdjustReason.CORRECTION, AdjustReason.OTHER)


# Who may leave a member owing points.
MAKES_DEFICIT = frozenset({Role.MANAGER})


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Absolute points adjusted lately without a second person.

    By this person, for this member by anybody, and in this store by people of the same role.
    """

    day: int
    month: int
    member_day: int
    member_month: int
    store_day: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A membership's points at one instant."""

    available: int
    pending: int
    deficit: int


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request: a signed delta other than zero, its reason, and whether the member reads the note."""

    points: int
    reason_code: AdjustReason
    note: str
    visible: bool


def read_wish(form: AdjustmentRequest) -> Wish:
    """Return what a form asks for.

    Raises:
        Invalid: ADJUST_ABSOLUTE_REFUSED, it names a new balance; no points, or a note that is too short for its reason.
    """
    for field in ("set_to", "balance"):
        if getattr(form, field) is not msgspec.UNSET:
            detail = "Send points, with a minus to take them."
            raise Invalid(FieldProblem(field=field, detail=detail), code=Code.ADJUST_ABSOLUTE_REFUSED)
    if form.points is msgspec.UNSET or form.points == 0:
        raise Invalid(FieldProblem(field="points", detail="Say how many points to give, or, with a minus, to take."))
    note = " ".join(form.note.split())
    if form.reason_code in _REASONS_WITH_NOTE and len(note) < limits.ADJUST_NOTE_LENGTH_MIN:
        words = f"This reason needs a note of at least {limits.ADJUST_NOTE_LENGTH_MIN} characters."
        raise Invalid(FieldProblem(field="note", detail=words))
    return Wish(points=form.points, reason_code=form.reason_code, note=note, visible=form.visible)


def apply_points(figures: Figures, points: int) -> Figures:
    """Return the figures after a signed delta: a deficit takes its part of what comes, and what is missing becomes one."""
    if points > 0:
        filled = min(points, figures.deficit)
        return Figures(
            available=figures.available + points - filled, pending=figures.pending, deficit=figures.deficit - filled
        )
    from_available = min(-points, figures.available)
    from_pending = min(-points - from_available, figures.pending)
    return Figures(
        available=figures.available - from_available,
        pending=figures.pending - from_pending,
        deficit=figures.deficit - points - from_available - from_pending,
    )


def list_excesses(
    role: Role, allowed: AdjustmentLimits, points: int, *, usage: Usage, figures: Figures
) -> tuple[str, ...]:
    """Return in words why a second person is needed; nothing if one may do it alone."""
    size = abs(points)
    sums = (
        (size, allowed.each, "at a time"),
        (usage.day + size, allowed.day, "in 24 hours"),
        (usage.month + size, allowed.month, "in 30 days"),
        (usage.member_day + size, allowed.member_day, "for one member in 24 hours"),
        (usage.member_month + size, allowed.member_month, "for one member in 30 days"),
        (usage.store_day + size, allowed.store_day, "in this store in 24 hours"),
    )
    reasons = [f"More than {limit} points {words}." for total, limit, words in sums if total > limit]
    if role not in MAKES_DEFICIT and -points > figures.available:
        reasons.append("More than the member can spend now: a deficit needs a manager.")
    return tuple(reasons)


def left_today(allowed: AdjustmentLimits, usage: Usage) -> int:
    """Return how many points one may still adjust alone in these 24 hours."""
    return max(0, allowed.day - usage.day)


def hash_command(membership_id: UUID, wish: Wish, figures: Figures, *, needs_second_person: bool) -> str:
    """Return the hash that ties an adjustment to the preview that was looked at; the note may still change."""
    return _hash(membership_id, wish.points, wish.reason_code, wish.visible, figures, needs_second_person)


def hash_request(adjustment_id: UUID, wish: Wish, figures: Figures) -> str:
    """Return the hash by which an approver signs exactly what was shown, the points of the member included."""
    return _hash(adjustment_id, wish, figures)


def hash_undo(adjustment_id: UUID, figures: Figures, after: Figures) -> str:
    """Return the hash that ties taking an adjustment back to what was shown of it."""
    return _hash("undo", adjustment_id, figures, after)


def _hash(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
