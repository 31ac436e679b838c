"""Whose fields stay when two customers become one, and which answer holds for an address of both."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from server.db.ids import new_id
from server.merges.rules import Address, Person, join_notes, plan_consent, plan_fields
from shared.limits import REASON_LENGTH_MAX
from shared.merges import MergeChoices

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def person(**fields: object) -> Person:
    blank = Person(
        id=new_id(), kind="person", status="active", given_name="", family_name="", birth_year=None, birth_month=None,
        birth_day=None, locale="en", notes="", created_at=NOW, redemption_held_until=None, redemption_held_reason=None,
        merged_into=None, has_login=False, addresses=(),
    )  # fmt: skip
    return msgspec.structs.replace(blank, **fields)


def email(status: str) -> tuple[Address, ...]:
    return (
        Address(id=new_id(), customer=new_id(), kind="email", value="a@b.test", key="a@b.test", status=status, is_primary=True),
    )  # fmt: skip


def test_the_survivors_fields_stay_and_blanks_are_filled() -> None:
    survivor, absorbed = person(given_name="Ana"), person(given_name="Anna", birth_month=5, birth_day=17)
    fields = plan_fields(survivor, absorbed, MergeChoices())
    assert (fields.name, fields.birthday) == ("survivor", "absorbed")
    assert plan_fields(survivor, absorbed, MergeChoices(name="absorbed")).name == "absorbed"
    # A choice for a side that has nothing is none.
    assert plan_fields(absorbed, survivor, MergeChoices(birthday="absorbed")).birthday == "survivor"


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        ("verified", "verified", "survivor"),
        ("unverified", "verified", "absorbed"),
        ("verified", "unverified", "survivor"),
        ("unverified", "unverified", "survivor"),
        ("unverified", "bouncing", "absorbed"),
        (None, "unverified", "absorbed"),
        ("unverified", None, "survivor"),
        (None, None, "survivor"),
    ],
)
def test_a_proven_address_beats_one_that_is_not(ours: str | None, theirs: str | None, chosen: str) -> None:
    survivor = person(addresses=email(ours) if ours else ())
    absorbed = person(addresses=email(theirs) if theirs else ())
    assert plan_fields(survivor, absorbed, MergeChoices()).email == chosen


def test_notes_of_both_are_kept_or_refused_but_never_cut() -> None:
    assert join_notes("", "") == ""
    assert join_notes("likes oat milk", "") == "likes oat milk"
    both = join_notes("likes oat milk", "is allergic")
    assert both is not None
    assert both.startswith("likes oat milk\n")
    assert both.endswith("\nis allergic")
    assert join_notes("x" * REASON_LENGTH_MAX, "y") is None


def test_the_latest_answer_holds_and_of_two_at_one_time_the_no() -> None:
    earlier = NOW - timedelta(days=1)
    assert plan_consent([]) is None
    assert plan_consent([(earlier, "opted_out"), (NOW, "opted_in")]) == "opted_in"
    assert plan_consent([(NOW, "opted_out"), (earlier, "opted_in")]) == "opted_out"
    assert plan_consent([(NOW, "opted_in"), (NOW, "pending")]) == "opted_out"
    assert plan_consent([(NOW, "opted_in"), (NOW, "opted_in")]) == "opted_in"
