"""Another made-up place, held out: other peoples, other families, other records and other mistakes than the town's.

No weight was chosen by looking at it. Three systems of one chain tell of its people: cards filled in by hand and typed up
later, the web shop, and the till. Each has fields of its own and its own way to be wrong.
"""

import random
import unicodedata
from typing import NamedTuple

from tests.server.duplicates.records import Known


class _People(NamedTuple):
    share: int
    women: str
    men: str
    families: str
    domains: str


# A slash joins spellings of one name, the first being the one at home.
_PEOPLES = {
    "irish": _People(30, "Aoife Siobhán Niamh Gráinne Orla Ciara Bridget Maeve Róisín Sinéad Nora Kathleen Eileen Fiona Una",
                     "Seán Patrick Liam Conor Brendan Declan Eoin Fergal Niall Kevin Dermot Cormac Rory Donal Tadhg",
                     "O'Brien Murphy Kelly O'Sullivan Walsh Byrne Ryan O'Connor McCarthy Doyle McLoughlin Gallagher Doherty Fitzgerald Ní Shúilleabháin Mac Giolla",
                     "eircom.net gmail.com yahoo.ie outlook.ie icloud.com"),
    "english": _People(30, "Hazel Ruth Judith Frances Eleanor Beatrice Harriet Imogen Phoebe Rosalind Stephanie Theresa Winifred Philippa Gwendolyn",
                       "Geoffrey Stephen Philip Gerald Laurence Frederick Leonard Douglas Kenneth Raymond Graham Nigel Jeffrey Zachary Phillip",
                       "Cooper Harris Carter Shaw Mitchell Robinson Marsh Reid Barnes Chapman Whitehead Osborne Fairweather Blenkinsop Cholmondeley Featherstonehaugh",
                       "gmail.com hotmail.co.uk sky.com talktalk.net outlook.com"),
    "polish": _People(8, "Agnieszka Małgorzata Zofia Joanna Ewelina Bożena", "Piotr Krzysztof Tomasz Wojciech Łukasz Grzegorz Paweł",
                      "Nowak Kowalski Wiśniewski Wójcik Lewandowski Zieliński Szymański Brzęczyszczykiewicz", "wp.pl o2.pl onet.pl gmail.com"),
    "turkish": _People(6, "Ayşe Fatma Zeynep Gülşen Çiğdem Özlem", "Mustafa Ahmet Hüseyin Çağlar Oğuz Şükrü", "Yılmaz Kaya Demir Şahin Çelik Yıldız Öztürk Kılıç", "hotmail.com gmail.com mynet.com"),
    "indian": _People(8, "Priya Lakshmi Deepa Ananya Kavitha/Kavita Sunita", "Rajesh Sanjay Vikram Srinivas/Sreenivas Arun Harish", "Sharma Patel Reddy Iyer Nair Gupta Venkataraman Chattopadhyay/Chatterjee", "gmail.com rediffmail.com yahoo.co.in"),
    "vietnamese": _People(5, "Hương Linh Thảo Ngọc Phương", "Minh Tuấn Hùng Dũng Quang", "Nguyễn Trần Lê Phạm Hoàng Đặng", "gmail.com yahoo.com.vn"),
    "greek": _People(4, "Ελένη/Eleni Μαρία/Maria Κατερίνα/Katerina Δήμητρα/Dimitra", "Γιώργος/Giorgos Νίκος/Nikos Κώστας/Kostas Δημήτρης/Dimitris",
                     "Παπαδόπουλος/Papadopoulos Νικολάου/Nikolaou Γεωργίου/Georgiou Αγγελόπουλος/Angelopoulos", "gmail.com otenet.gr"),
    "arabic": _People(4, "Fatima/Fatimah Aisha/Aysha Maryam/Mariam Noor/Nour Khadija/Khadijah", "Mohammed/Muhammad Ahmed/Ahmad Yusuf/Yousef Hassan/Hasan Ibrahim/Ebrahim",
                      "Al-Sayed/Elsayed Hussein/Hussain Abdullah/Abdallah Mansour/Mansoor Khalil", "gmail.com hotmail.com"),
    "dutch": _People(5, "Marieke Sanne Femke Anouk Willemijn", "Joost Maarten Sjoerd Pieter Ruben", "van der Berg|de Vries|Jansen|van den Heuvel|Bakker|Visser|ter Horst", "ziggo.nl kpnmail.nl gmail.com"),
}  # fmt: skip
_FAMILIAR = {
    "Kathleen": "Kathy", "Bridget": "Biddy", "Patrick": "Paddy", "Geoffrey": "Geoff", "Stephen": "Steve", "Philip": "Phil", "Laurence": "Larry",
    "Frederick": "Fred", "Leonard": "Len", "Kenneth": "Ken", "Raymond": "Ray", "Zachary": "Zach", "Judith": "Judy", "Frances": "Fran", "Eleanor": "Nell",
    "Beatrice": "Bea", "Harriet": "Hattie", "Stephanie": "Steph", "Theresa": "Terry", "Philippa": "Pippa", "Agnieszka": "Aga", "Małgorzata": "Gosia",
    "Krzysztof": "Krzysiek", "Tomasz": "Tomek", "Douglas": "Doug", "Jeffrey": "Jeff", "Gerald": "Gerry", "Joanna": "Asia", "Phillip": "Phil",
}  # fmt: skip
_KEYS = {
    "a": "sq",
    "e": "wr",
    "i": "uo",
    "o": "ip",
    "n": "bm",
    "m": "n",
    "t": "ry",
    "s": "ad",
    "r": "et",
    "l": "k",
    "c": "xv",
    "d": "sf",
    "h": "gj",
    "u": "yi",
}
_RESPELT = (
    ("ph", "f"),
    ("ie", "ei"),
    ("ck", "k"),
    ("y", "i"),
    ("c", "k"),
    ("ll", "l"),
    ("nn", "n"),
    ("ee", "ea"),
    ("z", "s"),
    ("w", "v"),
)
_MISREAD = (("rn", "m"), ("cl", "d"), ("i", "l"), ("u", "v"), ("e", "c"), ("h", "b"))
_WORDS = [
    "tiger",
    "pixel",
    "ocean",
    "coffee",
    "ninja",
    "lemon",
    "velvet",
    "comet",
    "badger",
    "marble",
    "walnut",
    "falcon",
]
_ROADS = ["Avenue", "Close", "Court", "Terrace", "Drive", "Crescent"]
_TREES = ["Ash", "Birch", "Cedar", "Fir", "Hawthorn", "Juniper", "Larch", "Maple", "Rowan", "Willow", "Yew"]


