"""Trials in spans: months cut in the programme's zone, nothing left out and nothing twice."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from shared.programmes import EarningRules, Promotion, Tier, TierRules
from tui.trial_sums import months_between, spans_of

AUCKLAND = ZoneInfo("Pacific/Auckland")
INSTANTS = st.integers(0, 6_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(INSTANTS, st.timedeltas(timedelta(seconds=1), timedelta(days=4_000)))
def test_spans_follow_each_other_from_the_first_to_the_last_instant(since: datetime, length: timedelta) -> None:
    until = since + length
    spans = months_between(since, until, AUCKLAND)
    assert (spans[0][0], spans[-1][1]) == (since, until)
    assert all(start < end for start, end in spans)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert len(spans) <= 24
    for _, cut in spans[:-1]:
        local = cut.astimezone(AUCKLAND)
        assert (local.day, local.hour, local.minute) == (1, 0, 0)


def test_tiers_and_a_cap_over_all_of_a_promotion_are_counted_in_one_go() -> None:
    since, until = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC)
    plain = EarningRules(points=1, per_minor=100)
    assert len(spans_of(plain, since, until, ZoneInfo("UTC"))) == 4
    capped = Promotion(code="p", name="P", percent=200, member_points_max=10)
    tiers = TierRules(levels=(Tier(name="Gold", from_points=500),))
    for rules in (
        EarningRules(points=1, per_minor=100, promotions=(capped,)),
        EarningRules(points=1, per_minor=100, tiers=tiers),
    ):
        assert spans_of(rules, since, until, ZoneInfo("UTC")) == [(since, until)]
