"""The held-out place: people of other names again, on file with the random slips that linkage is commonly measured by.

No rule and no weight was chosen by its figures. A second record is a copy of the first in which each field may be empty,
replaced by another true value (a second phone, a new mailbox, the name taken at marriage), or altered by one or two random
edits. Everybody lives in a household: relatives share a number, a mailbox or an address, twins the birthday as well, and
some sons have their father's name.
"""

import random
import string
from typing import NamedTuple

from tests.server.duplicates.records import Known

_GIVEN = {
    "nordic": (["Astrid", "Ingrid", "Sigrid", "Freja", "Linnéa", "Åsa", "Maja", "Solveig", "Kirsten", "Bodil", "Tuva", "Elin"],
               ["Bjørn", "Håkon", "Søren", "Mads", "Gustav", "Torbjörn", "Åke", "Rasmus", "Jens", "Leif", "Viggo", "Nils"]),
    "french": (["Amélie", "Chloé", "Hélène", "Océane", "Solène", "Margaux", "Clémence", "Manon", "Odile", "Thérèse", "Inès", "Brigitte"],
               ["Étienne", "Benoît", "Jean-Luc", "Thibault", "Guillaume", "Rémi", "Loïc", "Mathieu", "Yves", "Gaspard", "Cédric", "Olivier"]),
    "hungarian": (["Erzsébet", "Ilona", "Zsuzsanna", "Réka", "Boglárka", "Tünde", "Katalin", "Emese"], ["László", "Gábor", "Zoltán", "Ferenc", "Attila", "Csaba", "Béla", "György"]),
    "nigerian": (["Chioma", "Ngozi", "Adaeze", "Folake", "Yetunde", "Amina", "Ifeoma", "Bukola"], ["Emeka", "Chukwudi", "Oluwaseun", "Tunde", "Ifeanyi", "Babatunde", "Kelechi", "Musa"]),
    "korean": (["Seo-yeon", "Ji-woo", "Min-ji", "Hye-jin", "Soo-jin", "Eun-ji"], ["Min-jun", "Do-yun", "Ji-hoon", "Sung-min", "Hyun-woo", "Jae-won"]),
    "american": (["Ashley", "Brittany", "Heather", "Megan", "Courtney", "Kayla", "Shannon", "Crystal", "Tiffany", "Melissa", "Holly", "Dawn", "Brenda", "Sharon", "Cheryl", "Gail"],
                 ["Brandon", "Tyler", "Dustin", "Kyle", "Austin", "Travis", "Derek", "Marcus", "Curtis", "Shane", "Wesley", "Randall", "Craig", "Dennis", "Roger", "Scott"]),
}  # fmt: skip
_FAMILIES = {
    "nordic": ["Hansen", "Johansson", "Nilsen", "Lindqvist", "Østergaard", "Bergström", "Halvorsen", "Sjöberg", "Kjærgaard", "Rasmussen", "Ekström", "Dahl", "Holmgren", "Nygård"],
    "french": ["Martin", "Dubois", "Lefèvre", "Moreau", "Gauthier", "Fontaine", "Chevalier", "Beaumont", "Delacroix", "Rousselot", "Thévenin", "Poirier", "Marchand", "Bélanger"],
    "hungarian": ["Nagy", "Kovács", "Szabó", "Horváth", "Kiss", "Németh", "Farkas", "Szilágyi", "Lakatos", "Bogdán"],
    "nigerian": ["Okafor", "Adeyemi", "Balogun", "Eze", "Nwosu", "Okonkwo", "Abubakar", "Olawale", "Ogunleye", "Chukwu"],
    "korean": ["Kim", "Lee", "Park", "Choi", "Jung", "Kang", "Cho", "Yoon", "Jang", "Lim"],
    "american": ["Anderson", "Campbell", "Phillips", "Turner", "Parker", "Collins", "Stewart", "Morgan", "Sanders", "Price", "Hayes", "Fowler", "Dixon", "Hoffman", "Schroeder", "Vandenberg", "Castellano", "Kowalczyk", "Yarborough", "McAllister", "Lundgren", "Whitaker"],
}  # fmt: skip
_SHARES = {"nordic": 20, "french": 15, "hungarian": 8, "nigerian": 10, "korean": 5, "american": 42}
_CALLED = {"Thérèse": "Thea", "Erzsébet": "Erzsi", "Zsuzsanna": "Zsuzsi", "László": "Laci", "Gustav": "Gus", "Melissa": "Mel", "Tiffany": "Tiff", "Dennis": "Denny",
           "Roger": "Rog", "Marcus": "Marc", "Guillaume": "Gui", "Mathieu": "Mat", "Oluwaseun": "Seun", "Babatunde": "Tunde", "Megan": "Meg", "Sharon": "Shari"}  # fmt: skip