class _One(NamedTuple):
    number: int
    people: str
    woman: bool
    given: str
    second: str
    family: str
    suffix: str
    mails: list[str]
    mobile: str
    landline: str
    born: tuple[int, int, int]
    place: tuple[str, str]


def make_city(seed: int, records: int) -> list[tuple[int, Known]]:
    """Return records with the number of the person each is about."""
    dice = random.Random(seed * 7919 + 13)
    taken: set[str] = set()
    found: list[tuple[int, Known]] = []
    number = 0
    while len(found) < records:
        for one in _make_family(dice, number, taken):
            number += 1
            systems = dice.choices(
                ((_card,), (_web,), (_till,), (_card, _web), (_web, _till), (_till, _till), (_card, _web, _till)),
                (28, 28, 28, 5, 5, 3, 3),
            )[0]
            found += [(one.number, system(dice, one)) for system in systems]
    dice.shuffle(found)
    return found[:records]


def _make_family(dice: random.Random, number: int, taken: set[str]) -> list[_One]:
    people = dice.choices(list(_PEOPLES), [each.share for each in _PEOPLES.values()])[0]
    names = _PEOPLES[people]
    families = (
        names.families.split("|")
        if "|" in names.families
        else names.families.replace("Ní ", "Ní_").replace("Mac ", "Mac_").split()
    )
    family = families[min(int(dice.expovariate(0.35)), len(families) - 1)].replace("_", " ")
    place = (
        f"{dice.choice('KLMNPRTW')}{dice.randint(1, 60)}{dice.choice('XYZ')}{dice.randint(1, 9)}",
        f"{dice.randint(1, 80)} {dice.choice(_TREES)} {dice.choice(_ROADS)}",
    )
    landline = f"02{dice.randint(10_000_000, 99_999_999)}"
    shared = _claim(dice, f"{_ascii(family.split()[-1])}family", names.domains, taken)
    shape = dice.choices(("single", "couple", "parents", "twins", "namesakes"), (42, 30, 20, 4, 4))[0]
    size = {"single": 1, "couple": 2, "parents": 4, "twins": 4, "namesakes": 3}[shape]
    home: list[_One] = []
    twin_day = _date(dice, 1988, 2007)
    for place_number in range(size):
        woman = bool(place_number % 2) if place_number < 2 else dice.random() < 0.5
        given = _other_than(dice, (names.women if woman else names.men).split(), {each.given for each in home})
        suffix = ""
        if shape == "namesakes" and place_number == 2:
            given, woman = home[0].given, home[0].woman
            suffix = dice.choice(("Jr", "", ""))
        born = (
            _date(dice, 1938, 1982) if place_number < 2 else twin_day if shape == "twins" else _date(dice, 1988, 2007)
        )
        own = family[:-1] + "a" if people == "polish" and woman and family.endswith("ki") else family
        mails = [_claim(dice, _local(dice, given, own, born[0]), names.domains, taken)]
        if dice.random() < 0.2:
            mails.append(shared)
        home.append(_One(number + place_number, people, woman, given, dice.choice((names.women if woman else names.men).split()) if dice.random() < 0.15 else "",
                         own, suffix, mails, f"07{dice.randint(100_000_000, 999_999_999)}", landline, born, place))  # fmt: skip
    return home


