"""What looks like a typo, what becomes of consent, what a preview's hash is over."""

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.email_changes.rules import (
    Command,
    Situation,
    hash_preview,
    is_typo_of,
    plan_email_consent,
)
from shared.email_hints import edit_distance
from shared.enums import ConsentAnswer, EmailChangeMode

ASKED, YES, WAITING, NO = (
    ConsentAnswer.NOT_ASKED,
    ConsentAnswer.OPTED_IN,
    ConsentAnswer.PENDING,
    ConsentAnswer.OPTED_OUT,
)
KEEP, REISSUE = EmailChangeMode.KEEP, EmailChangeMode.REISSUE


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("hnak", "hank", 1),
        ("anna", "ana", 1),
        ("ana", "anna", 1),
        ("kitten", "sitting", 3),
    ],
)
def test_a_swap_of_neighbours_is_one_edit(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other, limit=5) == distance


@given(st.text(max_size=12), st.text(max_size=12))
def test_the_distance_is_the_same_both_ways_and_nothing_only_for_equals(one: str, other: str) -> None:
    distance = edit_distance(one, other, limit=12)
    assert distance == edit_distance(other, one, limit=12)
    assert (distance == 0) == (one == other)


def test_far_apart_is_reported_as_just_above_the_limit() -> None:
    assert edit_distance("abcdef", "uvwxyz", limit=2) == 3
    assert edit_distance("a", "abcdefgh", limit=2) == 3


def test_one_or_two_slips_are_a_typo_and_more_is_another_address() -> None:
    assert is_typo_of("hnak@example.com", "hank@example.com")
    assert not is_typo_of("hank@example.com", "hank@example.com")
    assert not is_typo_of("hank@example.com", "ben.scorpio@example.com")


@pytest.mark.parametrize(
    ("mode", "is_correction", "old", "new", "recorded"),
    [
        (KEEP, False, YES, ASKED, True),
        (KEEP, False, NO, ASKED, False),
        (KEEP, False, ASKED, ASKED, None),
        (KEEP, False, WAITING, ASKED, None),
        (KEEP, False, YES, NO, None),
        (REISSUE, False, YES, ASKED, None),
        (REISSUE, False, NO, ASKED, False),
        (REISSUE, False, NO, YES, False),
        (KEEP, True, YES, ASKED, True),
        (KEEP, True, WAITING, ASKED, True),
        (KEEP, True, NO, ASKED, False),
    ],
)
def test_a_yes_goes_along_unless_reissued_and_a_no_always(
    mode: EmailChangeMode, is_correction: bool, old: ConsentAnswer, new: ConsentAnswer, recorded: bool | None
) -> None:
    assert plan_email_consent(mode=mode, old=old, new=new, is_correction=is_correction) is recorded


def test_every_fact_of_the_situation_is_in_the_hash() -> None:
    situation = Situation(
        customer_id=UUID(int=1),
        status="active",
        old_point_id=UUID(int=2),
        old_email="a@shop.test",
        old_key="a@shop.test",
        old_status="verified",
        new_email="b@shop.test",
        new_key="b@shop.test",
        new_owner_id=None,
        memberships=(),
        cards=(),
        voucher_ids=(),
        lots=(),
        has_login=True,
        pending_change_id=None,
    )
    command = Command(operation="change", mode=KEEP)
    others = {
        "customer_id": UUID(int=9),
        "status": "blocked",
        "old_point_id": None,
        "old_email": "x",
        "old_key": "x",
        "old_status": "unverified",
        "old_bounces": True,
        "new_email": "x",
        "new_key": "x",
        "new_owner_id": UUID(int=9),
        "memberships": (1,),
        "cards": (1,),
        "voucher_ids": (1,),
        "lots": (1,),
        "has_login": False,
        "pending_change_id": UUID(int=9),
    }
    assert set(others) == set(Situation.__struct_fields__)
    changed = [msgspec.structs.replace(situation, **{name: value}) for name, value in others.items()]
    hashes = {hash_preview(command, one) for one in (situation, *changed)}
    hashes.add(hash_preview(Command(operation="change", mode=REISSUE), situation))
    hashes.add(hash_preview(Command(operation="correction", mode=KEEP), situation))
    assert len(hashes) == len(others) + 3