_DOMAINS = [
    "gmail.com",
    "hotmail.com",
    "yahoo.com",
    "outlook.com",
    "fastmail.com",
    "harbournet.org",
    "proton.me",
    "telia.se",
    "orange.fr",
]
_WAYS = ["Quay", "Wharf", "Row", "Steps", "Hill", "Way"]
_PLACES = [
    "Anchor",
    "Beacon",
    "Compass",
    "Dolphin",
    "Ferry",
    "Gull",
    "Harpoon",
    "Jetty",
    "Lantern",
    "Mariner",
    "Pilot",
    "Sextant",
    "Tide",
]
_LETTERS = string.ascii_lowercase
_STARTS = [
    "ba",
    "bre",
    "cha",
    "da",
    "do",
    "fe",
    "gra",
    "ha",
    "jo",
    "ka",
    "la",
    "ma",
    "ni",
    "pe",
    "ro",
    "sa",
    "ste",
    "ta",
    "vi",
    "wa",
]
_MIDDLES = [
    "be",
    "ck",
    "dle",
    "ffo",
    "ge",
    "ki",
    "lli",
    "lma",
    "mbo",
    "nde",
    "nso",
    "pri",
    "rce",
    "rto",
    "sche",
    "tte",
    "vi",
    "wo",
    "xe",
    "zza",
]
_ENDS = [
    start + end
    for start in ("", "r", "n", "l", "m", "b", "d", "f", "s", "t")
    for end in ("an", "er", "is", "ok", "um", "ey", "ard", "ing", "ore", "ust")
]


class _Resident(NamedTuple):
    given: str
    family: str
    married: str
    mails: tuple[str, str]
    phones: tuple[str, str]
    born: tuple[int, int, int]
    post_code: str
    street: str


def make_harbour(seed: int, records: int, *, is_large: bool = False) -> list[tuple[int, Known]]:
    """Return records with the number of the person each is about; a large place has as many names as a country."""
    dice = random.Random(f"harbour {seed}")
    found: list[tuple[int, Known]] = []
    number = 0
    while len(found) < records:
        for resident in _make_household(dice, is_large=is_large):
            number += 1
            first = _first_record(dice, resident)
            found.append((number, first))
            copies = dice.choices((0, 1, 2), (86, 12, 2))[0]
            found += [(number, _copy(dice, resident)) for _ in range(copies)]
    dice.shuffle(found)
    return found[:records]


def _make_household(dice: random.Random, *, is_large: bool) -> list[_Resident]:
    kind = dice.choices(list(_SHARES), list(_SHARES.values()))[0]
    families = [_make_name(dice, 40_000) for _ in range(3)] if is_large else _FAMILIES[kind]
    family = families[int(len(families) * dice.random() ** 1.8)]
    landline = f"03{dice.randint(10**8, 10**9 - 1)}"
    mailbox = f"{_plain(family)}.home{dice.randint(1, 999)}@{dice.choice(_DOMAINS)}"
    post_code, street = (
        f"H{dice.randint(10, 99)} {dice.randint(1, 9)}{dice.choice('PQRS')}{dice.choice('LMN')}",
        f"{dice.randint(1, 60)} {dice.choice(_PLACES)} {dice.choice(_WAYS)}",
    )
    twins = dice.random() < 0.1
    birth = _birth(dice, 1990, 2006)
    home: list[_Resident] = []
    for place in range(dice.choices((1, 2, 3, 4), (40, 33, 14, 13))[0]):
        sex = place % 2 if place < 2 else dice.randrange(2)
        used = _make_name(dice, 2_000)[:-1] if is_large else ""
        given = used or dice.choice([name for name in _GIVEN[kind][sex] if name not in {each.given for each in home}])
        if place == 2 and dice.random() < 0.1:
            given = home[1].given
        own_mail = _mail(dice, given, family)
        born = _birth(dice, 1942, 1984) if place < 2 else birth if twins else _birth(dice, 1988, 2008)
        home.append(
            _Resident(given, family, dice.choice(families), (own_mail, mailbox if dice.random() < 0.3 else _mail(dice, given, family)),
                      (f"07{dice.randint(10**8, 10**9 - 1)}", landline if dice.random() < 0.6 else f"07{dice.randint(10**8, 10**9 - 1)}"), born, post_code, street)
        )  # fmt: skip
    return home


