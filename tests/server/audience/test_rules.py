"""What a contact should look like, and what an answer means."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.audience import rules
from server.audience.rules import (
    Consent,
    Desired,
    Move,
    Refusal,
    Remote,
    Snapshot,
    Verdict,
    judge,
    plan_move,
    subscriber_hash,
)

SNAPSHOT = Snapshot(
    customer_status="active",
    given_name="Ana",
    family_name="Flores",
    points=120,
    tier="",
    card_number="0042001337",
    has_membership=True,
    member_since_at=datetime(2026, 1, 1, 23, 30, tzinfo=UTC),
    last_seen_at=None,
    zone="Europe/Prague",
    consent=None,
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=400)


def said(state: str, source: str = "app") -> Consent:
    return msgspec.convert({"event_id": UUID(int=1), "state": state, "source": source}, Consent)


@given(st.emails())
def test_case_and_blanks_around_an_address_do_not_change_its_hash(email: str) -> None:
    assert subscriber_hash(f" {email.upper()}\n") == subscriber_hash(email.lower())
    assert subscriber_hash(email) == hashlib.md5(email.lower().encode()).hexdigest()


@given(st.emails(), st.emails())
def test_two_addresses_have_two_hashes(one: str, other: str) -> None:
    assert (subscriber_hash(one) == subscriber_hash(other)) == (one.lower() == other.lower())


def test_plus_parts_and_dots_are_other_people() -> None:
    assert len({subscriber_hash(name + "@shop.test") for name in ("ana.b", "anab", "anab+x")}) == 3


@given(TEXT)
def test_a_text_is_cut_to_what_a_field_holds_and_no_character_is_halved(text: str) -> None:
    cut = rules.cut_text(text)
    assert len(cut.encode()) <= rules.TEXT_BYTES_MAX
    assert text.startswith(cut)
    assert cut == text or len((cut + text[len(cut)]).encode()) > rules.TEXT_BYTES_MAX


DAYS = st.datetimes(datetime(1970, 1, 2), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
SNAPSHOTS = st.builds(
    Snapshot,
    customer_status=st.just("active"),
    given_name=TEXT,
    family_name=TEXT,
    points=st.integers(0, 2**53),
    tier=TEXT,
    card_number=TEXT,
    has_membership=st.booleans(),
    member_since_at=st.none() | DAYS,
    last_seen_at=st.none() | DAYS,
    zone=st.sampled_from(["UTC", "Asia/Tokyo"]),
    consent=st.none(),
)


@given(SNAPSHOTS)
def test_every_value_is_one_that_mailchimp_takes(snapshot: Snapshot) -> None:
    values = rules.merge_values(snapshot)
    types = {field.tag: field.type for field in rules.FIELDS}
    for tag, value in values.items():
        match types[tag]:
            case "number":
                assert type(value) is int
            case "date":
                assert value == "" or datetime.fromisoformat(str(value))
            case "text":
                assert isinstance(value, str)
                assert len(value.encode()) <= rules.TEXT_BYTES_MAX
    assert values.get("FNAME") != ""


def test_tags_of_fields_are_ten_capitals_at_most() -> None:
    assert all(len(field.tag) <= rules.TAG_LENGTH_MAX and field.tag.isupper() for field in rules.FIELDS)


def test_days_are_those_of_the_programmes_zone_and_an_unknown_one_is_empty() -> None:
    values = rules.merge_values(SNAPSHOT)
    assert (values["MEMBERSINC"], values["LASTSEEN"]) == ("2026-01-02", "")
    assert values["CARDNO"] == "0042001337"


@pytest.mark.parametrize(
    ("consent", "sync", "status"),
    [
        (None, False, None), (None, True, "transactional"), ("pending", False, None), ("pending", True, "transactional"),
        ("opted_out", False, None), ("opted_out", True, "unsubscribed"), ("opted_in", False, "subscribed"),
        ("opted_in", True, "subscribed"),
    ],
)  # fmt: skip
def test_consent_decides_whether_and_how_somebody_is_sent(consent: str | None, sync: bool, status: str | None) -> None:
    snapshot = msgspec.structs.replace(SNAPSHOT, consent=said(consent) if consent else None)
    desired = rules.desired_contact("ana@shop.test", snapshot, is_there=False, sync_without_consent=sync)
    assert (desired and desired.status_if_new) == status


@pytest.mark.parametrize(
    ("consent", "status"), [(None, "transactional"), ("pending", "transactional"), ("opted_out", None)]
)
def test_a_contact_that_is_there_is_kept_in_step_until_the_person_says_no(
    consent: str | None, status: str | None
) -> None:
    snapshot = msgspec.structs.replace(SNAPSHOT, consent=said(consent) if consent else None)
    desired = rules.desired_contact("ana@shop.test", snapshot, is_there=True, sync_without_consent=False)
    assert (desired and desired.status_if_new) == status


def test_only_a_difference_changes_the_hash() -> None:
    one = Desired(email="a@b.test", values={"POINTS": 1, "TIER": "x"}, status_if_new="subscribed")
    same = Desired(email="a@b.test", values={"TIER": "x", "POINTS": 1}, status_if_new="transactional")
    other = Desired(email="a@b.test", values={"POINTS": 2, "TIER": "x"}, status_if_new="subscribed")
    assert rules.contact_hash(one) == rules.contact_hash(same) != rules.contact_hash(other)


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        (Refusal(status=None), Verdict.OUTAGE),
        (Refusal(status=429, has_document=True, title="Too Many Requests"), Verdict.OUTAGE),
        (Refusal(status=403), Verdict.OUTAGE),
        (Refusal(status=403, has_document=True, title="User Disabled"), Verdict.CONFIGURATION),
        (Refusal(status=401, has_document=True, title="API Key Invalid"), Verdict.CONFIGURATION),
        (Refusal(status=405, has_document=True), Verdict.CONFIGURATION),
        (Refusal(status=426), Verdict.CONFIGURATION),
        (Refusal(status=404, has_document=True), Verdict.UNKNOWN_CONTACT),
        (Refusal(status=500, has_document=True), Verdict.SERVER_ERROR),
        (Refusal(status=502), Verdict.OUTAGE),
        (Refusal(status=200), Verdict.OUTAGE),
        (Refusal(status=400, has_document=True, title="Invalid Resource"), Verdict.PARK),
        (Refusal(status=400, has_document=True, title="Member Exists"), Verdict.PARK),
        (Refusal(status=400, has_document=True, title="Member In Compliance State"), Verdict.COMPLIANCE),
        (Refusal(status=400, has_document=True, title="Forgotten Email Not Subscribed"), Verdict.FORGOTTEN),
        (
            Refusal(
                status=400, has_document=True, title="Invalid Resource",
                detail="a@b.test has signed up to a lot of lists very recently; wait.",
            ),
            Verdict.LATER,
        ),
        (Refusal(status=413), Verdict.PARK),
    ],
)  # fmt: skip
def test_answers_are_judged_by_status_title_and_field(refusal: Refusal, verdict: Verdict) -> None:
    assert judge(refusal) is verdict


def test_a_sentence_in_another_language_is_judged_alike() -> None:
    refusal = Refusal(
        status=400, has_document=True, title="Invalid Resource", detail="Die Ressource ist ungültig.",
        fields=(("email address", "Der Kontakt ist abgemeldet."),),
    )  # fmt: skip
    assert rules.is_rename_refused(refusal)
    assert rules.parked_reason(refusal) == ("Der Kontakt ist abgemeldet.", "email address")


@given(st.integers(1, 10_000), st.booleans(), st.floats(0, 1))
def test_waits_stay_within_bounds_for_ever(failures: int, is_timeout: bool, jitter: float) -> None:
    assert timedelta(seconds=2.5) <= rules.queue_delay(failures, is_timeout=is_timeout, jitter=jitter)
    assert rules.queue_delay(failures, is_timeout=is_timeout, jitter=jitter) <= timedelta(minutes=15)
    assert timedelta(seconds=30) <= rules.contact_delay(failures, jitter=jitter) <= timedelta(hours=6)
    assert 1 <= rules.chunk_size(failures) <= 250


OLD_STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived", None)
STATUSES = st.sampled_from(OLD_STATUSES)


def remote(status: str | None) -> Remote | None:
    return None if status is None else Remote(contact_id="x", email="x@y.test", status=status, values={})


@given(STATUSES, STATUSES, st.sampled_from(["subscribed", "pending", "transactional", "unsubscribed"]))
def test_a_move_never_makes_anybody_subscribed_who_was_not(old: str | None, new: str | None, wish: str) -> None:
    desired = msgspec.convert({"email": "n@y.test", "values": {}, "status_if_new": wish}, Desired)
    plan = plan_move(remote(old), remote(new), desired)
    if plan.move is Move.CREATE and plan.status_if_new in ("subscribed", "pending"):
        # Nobody was there before, so the person's own consent for this address decides.
        assert old is None
        assert plan.status_if_new == wish
    if plan.move is Move.RENAME:
        assert new is None
        assert old not in ("unsubscribed", "cleaned", "archived", None)
        assert wish in ("subscribed", "pending") or old == wish
    if "unsubscribed" in (old, wish):
        assert plan.status_if_new == "unsubscribed" or plan.lower_to_unsubscribed or new in ("unsubscribed", "cleaned")


@given(STATUSES.filter(bool), st.booleans(), st.booleans(), st.booleans())
def test_a_consent_that_was_only_carried_along_raises_nobody_but_whom_we_archived(
    status: str, was_pushed: bool, by_us: bool, double_optin: bool
) -> None:
    there = remote(status)
    assert there is not None
    wish = rules.status_to_set(
        there, said("opted_in", "email_change"), was_pushed=was_pushed, was_archived_by_us=by_us,
        double_optin=double_optin,
    )  # fmt: skip
    assert wish in (None, "transactional") or (status == "archived" and by_us)


@given(STATUSES.filter(bool), st.booleans(), st.booleans())
def test_an_opt_out_always_wins(status: str, was_pushed: bool, by_us: bool) -> None:
    there = remote(status)
    assert there is not None
    wish = rules.status_to_set(
        there, said("opted_out"), was_pushed=was_pushed, was_archived_by_us=by_us, double_optin=False
    )
    assert wish == "unsubscribed" or status in ("unsubscribed", "cleaned")