def _other_than(dice: random.Random, names: list[str], used: set[str]) -> str:
    return dice.choice([name for name in names if name not in used])


def _date(dice: random.Random, first: int, last: int) -> tuple[int, int, int]:
    return dice.randint(first, last), dice.randint(1, 12), dice.randint(1, 28)


def _ascii(text: str) -> str:
    plain = unicodedata.normalize(
        "NFKD",
        text.rpartition("/")[2]
        .replace("ł", "l")
        .replace("Ł", "L")
        .replace("đ", "d")
        .replace("Đ", "D")
        .replace("ı", "i"),
    )
    return "".join(letter for letter in plain if letter.isascii() and letter.isalpha()).lower()


def _local(dice: random.Random, given: str, family: str, year: int) -> str:
    first, last = _ascii(given), _ascii(family)
    return dice.choice(
        (
            f"{first}.{last}",
            f"{last}.{first}",
            f"{first[:1]}.{last}",
            f"{first}{year}",
            f"{dice.choice(_WORDS)}.{dice.choice(_WORDS)}",
            f"{dice.choice(_WORDS)}{dice.randint(10, 9999)}",
            f"{first}{last[:1]}{dice.randint(1, 99)}",
        )
    )


def _claim(dice: random.Random, local: str, domains: str, taken: set[str]) -> str:
    domain = dice.choice(domains.split())
    while f"{local}@{domain}" in taken:
        local += str(dice.randint(0, 9))
    taken.add(f"{local}@{domain}")
    return f"{local}@{domain}"


# The three systems ----------------------------------------------------------------------------------------------------


def _card(dice: random.Random, one: _One) -> Known:
    """A form filled in by hand, typed up in capitals, with what a hasty reader takes one letter for."""
    given, family = _spell(dice, one)
    if dice.random() < 0.1:
        given = _misread(dice, given)
    if dice.random() < 0.1:
        family = _misread(dice, family)
    if one.second and dice.random() < 0.7:
        given += f" {one.second[0] if dice.random() < 0.5 else one.second}"
    email = dice.choice(one.mails) if dice.random() < 0.6 else ""
    phone = one.landline if dice.random() < 0.25 else one.mobile
    return Known(
        given=given.upper(), family=f"{family} {one.suffix}".strip().upper(), emails=(_misread(dice, email) if dice.random() < 0.05 else email,) if email else (),
        phones=(_wrong_digits(dice, phone, 0.05),) if dice.random() < 0.9 else (), born=_wrong_day(dice, one.born, 0.06) if dice.random() < 0.85 else None,
        post_code=one.place[0], street=one.place[1].upper() if dice.random() < 0.8 else one.place[1].replace("Avenue", "Ave").replace("Terrace", "Terr."),
    )  # fmt: skip


