"""A place written down after all rules and weights were settled: whoever is on file twice came back years later.

Meanwhile people move, marry, take another number or mailbox; so what two records of one person differ in is mostly true of
its time. On top of that each record is told in one of three ways: typed by a clerk, heard on the telephone, or typed by the
person, each with slips of its own. A few clerks who are not told a birthday type one all the same.
"""

import random
from typing import NamedTuple

from tests.server.duplicates.records import Known

_NAMES = {
    "scottish": ("Isla Morag Catriona Mairi Eilidh Kirsty Fiona Shona Elspeth Iona Ailsa Lorna Rhona Heather Jean Agnes Isobel Flora Senga Beth",
                 "Hamish Angus Callum Ewan Fraser Gregor Lachlan Malcolm Murdo Duncan Alasdair Craig Gordon Keith Neil Rory Stuart Iain Archie Donald",
                 "MacDonald Campbell Stewart Robertson Thomson Anderson Reid Murray Ross Fraser Henderson Paterson Morrison Graham Ferguson Sinclair Buchanan Drummond Galbraith Urquhart MacGillivray Carmichael Dalrymple Abernethy Farquharson Kinloch"),
    "italian": ("Giulia Chiara Francesca Valentina Silvia Paola Elisabetta Giovanna Rosaria Antonella Lucia Teresa Caterina Annunziata Carmela Federica",
                "Marco Andrea Luca Giuseppe Giovanni Salvatore Vincenzo Domenico Raffaele Stefano Roberto Riccardo Lorenzo Gennaro Matteo Pasquale",
                "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti De Luca Mancini Costa Giordano Rizzo Lombardi Moretti Barbieri Fontana Santoro Mariani Quattrocchi Zappacosta"),
    "czech": ("Jana Eva Hana Lenka Kateřina Lucie Věra Alena Zdeňka Tereza Božena Markéta", "Jiří Petr Pavel Tomáš Zdeněk Václav Miloš Radek Jaroslav Vlastimil Bohumil Luboš",
              "Novák Svoboda Dvořák Černý Procházka Kučera Veselý Horák Němec Pokorný Růžička Beneš Fiala Sedláček Doležal Navrátil Hruška Vaněček"),
    "filipino": ("Maricel Jocelyn Rosario Luzviminda Analyn Divina Cherry Grace Lovely Rowena", "Rodrigo Jericho Reynaldo Danilo Ferdinand Benigno Arnel Jomar Rogelio Crisanto",
                 "Reyes Cruz Bautista Ocampo Mendoza Aquino Villanueva Castillo Ramos Navarro Salazar Dimaculangan Macaraeg Pangilinan Manalo"),
    "welsh": ("Megan Carys Bronwen Rhiannon Gwen Sian Nia Angharad Cerys Ffion Delyth Eirlys Lowri Mair", "Gareth Rhys Dylan Owain Emrys Huw Ieuan Iwan Geraint Aled Dafydd Gwyn Meirion Glyn",
              "Jones Davies Evans Thomas Roberts Lewis Hughes Morgan Griffiths Owen Llewellyn Pritchard Prosser Bevan Vaughan Gwilym Cadwallader Tudor Maddox Penhallow"),
}  # fmt: skip
_SHARES = {"scottish": 34, "italian": 22, "czech": 12, "filipino": 10, "welsh": 22}
_CALLED = {
    "Catriona": "Trina", "Isobel": "Bella", "Donald": "Don", "Malcolm": "Mal", "Archie": "Archibald", "Alasdair": "Ali", "Francesca": "Franca", "Elisabetta": "Betta",
    "Giuseppe": "Peppe", "Giovanni": "Gianni", "Salvatore": "Totò", "Vincenzo": "Enzo", "Kateřina": "Katka", "Tomáš": "Tom", "Reynaldo": "Rey", "Ferdinand": "Ferdie",
    "Rosario": "Charo", "Gareth": "Gaz", "Dafydd": "Dai", "Rhiannon": "Rhi", "Lorenzo": "Enzo", "Jiří": "Jirka", "Stuart": "Stu", "Duncan": "Dunc",
}  # fmt: skip
_PLAIN = str.maketrans("áčďéěíňóřšťúůýžèòù", "acdeeinorstuuyzeou") | str.maketrans("ÁČŘŠŽÚ", "ACRSZU")
_HEARD = (
    ("ae", "ay"),
    ("ai", "ay"),
    ("ph", "f"),
    ("th", "t"),
    ("w", "u"),
    ("mac", "mc"),
    ("ll", "l"),
    ("ff", "f"),
    ("y", "i"),
    ("dd", "th"),
    ("tt", "t"),
)
_BOXES = ("gmail.com", "gmail.com", "outlook.com", "yahoo.co.uk", "icloud.com", "virginmedia.com", "btopenworld.com", "libero.it", "seznam.cz")  # fmt: skip
_LANES = [
    "Orchard",
    "Meadow",
    "Weir",
    "Bridge",
    "Chapel",
    "Furnace",
    "Quarry",
    "Brook",
    "Heron",
    "Poplar",
    "Alder",
    "Saddler",
    "Tanner",
    "Gorse",
    "Bracken",
]
_KINDS = ("Lane", "Place", "Rise", "Mews", "Gardens", "Park")
_WORDS = ["river", "stone", "amber", "raven", "tulip", "castle", "copper", "thistle", "clover", "harbour", "saffron", "juniper", "meteor", "walnut", "violet", "onyx"]  # fmt: skip
_DAY = tuple[int, int, int]


