"""What one person may adjust alone, and what an adjustment does to a member's points."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.adjustments.rules import Figures, Usage, apply_points, left_today, list_excesses, read_wish
from server.errors import Invalid
from shared.adjustments import AdjustmentRequest, AdjustReason
from shared.enums import Role
from shared.problems import Code
from shared.programmes import AdjustmentLimits, RoleLimits

NOTHING = Usage(day=0, month=0, member_day=0, member_month=0, store_day=0)
RICH = Figures(available=1_000_000, pending=0, deficit=0)
EMPTY = Figures(available=0, pending=0, deficit=0)
LIMITS: dict[Role, AdjustmentLimits] = {Role.CASHIER: RoleLimits().cashier, Role.MANAGER: RoleLimits().manager}


def excesses(role: Role, points: int, usage: Usage, figures: Figures) -> tuple[str, ...]:
    return list_excesses(role, LIMITS[role], points, usage=usage, figures=figures)


def wish(**fields: object) -> AdjustmentRequest:
    return AdjustmentRequest(**{"points": 10, "reason_code": AdjustReason.GOODWILL, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["set_to", "balance"])
def test_a_new_balance_is_refused_whatever_else_is_sent(field: str) -> None:
    for body in (wish(**{field: 3300}), AdjustmentRequest(reason_code=AdjustReason.GOODWILL, **{field: 0})):
        with pytest.raises(Invalid) as refusal:
            read_wish(body)
        assert refusal.value.code is Code.ADJUST_ABSOLUTE_REFUSED
        assert refusal.value.fields[0].field == field


def test_nothing_is_no_adjustment() -> None:
    for body in (wish(points=0), AdjustmentRequest(reason_code=AdjustReason.GOODWILL)):
        with pytest.raises(Invalid) as refusal:
            read_wish(body)
        assert refusal.value.fields[0].field == "points"


@pytest.mark.parametrize("reason", [AdjustReason.CORRECTION, AdjustReason.OTHER])
def test_a_reason_that_explains_nothing_needs_a_note(reason: AdjustReason) -> None:
    for note in ("", "too short", "   padded     "):
        with pytest.raises(Invalid) as refusal:
            read_wish(wish(reason_code=reason, note=note))
        assert refusal.value.fields[0].field == "note"
    assert read_wish(wish(reason_code=reason, note="ten letters")).note == "ten letters"


@pytest.mark.parametrize(("role", "each", "day"), [(Role.CASHIER, 100, 500), (Role.MANAGER, 5_000, 20_000)])
def test_the_limits_are_those_of_the_role_and_hold_for_giving_and_taking(role: Role, each: int, day: int) -> None:
    for sign in (1, -1):
        assert excesses(role, sign * each, NOTHING, RICH) == ()
        assert excesses(role, sign * (each + 1), NOTHING, RICH) == (f"More than {each} points at a time.",)
    used = Usage(day=day - 1, month=0, member_day=0, member_month=0, store_day=0)
    assert excesses(role, 1, used, RICH) == ()
    assert excesses(role, 2, used, RICH) == (f"More than {day} points in 24 hours.",)
    assert left_today(LIMITS[role], used) == 1


def test_a_deficit_needs_a_manager() -> None:
    (reason,) = excesses(Role.CASHIER, -1, NOTHING, EMPTY)
    assert "deficit" in reason
    assert excesses(Role.MANAGER, -1, NOTHING, EMPTY) == ()


@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(-2000, 2000).filter(lambda points: points),
)
def test_a_delta_changes_the_sum_by_itself_and_leaves_no_points_beside_a_deficit(
    available: int, pending: int, deficit: int, points: int
) -> None:
    before = Figures(available=available, pending=pending, deficit=0)
    if deficit:
        before = Figures(available=0, pending=0, deficit=deficit)
    after = apply_points(before, points)
    assert min(after.available, after.pending, after.deficit) >= 0
    assert after.deficit == 0 or after.available == after.pending == 0
    total = after.available + after.pending - after.deficit
    assert total == before.available + before.pending - before.deficit + points