def _web(dice: random.Random, one: _One) -> Known:
    """What people type themselves: the name they go by, a mailbox always, slips of the neighbouring key."""
    given, family = _spell(dice, one)
    if dice.random() < 0.18:
        given = _FAMILIAR.get(given, given)
    if dice.random() < 0.05:
        given = _neighbour(dice, given)
    case = dice.random()
    if case < 0.03:
        given, family = family, given
    elif case < 0.1 and one.woman and dice.random() < 0.4:
        family = f"{family}-{dice.choice(('Carter', 'Kelly', 'Nowak', 'Kaya'))}"
    email = one.mails[0]
    if dice.random() < 0.06:
        local, _, domain = email.partition("@")
        email = f"{local}@{domain.replace('.com', '.con').replace('gmail', 'gmal').replace('.net', '.ne')}".replace(
            ".con", ".co"
        )
    has_place = dice.random() < 0.55
    return Known(
        given=given if dice.random() < 0.9 else given.lower(), family=family if dice.random() < 0.9 else family.lower(), emails=(email,),
        phones=(one.mobile,) if dice.random() < 0.8 else (), born=one.born if dice.random() < 0.5 else None,
        post_code=one.place[0] if has_place else "", street=one.place[1] if has_place else "",
    )  # fmt: skip


def _till(dice: random.Random, one: _One) -> Known:
    """What a clerk hears and types while others queue."""
    given, family = _spell(dice, one)
    if dice.random() < 0.12:
        given = _FAMILIAR.get(given, given)
    if dice.random() < 0.1:
        family = _respell(dice, family)
    if dice.random() < 0.08:
        given = _respell(dice, given)
    if dice.random() < 0.03:
        given = given[:1]
    email = one.mails[-1] if dice.random() < 0.6 else ""
    if email and dice.random() < 0.05:
        email = _neighbour(dice, email.partition("@")[0]) + "@" + email.partition("@")[2]
    born: tuple[int | None, int, int] | None = (None, *one.born[1:]) if dice.random() < 0.6 else None
    return Known(
        given=given, family=family, emails=(email,) if email else (),
        phones=(_wrong_digits(dice, one.mobile, 0.04),) if dice.random() < 0.92 or not email else (), born=born,
    )  # fmt: skip


def _spell(dice: random.Random, one: _One) -> tuple[str, str]:
    given, family = (dice.choice(name.split("/")) for name in (one.given, one.family))
    if dice.random() < 0.5:
        given, family = (_strip(name) for name in (given, family))
    if dice.random() < 0.3:
        family = dice.choice(
            (
                family.replace("O'", "O "),
                family.replace("O'", "O"),
                family.replace("Mc", "Mac"),
                family.replace("-", " "),
            )
        )
    if one.people == "vietnamese" and dice.random() < 0.3:
        return family, given
    return given, family


def _strip(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name)
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return kept.translate(str.maketrans({"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i"}))


def _neighbour(dice: random.Random, text: str) -> str:
    places = [place for place, letter in enumerate(text) if place and letter in _KEYS]
    if not places or len(text) < 4:
        return text
    at = dice.choice(places)
    return text[:at] + dice.choice(_KEYS[text[at]]) + text[at + 1 :]


def _respell(dice: random.Random, text: str) -> str:
    fitting = [(mine, its) for mine, its in _RESPELT if mine in text[1:]]
    if not fitting:
        return text
    mine, its = dice.choice(fitting)
    return text[0] + text[1:].replace(mine, its, 1)


def _misread(dice: random.Random, text: str) -> str:
    fitting = [(mine, its) for mine, its in _MISREAD if mine in text[1:]]
    if not fitting or len(text) < 4:
        return text
    mine, its = dice.choice(fitting)
    return text[0] + text[1:].replace(mine, its, 1)


def _wrong_digits(dice: random.Random, phone: str, likely: float) -> str:
    if dice.random() >= likely:
        return phone
    at = dice.randrange(4, len(phone) - 1)
    return phone[:at] + phone[at + 1] + phone[at] + phone[at + 2 :]


def _wrong_day(dice: random.Random, born: tuple[int, int, int], likely: float) -> tuple[int, int, int]:
    if dice.random() >= likely:
        return born
    year, month, day = born
    return dice.choice(
        (
            (year, day, month) if day <= 12 else (year, month, 29 - day),
            (year - 1, month, day),
            (int(str(year)[:2] + str(year)[:1:-1]), month, day),
        )
    )