class _Now(NamedTuple):
    """What is true of somebody at a time."""

    given: str
    family: str
    mobile: str
    landline: str
    mail: str
    family_mail: str
    born: _DAY
    home: tuple[str, str]


def make_valley(seed: int, records: int) -> list[tuple[int, Known]]:
    """Return records with the number of the person each is about."""
    dice = random.Random(f"valley {seed}")
    found: list[tuple[int, Known]] = []
    taken: set[str] = set()
    number = 0
    while len(found) < records:
        household = _make_household(dice, taken)
        later = _years_later(dice, household, taken)
        for then, now in zip(household, later, strict=True):
            number += 1
            times = dice.choices((1, 2, 3), (87, 11, 2))[0]
            found += [(number, _tell(dice, then if time == 0 else now)) for time in range(times)]
    dice.shuffle(found)
    return found[:records]


def _pick(dice: random.Random, names: str) -> str:
    """Return a name; each is about nine tenths as frequent as the one before."""
    choice = names.replace("De Luca", "De_Luca").split()
    return dice.choices(choice, [0.9**rank for rank in range(len(choice))])[0].replace("_", " ")


def _make_household(dice: random.Random, taken: set[str]) -> list[_Now]:
    women, men, families = _NAMES[dice.choices(list(_SHARES), list(_SHARES.values()))[0]]
    family, home, landline = _pick(dice, families), _home(dice), _number(dice, "01")
    family_mail = f"{_local(family)}s{dice.randint(1, 99)}@{dice.choice(_BOXES)}"
    shape = dice.choices(("one", "pair", "parents", "mates"), (38, 30, 26, 6))[0]
    twins, child_born = dice.random() < 0.07, _day(dice, 1987, 2007)
    home_of: list[_Now] = []
    for place in range({"one": 1, "pair": 2, "parents": dice.choice((3, 4)), "mates": 3}[shape]):
        is_woman = dice.random() < 0.5 if place != 1 else home_of[0].given not in women.split()
        used = {each.given for each in home_of}
        given = next(name for _ in iter(int, 1) if (name := _pick(dice, women if is_woman else men)) not in used)
        own = _pick(dice, families) if shape == "mates" or (place == 1 and dice.random() < 0.15) else family
        born = _day(dice, 1940, 1984) if place < 2 else child_born if twins else _day(dice, 1987, 2007)
        if shape == "parents" and place == 2 and dice.random() < 0.06:
            given = home_of[dice.randrange(2)].given
        mail = _mail(dice, given, own, born[0], taken)
        home_of.append(_Now(given, own, _number(dice, "07"), landline, mail, family_mail, born, home))
    return home_of


def _years_later(dice: random.Random, household: list[_Now], taken: set[str]) -> list[_Now]:
    home = _home(dice) if dice.random() < 0.2 else household[0].home
    later = []
    for one in household:
        now = one._replace(home=home)
        if dice.random() < 0.12:
            now = now._replace(mobile=_number(dice, "07"))
        if dice.random() < 0.2:
            now = now._replace(mail=_mail(dice, one.given, one.family, one.born[0], taken))
        if dice.random() < 0.03:
            other = _pick(dice, _NAMES["scottish"][2])
            now = now._replace(family=dice.choice((other, f"{one.family}-{other}")))
        later.append(now)
    return later


def _home(dice: random.Random) -> tuple[str, str]:
    code = f"V{dice.randint(1, 48)} {dice.randint(1, 9)}{dice.choice('ABDEFGHJ')}{dice.choice('LNPQRSTU')}"
    flat = f"Flat {dice.randint(1, 12)}, " if dice.random() < 0.2 else ""
    return code, f"{flat}{dice.randint(1, 140)} {dice.choice(_LANES)} {dice.choice(_KINDS)}, Glenavon"


def _number(dice: random.Random, start: str) -> str:
    return f"{start}{dice.randint(10**8, 10**9 - 1)}"


def _day(dice: random.Random, first: int, last: int) -> _DAY:
    return dice.randint(first, last), dice.randint(1, 12), dice.randint(1, 28)


def _local(text: str) -> str:
    return "".join(letter for letter in text.translate(_PLAIN).lower() if letter.isascii() and letter.isalpha())


