"""When points lapse, by kind of policy: always at the end of a local day, whatever the clock does that night."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.bonuses.service import grant_due
from server.db.engine import DB
from server.programmes.drafts import list_problems, list_warnings
from server.programmes.rules import idle_until, lot_dates
from shared.enums import Role
from shared.programmes import BonusRules, EarningRules, Expiry
from tests.app import World, expect
from tests.ledgers import assert_tampering_found, assert_verified
from tests.server.adjustments.desk import adjust
from tests.server.expiry.test_lapsing import ZONES
from tests.tills import add_rules, push, sale

KINDS = (
    (Expiry(kind="days", days=0), date(2026, 3, 29), date(2026, 3, 29)),
    (Expiry(kind="days", days=365), date(2027, 3, 1), date(2028, 2, 29)),
    (Expiry(kind="inactivity", days=90), date(2026, 1, 1), date(2026, 4, 1)),
    (Expiry(kind="month_end"), date(2028, 2, 1), date(2028, 2, 29)),
    (Expiry(kind="month_end"), date(2026, 1, 31), date(2026, 1, 31)),
    (Expiry(kind="month_end", months=1), date(2026, 1, 31), date(2026, 2, 28)),
    (Expiry(kind="month_end", months=12), date(2026, 12, 31), date(2027, 12, 31)),
    (Expiry(kind="month_end", months=13), date(2026, 11, 5), date(2027, 12, 31)),
    (Expiry(kind="year_end"), date(2026, 1, 1), date(2026, 12, 31)),
    (Expiry(kind="year_end", years=2), date(2026, 12, 31), date(2028, 12, 31)),
    (Expiry(kind="fixed_day", month=3, day=31), date(2026, 3, 30), date(2026, 3, 31)),
    (Expiry(kind="fixed_day", month=3, day=31), date(2026, 3, 31), date(2026, 3, 31)),
    (Expiry(kind="fixed_day", month=3, day=31), date(2026, 4, 1), date(2027, 3, 31)),
    (Expiry(kind="fixed_day", month=3, day=31, years=1), date(2026, 4, 1), date(2028, 3, 31)),
    (Expiry(kind="fixed_day", month=2, day=29), date(2026, 3, 1), date(2027, 2, 28)),
    (Expiry(kind="fixed_day", month=2, day=29), date(2027, 3, 1), date(2028, 2, 29)),
    (Expiry(kind="fixed_day", month=2, day=29), date(2026, 2, 28), date(2026, 2, 28)),
)


def rules(expiry: Expiry, **fields: int) -> EarningRules:
    return EarningRules(points=1, per_minor=100, expiry=expiry, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ZONES)
def test_every_kind_has_its_last_day_and_the_whole_of_it(zone: str) -> None:
    tz = ZoneInfo(zone)
    for expiry, earned_on, last_day in KINDS:
        for hour in (0, 12, 23):
            earned_at = datetime(earned_on.year, earned_on.month, earned_on.day, hour, 59, tzinfo=tz).astimezone(UTC)
            expires_at = lot_dates(earned_at, rules(expiry), zone).expires_at
            assert expires_at is not None
            assert (expires_at - timedelta(microseconds=1)).astimezone(tz).date() == last_day, expiry
            assert expires_at.astimezone(tz).date() == last_day + timedelta(days=1), expiry
    assert lot_dates(earned_at, rules(Expiry()), zone).expires_at is None


async def test_verification_works_the_dates_of_every_kind_out_by_itself(world: World) -> None:
    member = await world.sign_up()
    for expiry, earned_on, _ in sorted(KINDS, key=lambda kind: kind[1]):
        # Four years on, when the member is one; leap years stay what they are.
        at = datetime(earned_on.year + 4, earned_on.month, earned_on.day, 22, 30, tzinfo=UTC)
        world.clock.set(max(at, world.clock.now()))
        for pending_days in (0, 14):
            await add_rules(
                world, points=1, per_minor=100, expiry=expiry, pending_days=pending_days, bonuses=BonusRules(birthday=5)
            )
            world.advance(timedelta(minutes=6))
            expect(await push(world, await world.pos_key(), sale(world, card=member.card_number)), 201)
            await adjust(world, await world.staff_headers(Role.MANAGER), member.customer_id, 7)
            await DB.fetch(
                "update customer set birth_month = $1, birth_day = $2", world.clock.now().month, world.clock.now().day
            )
            await grant_due(world.ctx)
    await assert_verified(world)
    check, later = "a lot has the dates that its entry and the rules give it", "expires_at + interval '1 day'"
    given = "entry in (select id from ledger_entry where kind = '{}')"
    for kind in ("EARN", "BONUS", "ADJUST"):
        tampering = f"update lot set expires_at = {later} where {given.format(kind)}"
        await assert_tampering_found(world, check, tampering, {"lot"})


def test_points_lapse_no_sooner_than_they_can_be_spent() -> None:
    earned_at = datetime(2026, 12, 30, 12, tzinfo=UTC)
    dates = lot_dates(earned_at, rules(Expiry(kind="year_end"), pending_days=14), "Europe/London")
    assert dates.expires_at == datetime(2028, 1, 1, tzinfo=UTC)


@given(
    at=st.timedeltas(timedelta(0), timedelta(days=7_300)).map(lambda since: datetime(2020, 1, 1, tzinfo=UTC) + since),
    later=st.timedeltas(timedelta(0), timedelta(days=400)),
    kind=st.sampled_from([expiry for expiry, _, _ in KINDS]),
    zone=st.sampled_from(ZONES),
)
def test_what_is_earned_later_lapses_no_sooner(at: datetime, later: timedelta, kind: Expiry, zone: str) -> None:
    first, second = (lot_dates(one, rules(kind), zone) for one in (at, at + later))
    assert first.expires_at is not None
    assert second.expires_at is not None
    assert at < first.expires_at <= second.expires_at
    if kind.kind == "inactivity":
        assert idle_until(at, kind.days, zone) == first.expires_at
        assert first.idle_days == kind.days
    else:
        assert first.idle_days is None


def test_a_policy_names_what_it_uses_and_nothing_else() -> None:
    def wrong(**fields: object) -> list[str]:
        return [one.field for one in list_problems(rules(Expiry(**fields)), store_codes=())]  # type: ignore[arg-type]

    for expiry, _, _ in KINDS:
        assert list_problems(rules(expiry), store_codes=()) == []
        # Days that somebody forgot are the same as none.
        assert [warning[:12] for warning in list_warnings(rules(expiry))] == ["Points lapse"] * (
            expiry == Expiry(kind="days")
        )
    assert wrong(kind="never", days=3) == ["rules.expiry.days"]
    assert wrong(kind="days", months=1, day=4) == ["rules.expiry.months", "rules.expiry.day"]
    assert wrong(kind="month_end", days=30) == ["rules.expiry.days"]
    assert wrong(kind="year_end", month=12) == ["rules.expiry.month"]
    assert wrong(kind="inactivity") == ["rules.expiry.days"]
    assert wrong(kind="fixed_day") == ["rules.expiry.month"]
    assert wrong(kind="fixed_day", month=4) == ["rules.expiry.day"]
    assert wrong(kind="fixed_day", month=4, day=31) == ["rules.expiry.day"]