def _make_name(dice: random.Random, count: int) -> str:
    """Return one of so many names; some are thousands of times as frequent as others."""
    rank = int(count * dice.random() ** 3)
    return (_STARTS[rank % 20] + _MIDDLES[rank // 20 % 20] + _ENDS[rank // 400 % 100]).title()


def _birth(dice: random.Random, first: int, last: int) -> tuple[int, int, int]:
    return dice.randint(first, last), dice.randint(1, 12), dice.randint(1, 28)


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter in _LETTERS)


def _mail(dice: random.Random, given: str, family: str) -> str:
    local = dice.choice((f"{_plain(given)}.{_plain(family)}{dice.randint(1, 9999)}", f"{_plain(given)[:3]}{_plain(family)[:4]}{dice.randint(10, 99)}{dice.choice(_LETTERS)}",
                         f"{dice.choice(_PLACES).lower()}{dice.choice(_LETTERS)}{dice.randint(100, 9999)}"))  # fmt: skip
    return f"{local}@{dice.choice(_DOMAINS)}"


def _first_record(dice: random.Random, one: _Resident) -> Known:
    return Known(
        given=one.given, family=one.family,
        emails=(one.mails[dice.random() < 0.1],) if dice.random() < 0.87 else (), phones=(one.phones[dice.random() < 0.1],) if dice.random() < 0.93 else (),
        born=one.born if dice.random() < 0.72 else None, post_code=one.post_code if (placed := dice.random() < 0.6) else "", street=one.street if placed else "",
    )  # fmt: skip


def _copy(dice: random.Random, one: _Resident) -> Known:
    given = _CALLED.get(one.given, one.given) if dice.random() < 0.25 else one.given
    family = one.married if dice.random() < 0.03 else one.family
    if dice.random() < 0.4:
        given, family = _bare(given), _bare(family)
    given = _edit(dice, given, 0.08)
    family = _edit(dice, family, 0.08)
    if dice.random() < 0.02:
        given, family = family, given
    local, _, domain = one.mails[dice.random() < 0.15].partition("@")
    email = f"{_edit(dice, local, 0.04)}@{_edit(dice, domain.partition('.')[0], 0.02)}.{domain.partition('.')[2]}"
    phone = one.phones[dice.random() < 0.15]
    if dice.random() < 0.04:
        at = dice.randrange(3, len(phone))
        phone = phone[:at] + dice.choice(string.digits) + phone[at + 1 :]
    year, month, day = one.born
    born: tuple[int | None, int, int] | None = one.born
    if dice.random() < 0.06:
        born = dice.choice(
            ((None, month, day), (year + dice.choice((-1, 1)), month, day), (year, month, dice.randint(1, 28)))
        )
    return Known(
        given=given, family=family, emails=(email,) if dice.random() < 0.85 else (), phones=(phone,) if dice.random() < 0.92 else (),
        born=born if dice.random() < 0.7 else None, post_code=one.post_code if (placed := dice.random() < 0.55) else "",
        street=_edit(dice, one.street, 0.1) if placed else "",
    )  # fmt: skip


def _bare(text: str) -> str:
    return (
        text.translate(str.maketrans("åäáàâøöóőôéèêëíîïúüűñç", "aaaaaooooo" + "eeee" + "iii" + "uuu" + "nc"))
        .replace("æ", "ae")
        .replace("Ø", "O")
        .replace("Å", "A")
        .replace("É", "E")
    )


def _edit(dice: random.Random, text: str, likely: float) -> str:
    """Return a text with one random edit, or now and then two, if the dice say so."""
    if dice.random() >= likely or len(text) < 3:
        return text
    for _ in range(dice.choices((1, 2), (85, 15))[0]):
        at = dice.randrange(1, len(text))
        kind = dice.randrange(4)
        if kind == 0:
            text = text[:at] + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + dice.choice(_LETTERS) + text[at:]
        elif kind == 2:
            text = text[:at] + dice.choice(_LETTERS) + text[at + 1 :]
        else:
            text = text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :]
    return text