def _mail(dice: random.Random, given: str, family: str, year: int, taken: set[str]) -> str:
    """Return a mailbox that nobody else has."""
    first, last = _local(given), _local(family)
    local = dice.choice((f"{first}.{last}{dice.randint(1, 99)}", f"{first[0]}{last}{dice.randint(10, 9999)}", f"{first}{year}{dice.choice('abcxyz')}",
                         f"{dice.choice(_WORDS)}{dice.choice(_WORDS)}{dice.randint(1, 999)}", f"{last}_{first}{dice.randint(1, 999)}"))  # fmt: skip
    mail = f"{local}@{dice.choice(_BOXES)}"
    while mail in taken:
        mail = f"{dice.choice('abcdefgh')}{mail}"
    taken.add(mail)
    return mail


# How a record is told ------------------------------------------------------------------------------------------------


def _tell(dice: random.Random, one: _Now) -> Known:
    way = dice.choices((_as_clerk, _as_heard, _as_self), (40, 15, 45))[0]
    return way(dice, one)


def _as_clerk(dice: random.Random, one: _Now) -> Known:
    given = one.given[0] if dice.random() < 0.02 else _slip(dice, _form(dice, one.given, 0.06), 0.05)
    family = _slip(dice, one.family, 0.05)
    if dice.random() < 0.015:
        given, family = family, given
    born: _DAY | tuple[None, int, int] | None = one.born if dice.random() < 0.6 else None
    if born and dice.random() < 0.05:
        year, month, day = one.born
        born = dice.choice(((year, min(day, 12), month), (year + dice.choice((-1, 1, 10)), month, day), (year, month, max(1, day - 1)), (None, month, day)))  # fmt: skip
    elif not born and dice.random() < 0.03:
        born = (1990, 1, 1)
    return Known(
        given=given, family=family.upper() if dice.random() < 0.1 else family,
        emails=(_slip_mail(dice, dice.choices((one.mail, one.family_mail), (85, 15))[0]),) if dice.random() < 0.75 else (),
        phones=(_wrong(dice, dice.choices((one.mobile, one.landline), (85, 15))[0], 0.03),) if dice.random() < 0.9 else (),
        born=born, **_place(dice, one, 0.55),
    )  # fmt: skip


def _as_heard(dice: random.Random, one: _Now) -> Known:
    return Known(
        given=_hear(dice, _form(dice, one.given, 0.1), 0.15), family=_hear(dice, one.family, 0.15), phones=(_wrong(dice, one.landline if dice.random() < 0.3 else one.mobile, 0.02),),
        emails=(one.mail,) if dice.random() < 0.5 else (), born=one.born if dice.random() < 0.5 else None, **_place(dice, one, 0.5),
    )  # fmt: skip


def _as_self(dice: random.Random, one: _Now) -> Known:
    given, family = _form(dice, one.given, 0.12), one.family
    if dice.random() < 0.4:
        given, family = given.translate(_PLAIN), family.translate(_PLAIN)
    if dice.random() < 0.1:
        given, family = given.lower(), family.lower()
    return Known(
        given=_slip(dice, given, 0.02), family=_slip(dice, family, 0.02), emails=(one.mail,), phones=(one.mobile,) if dice.random() < 0.85 else (),
        born=one.born if dice.random() < 0.65 else None, **_place(dice, one, 0.5),
    )  # fmt: skip


def _place(dice: random.Random, one: _Now, likely: float) -> dict[str, str]:
    if dice.random() >= likely:
        return {}
    street = one.home[1] if dice.random() < 0.6 else one.home[1].removesuffix(", Glenavon")
    return {"post_code": one.home[0], "street": _slip(dice, street, 0.05) if dice.random() < 0.85 else ""}


def _form(dice: random.Random, given: str, likely: float) -> str:
    return _CALLED.get(given, given) if dice.random() < likely * 2 else given


def _slip(dice: random.Random, text: str, likely: float) -> str:
    """Return a text in which, perhaps, a letter is missing, doubled, or changed places with the next."""
    if dice.random() >= likely or len(text) < 4:
        return text
    at = dice.randrange(1, len(text) - 1)
    return dice.choice((text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:], text[:at] + text[at + 1] + text[at] + text[at + 2 :]))  # fmt: skip


def _slip_mail(dice: random.Random, mail: str) -> str:
    # What is no address at all is refused, so the slips are in its words.
    local, _, domain = mail.partition("@")
    name, _, rest = domain.partition(".")
    return f"{'.'.join(_slip(dice, word, 0.045) for word in local.split('.'))}@{_slip(dice, name, 0.015)}.{rest}"


def _hear(dice: random.Random, text: str, likely: float) -> str:
    fitting = [(said, heard) for said, heard in _HEARD if said in text.lower()[1:]]
    if not fitting or dice.random() >= likely:
        return text
    said, heard = dice.choice(fitting)
    return text[0] + text[1:].replace(said, heard, 1)


def _wrong(dice: random.Random, number: str, likely: float) -> str:
    if dice.random() >= likely:
        return number
    at = dice.randrange(4, len(number))
    return number[:at] + str(dice.randint(0, 9)) + number[at + 1 :]
