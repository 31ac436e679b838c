"""How records are matched: every order of proof, arrival and time, in one rule."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from server.links.rules import Candidate, Outcome, distance, plan_match, retry_at
from shared.limits import LINK_ADDRESS_AGE_MIN

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ME, OTHER = UUID(int=1), UUID(int=2)

candidates = st.lists(
    st.builds(
        Candidate,
        record_id=st.uuids(),
        email_since_at=st.integers(0, 5_000).map(lambda minutes: NOW - timedelta(minutes=minutes)),
        card_number=st.sampled_from([None, "C1", "C2"]),
        phone_key=st.sampled_from([None, "+441", "+442"]),
        holder_id=st.sampled_from([None, None, ME, OTHER]),
        made_here=st.sampled_from([False, False, False, True]),
    ),
    max_size=4,
    unique_by=lambda one: one.record_id,
)


@given(candidates, st.sets(st.sampled_from(["C1", "C2"])), st.sets(st.sampled_from(["+441", "+442"])))
def test_only_a_free_record_that_is_beyond_doubt_and_a_day_old_is_linked(
    found: list[Candidate], cards: set[str], phones: set[str]
) -> None:
    match = plan_match(found, customer_id=ME, cards=cards, phones=phones, now=NOW)
    real = {one.record_id: one for one in found if not one.made_here}
    taken = [one for one in real.values() if one.holder_id == OTHER]
    if match.outcome in (Outcome.LINK, Outcome.WAIT):
        (record_id,) = match.record_ids
        chosen = real[record_id]
        assert chosen.holder_id is None
        assert not taken
        is_old = NOW - chosen.email_since_at >= LINK_ADDRESS_AGE_MIN
        assert is_old == (match.outcome is Outcome.LINK)
        if len(real) > 1:
            by_card = [one for one in real.values() if one.card_number in cards]
            by_phone = [one for one in real.values() if one.phone_key in phones]
            assert by_card == [chosen] or by_phone == [chosen]
    elif taken:
        assert match.outcome is Outcome.TAKEN
    elif not real:
        assert match.outcome in (Outcome.NONE, Outcome.LINKED)
    elif match.outcome is Outcome.AMBIGUOUS:
        assert len(real) > 1
        assert all(real[one].holder_id is None for one in match.record_ids)
    else:
        assert match.outcome is Outcome.LINKED
        assert all(one.holder_id == ME for one in real.values())


def test_a_till_that_is_down_is_asked_after_a_minute_and_six_hours_at_the_latest() -> None:
    waits = [retry_at(tries, NOW) - NOW for tries in range(40)]
    assert waits[0] == timedelta(minutes=1)
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(hours=6)


def test_a_typing_error_is_one_or_two_letters_away() -> None:
    pairs = [("ana@shop.test", "ana@shop.test"), ("ana@shop.test", "aan@shop.test"), ("ana@shop.test", "ana@shp.tets")]
    assert [distance(*pair) for pair in pairs] == [0, 1, 2]
    assert distance("", "abc") == 3
