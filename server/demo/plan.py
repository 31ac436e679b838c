"""What happens in the demo's year, worked out before anything is written: who joins when, and who buys what."""

import random
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from server.demo.people import Person, invent_people
from server.demo.receipts import Basket, read_baskets
from server.programmes.rules import HUNDRED_PERCENT
from shared.base import Birthday, ConsentChoices
from shared.programmes import CategoryRule, EarningRules, Expiry
from shared.rewards import NewReward, RewardKind

RULES: Final = EarningRules(
    points=1,
    per_minor=100,
    categories=(
        CategoryRule(category="coffee", percent=200),
        CategoryRule(category="tobacco", percent=0),
        CategoryRule(category="gift cards", percent=0),
    ),
    expiry=Expiry(kind="days", days=365),
)
REWARDS: Final = (
    NewReward(
        code="flat-white", name="A flat white to go", kind=RewardKind.PRODUCT, sku="13115551", points_cost=60, value_minor=200
    ),
    NewReward(code="five-off", name="5 pounds off", kind=RewardKind.AMOUNT_OFF, points_cost=200, value_minor=500),
    NewReward(
        code="a-tenth-off", name="A tenth off one purchase", kind=RewardKind.PERCENT_OFF, percent=10, points_cost=300,
        value_minor=2000, valid_days=90, member_limit=4,
    ),
)  # fmt: skip
STORES: Final = {"high-street": "High Street", "station": "Station Kiosk", "harbour": "Harbour"}

_SHARES: Final = {60: 0, 70: 10}
"""Who is in whose membership: the place in the list of people, and that of the owner. Sixty apart is one household."""
_HOUSEHOLDS: Final = 60
_JOINED_BEFORE: Final = timedelta(days=395)


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody becomes a member: with a login from the app, or at the till without one."""

    at: datetime
    person: Person
    place: int
    has_login: bool
    has_email: bool
    phone: str | None
    birthday: Birthday | None
    consents: ConsentChoices
    notes: str
    shares_with: int | None


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A member buys something."""

    at: datetime
    place: int
    store: str
    basket: Basket


class Goodwill(msgspec.Struct, frozen=True, kw_only=True):
    """The manager makes up for something."""

    at: datetime
    place: int
    points: int
    note: str


Event = Joining | Sale | Goodwill

_NOTES: Final = {
    1: "Please use both family names on parcels.",
    2: "Prefers to be called Barty.",
    17: "Allergic to nuts; ask before offering tasters.",
    42: "Collects the office order on Fridays.",
}
_GOODWILL: Final = (
    (0, 40, "Jar broken on the way home"),
    (5, 25, "Waited twenty minutes at the till"),
    (23, 60, "Birthday cake was not ready"),
    (64, 15, "Points of a paper stamp card"),
)


def plan_year(today: date, launch_at: datetime) -> tuple[Event, ...]:
    """Return everything that happens, in the order of time; the same for the same day.

    Args:
        today: The day after the last sale.
        launch_at: Nobody joins before.
    """
    rng = random.Random("year")  # noqa: S311 - an invented year is no secret
    people = invent_people()
    sales = [sale for sale in _sales(rng, today, len(people)) if _earns(sale.basket)]
    first_at: dict[int, datetime] = {}
    for sale in sales:
        first_at.setdefault(sale.place, sale.at)
    joined_at = {place: _joins_at(rng, place, first_at, launch_at) for place in range(len(people))}
    for sharer, owner in _SHARES.items():
        joined_at[owner] = min(joined_at[owner], joined_at[sharer] - timedelta(hours=30))
    joinings = [_joining(rng, place, person, joined_at[place]) for place, person in enumerate(people)]
    last_at = sales[-1].at
    gestures = [
        Goodwill(at=last_at - timedelta(days=9 * number + 2), place=place, points=points, note=note)
        for number, (place, points, note) in enumerate(_GOODWILL)
    ]
    known = [gesture for gesture in gestures if gesture.at > joined_at[gesture.place]]
    return tuple(sorted([*joinings, *sales, *known], key=lambda event: event.at))


def _sales(rng: random.Random, today: date, people_count: int) -> list[Sale]:
    """Deal every household's baskets to the people who stand for it, to each in another measure."""
    baskets = read_baskets(today)
    by_household: dict[str, list[Basket]] = defaultdict(list)
    for basket in baskets:
        by_household[basket.household].append(basket)
    # The busiest household comes first, so that the demo's member has a history worth looking at.
    busiest = sorted(by_household, key=lambda name: (-len(by_household[name]), name))
    sales = []
    for rank, name in enumerate(busiest):
        members = range(rank, people_count, _HOUSEHOLDS)
        weights = [2.0 if place == 0 else rng.random() + 0.1 for place in members]
        usual = rng.choice(list(STORES))
        for basket in by_household[name]:
            [place] = rng.choices(members, weights)
            store = usual if rng.random() < 0.7 else rng.choice(list(STORES))
            sales.append(Sale(at=basket.at, place=place, store=store, basket=basket))
    return sorted(sales, key=lambda sale: (sale.at, sale.basket.number))


def _earns(basket: Basket) -> bool:
    excluded = {rule.category for rule in RULES.categories if rule.percent < HUNDRED_PERCENT}
    return sum(line.paid_minor for line in basket.lines if line.goods.category not in excluded) >= RULES.per_minor


def _joins_at(rng: random.Random, place: int, first_at: dict[int, datetime], launch_at: datetime) -> datetime:
    if place not in first_at:
        return launch_at + timedelta(days=rng.uniform(3, _JOINED_BEFORE.days))
    # Most join at their first purchase, some weeks before.
    ahead = timedelta(minutes=rng.uniform(2, 9)) if rng.random() < 0.6 else timedelta(days=rng.uniform(1, 25))
    return max(first_at[place] - ahead, launch_at + timedelta(hours=2 + place / 100))


def _joining(rng: random.Random, place: int, person: Person, at: datetime) -> Joining:
    has_login = place == 0 or rng.random() < 0.6
    has_email = has_login or rng.random() < 0.7
    phone = f"020 7946 0{place:03}" if rng.random() < 0.7 or not has_email else None
    return Joining(
        at=at,
        person=person,
        place=place,
        has_login=has_login,
        has_email=has_email,
        phone=phone,
        birthday=_birthday(rng) if rng.random() < 0.6 else None,
        consents=ConsentChoices(email=has_email and rng.random() < 0.65, sms=phone is not None and rng.random() < 0.3),
        notes=_NOTES.get(place, ""),
        shares_with=_SHARES.get(place),
    )


def _birthday(rng: random.Random) -> Birthday:
    year = rng.randint(1938, 2004) if rng.random() < 0.7 else None
    return Birthday(month=rng.randint(1, 12), day=rng.randint(1, 28), year=year)
