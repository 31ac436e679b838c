"""Points are filled and taken never beyond what is there, and in the promised order."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from server.ledger.rules import Debt, Lot, is_available, plan_fills, plan_takes

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

near = st.integers(-5, 5).map(lambda days: NOW + timedelta(days=days))
debts = st.lists(st.builds(Debt, entry_id=st.uuids(), open_points=st.integers(0, 500)), max_size=8)
lots = st.lists(
    st.builds(
        Lot,
        entry_id=st.uuids(),
        remaining=st.integers(0, 500),
        earned_at=near,
        available_at=near,
        expires_at=st.none() | near,
    ),
    max_size=10,
    unique_by=lambda lot: lot.entry_id,
)


@given(points=st.integers(0, 2000), owed=debts)
def test_a_credit_pays_debts_oldest_first_and_never_more_than_owed(points: int, owed: list[Debt]) -> None:
    fills = plan_fills(points, owed)
    assert sum(fill.points for fill in fills) == min(points, sum(debt.open_points for debt in owed))
    assert all(fill.points > 0 for fill in fills)
    paid = iter(fills)
    left = points
    for debt in owed:
        part = min(left, debt.open_points)
        left -= part
        if part:
            fill = next(paid)
            assert (fill.debit_entry_id, fill.points) == (debt.entry_id, part)
    assert next(paid, None) is None


@given(points=st.integers(0, 4000), stock=lots)
def test_a_debit_never_takes_more_than_asked_or_than_a_lot_holds(points: int, stock: list[Lot]) -> None:
    takes = plan_takes(points, stock, now=NOW)
    held = {lot.entry_id: lot.remaining for lot in stock if is_available(lot, NOW)}
    assert sum(take.points for take in takes) == min(points, sum(held.values()))
    assert len({take.lot_entry_id for take in takes}) == len(takes)
    assert all(0 < take.points <= held[take.lot_entry_id] for take in takes)


@given(points=st.integers(0, 4000), stock=lots)
def test_a_debit_uses_up_one_lot_before_it_touches_the_next(points: int, stock: list[Lot]) -> None:
    takes = plan_takes(points, stock, now=NOW)
    held = {lot.entry_id: lot.remaining for lot in stock}
    assert all(take.points == held[take.lot_entry_id] for take in takes[:-1])


@given(stock=lots)
def test_lots_go_soonest_to_lapse_first_then_those_that_never_do_then_oldest(stock: list[Lot]) -> None:
    by_id: dict[UUID, Lot] = {lot.entry_id: lot for lot in stock}
    everything = sum(lot.remaining for lot in stock)
    used = [by_id[take.lot_entry_id] for take in plan_takes(everything, stock, now=NOW)]
    for earlier, later in pairwise(used):
        if earlier.expires_at is None or later.expires_at is None:
            assert later.expires_at is None
        else:
            assert earlier.expires_at <= later.expires_at
        if earlier.expires_at == later.expires_at:
            assert earlier.earned_at <= later.earned_at


@given(points=st.integers(0, 4000), stock=lots, data=st.data())
def test_the_order_in_which_lots_are_read_does_not_matter(points: int, stock: list[Lot], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(stock))
    assert plan_takes(points, shuffled, now=NOW) == plan_takes(points, stock, now=NOW)


@given(stock=lots)
def test_neither_pending_nor_lapsed_points_are_spent(stock: list[Lot]) -> None:
    usable = {
        lot.entry_id for lot in stock if lot.available_at <= NOW and not (lot.expires_at and lot.expires_at <= NOW)
    }
    assert {take.lot_entry_id for take in plan_takes(10**9, stock, now=NOW)} <= usable
