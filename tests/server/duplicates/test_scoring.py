"""The evidence: what makes two records one person, and what keeps two people apart."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.customers.rules import parse_phone
from server.duplicates.rules import Birth, KnownAddress, Person, Profile, make_keys, read_profile
from server.duplicates.scoring import POINTS, QUEUE_FROM, Sign, Verdict, compare
from server.duplicates.wording import WORDS
from tests.server.duplicates.records import Known

MAIL = ("ann.bright@example.com",)
PHONE = ("07700 900123",)
BORN = (1980, 4, 3)
HOME = {"post_code": "AB1 2CD", "street": "1 High Street"}


def _profile(known: Known, *, verified: bool = False, **more: object) -> Profile:
    addresses = [KnownAddress("email", text, verified) for text in known.emails]
    addresses += [KnownAddress("phone", parse_phone(text, "GB").key, verified) for text in known.phones]
    person = Person(
        id=uuid4(),
        kind=str(more.pop("kind", "person")),
        given_name=known.given,
        family_name=known.family,
        birth=Birth(*known.born) if known.born else None,
        addresses=tuple(addresses),
        post_code=known.post_code,
        postal_address=known.street,
        **more,  # type: ignore[arg-type]
    )
    return read_profile(person)


def _compare(one: Known, other: Known, *, bearers: int = 2, **more: object) -> Verdict:
    return compare(_profile(one, **more), _profile(other, **more), lambda _: bearers)


def _alike(one: Known, other: Known, *, bearers: int = 2) -> bool:
    mine, its = _profile(one), _profile(other)
    verdict = compare(mine, its, lambda _: bearers)
    assert verdict == compare(its, mine, lambda _: bearers), "it does not matter who comes first"
    found = verdict.points >= QUEUE_FROM
    if found:
        assert set(make_keys(mine)) & set(make_keys(its)), "who is alike shares a key"
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Known(given="Ann", family="Bright", phones=PHONE), Known(given="ANN", family="BRIGHT", phones=PHONE)),
        (Known(given="Bill", family="Stone", emails=MAIL), Known(given="William", family="Stone", emails=MAIL)),
        (Known(given="Jörg", family="Müller", phones=PHONE), Known(given="Joerg", family="Mueller", phones=PHONE)),
        (Known(given="Юлия", family="Иванова", born=BORN), Known(given="Yulia", family="Ivanova", born=BORN)),
        (Known(given="Wei", family="Ouyang", born=BORN), Known(given="Ouyang", family="Wei", born=BORN)),
        (Known(given="Ann Bright", phones=PHONE), Known(given="Ann", family="Bright", phones=PHONE)),
        (Known(given="Jean-Luc", family="Picard", emails=MAIL), Known(given="Jeanluc", family="Picard", emails=MAIL)),
        (Known(given="Siobhán", family="O'Brien", phones=PHONE), Known(given="Siobhan", family="OBrien", phones=PHONE)),
        (Known(given="Ann", family="Bright", phones=PHONE), Known(given="Ann", family="Brihgt", phones=PHONE)),
        (Known(given="Ann", family="Bright", phones=("07700 900123",)), Known(given="Ann", family="Bright", phones=("07700 900132",))),
        (Known(given="Ann", family="Bright", emails=("ann.bright@gmail.com",)), Known(given="Ann", family="Bright", emails=("annbright+shop@gmail.com",))),
        (Known(given="Ann", family="Bright", emails=("ann.bright@gmail.com",)), Known(given="Ann", family="Bright", emails=("ann.bright@gmial.com",))),
        (Known(given="Ann", family="Bright", born=BORN, phones=PHONE), Known(given="Ann", family="Stone", born=BORN, phones=PHONE)),
        (Known(given="Ann Mary", family="Bright", born=(None, 4, 3), phones=PHONE), Known(given="Ann M.", family="Bright", born=BORN, phones=PHONE)),
        (Known(given="Ann", family="Bright", born=BORN), Known(given="Ann", family="Bright", born=BORN, phones=PHONE)),
        (Known(given="Ann", family="Bright", **HOME), Known(given="Ann", family="Bright", post_code="ab12cd", street="1, High St")),
        (Known(given="Ann", family="Bright", **HOME), Known(given="Ann", family="Bright", post_code="AB2 1CD", street="1 High Street")),
        (Known(given="Bill", family="Stone", **HOME), Known(given="William", family="Stone", post_code="AB1 2CD", street="1 Hihg Street")),
        (Known(given="Ann", family="Stone", born=BORN, **HOME), Known(given="Ann", family="Bright", born=BORN, **HOME)),
        (Known(given="Rosie", family="Bright", phones=PHONE), Known(given="Rosi", family="Bright", phones=PHONE)),
        (Known(given="Jügren", family="Müller", phones=PHONE), Known(given="Juergen", family="Mueller", phones=PHONE)),
        # Nobody is eleven years older than a child, and who would call two children by one name?
        (Known(given="Tom", family="Bright", phones=PHONE, born=(1980, 1, 1)), Known(given="Tom", family="Bright", phones=PHONE, born=(1991, 7, 9))),
    ],
    ids=lambda known: f"{known.given} {known.family}",
)  # fmt: skip
def test_one_person_is_seen_through_spellings_slips_and_changes(one: Known, other: Known) -> None:
    assert _alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # A couple, siblings and twins share all that a household shares.
        (Known(given="Ann", family="Bright", emails=MAIL, phones=PHONE, **HOME), Known(given="Ben", family="Bright", emails=MAIL, phones=PHONE, **HOME)),
        (Known(given="Eve", family="Bright", emails=MAIL, phones=PHONE, born=BORN, **HOME), Known(given="Ida", family="Bright", emails=MAIL, phones=PHONE, born=BORN, **HOME)),
        (Known(given="Paul", family="Bright", phones=PHONE, born=BORN), Known(given="Paula", family="Bright", phones=PHONE, born=BORN)),
        (Known(given="Marta", family="Bright", phones=PHONE, born=BORN), Known(given="Maria", family="Bright", phones=PHONE, born=BORN)),
        (Known(given="Ann Mary", family="Bright", phones=PHONE), Known(given="Ann Lucy", family="Bright", phones=PHONE)),
        # A father and his son.
        (Known(given="Tom", family="Bright", emails=MAIL, phones=PHONE, born=(1950, 1, 2)), Known(given="Tom", family="Bright", emails=MAIL, phones=PHONE, born=(1983, 7, 9))),
        (Known(given="Tom", family="Bright", phones=PHONE), Known(given="Tom", family="Bright Jr", phones=PHONE)),
        (Known(given="Tom", family="Bright", born=(1950, 1, 2), **HOME), Known(given="Tom", family="Bright", born=(1983, 7, 9), **HOME)),
        (Known(given="Bright", phones=PHONE), Known(given="Tom", family="Bright", phones=PHONE)),
        # Namesakes, perhaps neighbours.
        (Known(given="Ann", family="Bright", post_code="AB1 2CD", street="1 High Street"), Known(given="Ann", family="Bright", post_code="AB1 2CD", street="3 High Street")),
        (Known(given="John", family="Smith"), Known(given="John", family="Smith")),
        (Known(given="John", family="Smith", emails=("john.smith@gmail.com",)), Known(given="John", family="Smith", emails=("john.smith@yahoo.com",))),
        (Known(given="Bill", family="Smith", emails=("william.smith@gmail.com",)), Known(given="Bill", family="Smith", emails=("william.smith@yahoo.com",))),
        (Known(given="Dimitra", family="Müller", emails=("mueller1957@gmail.com",)), Known(given="Dimitra", family="Müller", emails=("mueller1957@yahoo.com",))),
        (Known(given="John", family="Smith", emails=("john.smith1@gmail.com",)), Known(given="John", family="Smith", emails=("john.smith2@gmail.com",))),
    ],
    ids=lambda known: f"{known.given} {known.family}",
)  # fmt: skip
def test_two_people_stay_two_whatever_they_share(one: Known, other: Known) -> None:
    assert not _alike(one, other, bearers=40)


def test_a_birthday_says_less_of_people_with_a_common_name() -> None:
    one, other = Known(given="John", family="Smith", born=(None, 4, 3)), Known(given="John", family="Smith", born=BORN)
    assert _alike(one, other, bearers=2)
    assert not _alike(one, other, bearers=40)


def test_what_each_has_proven_speaks_for_two_people_and_so_does_a_membership_they_share() -> None:
    one = Known(given="Ann", family="Bright", emails=("ann@example.com",), phones=("07700 900111",), born=BORN)
    other = Known(given="Ann", family="Bright", emails=("bright@example.org",), phones=("07700 900999",), born=BORN)
    unproven, proven = _compare(one, other), _compare(one, other, verified=True)
    assert set(proven.signs) - set(unproven.signs) == {Sign.EMAILS_PROVEN, Sign.PHONES_PROVEN}
    assert proven.points < QUEUE_FROM <= unproven.points
    shared = frozenset((UUID(int=7),))
    together = _compare(Known(given="Kim", phones=PHONE), Known(given="Kim", phones=PHONE), memberships=shared)
    assert Sign.MEMBERSHIP_SAME in together.signs
    assert together.points < QUEUE_FROM
    assert Sign.RECORD_SAME in _compare(one, other, records=shared).signs


def test_every_sign_has_points_and_words_and_a_verdict_is_their_sum() -> None:
    assert POINTS.keys() == WORDS.keys() == set(Sign)
    verdict = _compare(Known(given="Ann", family="Bright", phones=PHONE), Known(given="Anne", phones=PHONE))
    assert verdict.points == sum(POINTS[sign] for sign in verdict.signs)
    assert [abs(POINTS[sign]) for sign in verdict.signs] == sorted(
        (abs(POINTS[sign]) for sign in verdict.signs), reverse=True
    )


_TEXTS = st.text(max_size=30) | st.sampled_from(
    ["", " ", "-", "Jr", "de", "Dr", "A", "ǅ", "٣", "㍿", "\u0301", "Mr Dr", "O'", "'"]
)


@given(given_name=_TEXTS, family_name=_TEXTS, other_name=_TEXTS, email=st.text(max_size=20), street=_TEXTS)
def test_no_name_and_no_address_stops_the_search(
    given_name: str, family_name: str, other_name: str, email: str, street: str
) -> None:
    # One record that cannot be read would keep everybody after it from being compared.
    one = Known(given=given_name, family=family_name, emails=(f"{email}@x",), post_code=street, street=street)
    other = Known(given=other_name, family=family_name, emails=(f"{email[1:]}@y",), post_code=street, street=given_name)
    verdict = _compare(one, other, bearers=3)
    assert verdict == _compare(one, other, bearers=3)
    assert all(-(2**63) <= key < 2**63 for key in make_keys(_profile(one)))
