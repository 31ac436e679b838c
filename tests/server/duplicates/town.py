"""A made-up town whose people are on a shop's file, some of them twice: what the weights were tuned on.

Families live together and share phone, mailbox and address; there are twins, sons named after their fathers, and many
people of one common name. Who is on file again was taken on by another clerk, in the app or by an import, each of which
leaves out other fields and makes other mistakes.
"""

import random

import msgspec

from tests.server.duplicates.records import Known

_LATIN = {
    "ä": "ae",
    "ö": "oe",
    "ü": "ue",
    "ß": "ss",
    "é": "e",
    "è": "e",
    "ñ": "n",
    "ç": "c",
    "ã": "a",
    "á": "a",
    "í": "i",
    "ó": "o",
}
_CYRILLIC = dict(
    zip(
        "абвгдежзийклмнопрстуфхцчшщыэюяьъё",
        [
            "a",
            "b",
            "v",
            "g",
            "d",
            "e",
            "zh",
            "z",
            "i",
            "y",
            "k",
            "l",
            "m",
            "n",
            "o",
            "p",
            "r",
            "s",
            "t",
            "u",
            "f",
            "kh",
            "ts",
            "ch",
            "sh",
            "shch",
            "y",
            "e",
            "yu",
            "ya",
            ".",
            ".",
            "e",
        ],
        strict=True,
    )
)

# Women's names, men's names, family names; earlier family names are far more frequent.
_PEOPLES: dict[str, tuple[str, str, str]] = {
    "en": ("Mary Susan Elizabeth Jennifer Margaret Emma Olivia Katherine Deborah Rebecca Alice Grace Charlotte Sophie Lucy Hannah Amelia Victoria Samantha Abigail Jessica Paula Danielle Joan",
           "James John Robert Michael William David Richard Thomas Christopher Daniel Matthew Anthony Andrew Joshua Edward Benjamin Samuel Alexander Nicholas Timothy Paul Peter George Jon",
           "Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Wright Walker Hughes Edwards Thompson Green Hall Wood Clarke Bennett Fletcher Ashworth Braithwaite Ollerenshaw Thistlewood Pemberton Quartermaine Winterbottom Hargreaves"),
    "de": ("Anna Sabine Monika Katharina Elisabeth Ursula Claudia Julia Lena Hannelore Jutta Ingrid", "Hans Peter Wolfgang Jürgen Klaus Stefan Jörg Matthias Michael Andreas Lukas Günther",
           "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schäfer Köhler Böhm Großmann Würzburger Düsterhöft Hohenlohe"),
    "es": ("María Carmen Ana Lucía Guadalupe Dolores Isabel Marta Pilar", "José Antonio Francisco Ignacio Javier Alejandro Miguel Manuel Jesús",
           "García López Fernández Martínez Rodríguez Sánchez Muñoz Núñez Ibáñez Echeverría Goicoechea"),
    "ru": ("Анна Мария Ольга Наталья Екатерина Татьяна Светлана Юлия", "Александр Сергей Дмитрий Иван Михаил Николай Владимир Павел",
           "Иванов Смирнов Кузнецов Попов Соколов Лебедев Новиков Морозов Виноградов Тихомиров"),
    "zh": ("Xiuying Li Na Mei Lan Yan Fang", "Wei Jian Ming Qiang Lei Jun Bo", "Wang Li Zhang Liu Chen Yang Huang Zhao Zhou Ouyang"),
    "pt": ("Ana Maria Beatriz Conceição Inês Sofia", "João José António Luís Pedro Tiago", "Silva Santos Ferreira Pereira Oliveira Conceição Gonçalves Magalhães"),
}  # fmt: skip
_WEIGHTS = {"en": 55, "de": 12, "es": 12, "ru": 7, "zh": 7, "pt": 7}
_SHORT = {
    "Elizabeth": "Liz", "Katherine": "Kate", "Robert": "Bob", "William": "Bill", "Michael": "Mike", "James": "Jim", "Richard": "Dick",
    "Thomas": "Tom", "Christopher": "Chris", "Daniel": "Dan", "Matthew": "Matt", "Andrew": "Andy", "Edward": "Ted", "Benjamin": "Ben",
    "Samuel": "Sam", "Alexander": "Alex", "Nicholas": "Nick", "Margaret": "Peggy", "Susan": "Sue", "Jennifer": "Jenny", "Deborah": "Debbie",
    "Rebecca": "Becky", "Victoria": "Vicky", "José": "Pepe", "Francisco": "Paco", "Ignacio": "Nacho", "Guadalupe": "Lupe", "Ольга": "Оля",
    "Наталья": "Наташа", "Александр": "Саша", "Михаил": "Миша", "Иван": "Ваня", "Katharina": "Käthe", "Elisabeth": "Lisbeth",
}  # fmt: skip
_DOMAINS = ("gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "btinternet.com", "gmx.de", "web.de")
_DOMAIN_SLIPS = {
    "gmail.com": "gmial.com",
    "hotmail.com": "hotmai.com",
    "yahoo.com": "yaho.com",
    "outlook.com": "outlok.com",
}
_STREETS = [
    "High",
    "Station",
    "Church",
    "Mill",
    "Park",
    "Victoria",
    "Green",
    "Manor",
    "Kings",
    "Queens",
    "Bridge",
    "Garden",
    "Elm",
    "Oak",
    "Chapel",
    "Market",
]


class Someone(msgspec.Struct, frozen=True, kw_only=True):
    """One person as they are; records tell parts of it."""

    number: int
    people: str
    is_woman: bool
    given: str
    family: str
    maiden: str
    emails: tuple[str, ...]
    phones: tuple[str, ...]
    born: tuple[int, int, int]
    post_code: str
    street: str


def make_town(seed: int, records: int) -> list[tuple[int, Known]]:
    """Return records with the number of the person each is about."""
    dice = random.Random(seed)
    mailboxes: set[str] = set()
    found: list[tuple[int, Known]] = []
    number = 0
    while len(found) < records:
        home = _make_home(dice, number, mailboxes)
        number += len(home)
        for person in home:
            times = dice.choices((0, 1, 2, 3), (10, 76, 12, 2))[0]
            found += [(person.number, _put_on_file(dice, person, mailboxes, again=time > 0)) for time in range(times)]
    dice.shuffle(found)
    return found[:records]


def latin(text: str) -> str:
    """Return a text as people type it on a keyboard without its letters."""
    return "".join(_LATIN.get(letter.lower(), letter) for letter in text) if not _is_cyrillic(text) else _romanise(text)


def _is_cyrillic(text: str) -> bool:
    return any("а" <= letter.lower() <= "я" for letter in text)


def _romanise(text: str) -> str:
    return "".join(_CYRILLIC.get(letter.lower(), letter).replace(".", "") for letter in text).title()


def _family(dice: random.Random, people: str) -> str:
    names = _PEOPLES[people][2].split()
    return dice.choices(names, [1 / (rank + 1) for rank in range(len(names))])[0]


def _make_home(dice: random.Random, number: int, mailboxes: set[str]) -> list[Someone]:
    people = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    family, kind = _family(dice, people), dice.random()
    phone, post_code = (
        _phone(dice, "01"),
        f"{dice.choice('ABCDEFG')}{dice.randint(1, 40)} {dice.randint(1, 9)}{dice.choice('ABDE')}{dice.choice('FGHJ')}",
    )
    street = f"{dice.randint(1, 120)} {dice.choice(_STREETS)} {dice.choice(('Street', 'Road', 'Lane'))}"
    mailbox = (
        f"the{latin(family).lower()}s{dice.randint(1, 99)}@{dice.choice(_DOMAINS)}" if dice.random() < 0.25 else ""
    )
    size = dice.choices((1, 2, 3, 4, 5), (35, 30, 15, 15, 5))[0]
    twins_born = _day(dice, 1985, 2008)
    home: list[Someone] = []
    for place in range(size):
        is_woman = dice.random() < 0.5 if place != 1 else not home[0].is_woman
        given = dice.choice(_PEOPLES[people][0 if is_woman else 1].split())
        if dice.random() < 0.2:
            given += " " + dice.choice(_PEOPLES[people][0 if is_woman else 1].split())
        born = _day(dice, 1940, 1980) if place < 2 else _day(dice, 1985, 2008)
        if kind < 0.12 and place in (2, 3):
            born = twins_born
        if 0.12 <= kind < 0.17 and place == 2:
            # A child named after a parent.
            given, is_woman = home[0].given, home[0].is_woman
        if any(other.given.split()[0] == given.split()[0] and kind >= 0.17 for other in home):
            given = dice.choice(("Robin", "Kim", "Alexis", "Jude", "Ariel")) + given[0].lower()
        own = _family_of(people, family, is_woman=is_woman)
        emails = (_email(dice, given, own, born[0], mailboxes),) + ((mailbox,) if mailbox else ())
        home.append(
            Someone(
                number=number + place, people=people, is_woman=is_woman, given=given, family=own,
                maiden=_family_of(people, _family(dice, people), is_woman=is_woman), emails=emails,
                phones=(_phone(dice, "07"), phone), born=born, post_code=post_code, street=street,
            )
        )  # fmt: skip
    return home


def _family_of(people: str, family: str, *, is_woman: bool) -> str:
    return f"{family}а" if people == "ru" and is_woman else family


def _day(dice: random.Random, first: int, last: int) -> tuple[int, int, int]:
    return dice.randint(first, last), dice.randint(1, 12), dice.randint(1, 28)


def _phone(dice: random.Random, start: str) -> str:
    return f"{start}{dice.randint(1_00, 9_99)}{dice.randint(0, 999_999):06}"


def _email(dice: random.Random, given: str, family: str, year: int, mailboxes: set[str]) -> str:
    first, last = latin(given.split(maxsplit=1)[0]).lower(), latin(family.split(maxsplit=1)[0]).lower()
    first, last = (
        "".join(letter for letter in word if letter.isascii() and letter.isalpha()) for word in (first, last)
    )
    local = dice.choice(
        (f"{first}.{last}", f"{first[0]}{last}{dice.randint(1, 999)}", f"{first}{last}{year % 100:02}", f"{first}_{last}",
         f"{dice.choice(('happy', 'blue', 'rock', 'garden', 'moto'))}{dice.choice(('cat', 'fox', 'star', 'girl', 'mike'))}{dice.randint(1, 999)}")
    )  # fmt: skip
    domain = dice.choice(_DOMAINS)
    # A provider gives a name to one person; the next gets a number with it.
    while f"{local}@{domain}" in mailboxes:
        local += str(dice.randint(1, 99))
    mailboxes.add(f"{local}@{domain}")
    return f"{local}@{domain}"


# Records --------------------------------------------------------------------------------------------------------------


def _put_on_file(dice: random.Random, person: Someone, mailboxes: set[str], *, again: bool) -> Known:
    given, family = person.given, person.family
    if again and person.is_woman and dice.random() < 0.06:
        family = person.maiden
    given, family = _write_name(dice, given, family)
    emails = (dice.choices(person.emails, (4, 1)[: len(person.emails)])[0],) if dice.random() < 0.82 else ()
    phones = (dice.choices(person.phones, (9, 1))[0],) if dice.random() < 0.86 or not emails else ()
    born: tuple[int | None, int, int] | None = person.born if dice.random() < 0.6 else None
    if again:
        emails = tuple(_write_email(dice, text, mailboxes) for text in emails)
        phones = tuple(_slip_digit(dice, text) if dice.random() < 0.04 else text for text in phones)
        born = _write_day(dice, person.born) if born else None
    has_place = dice.random() < 0.4
    return Known(
        given=given, family=family, emails=emails, phones=phones, born=born,
        post_code=person.post_code if has_place else "", street=person.street if has_place else "",
    )  # fmt: skip


def _write_name(dice: random.Random, given: str, family: str) -> tuple[str, str]:
    first, *middle = given.split()
    if dice.random() < 0.12 and first in _SHORT:
        first = _SHORT[first]
    if middle and dice.random() < 0.6:
        middle = [] if dice.random() < 0.7 else [middle[0][0] + "."]
    given = " ".join((first, *middle))
    if dice.random() < 0.4 or (dice.random() < 0.6 and _is_cyrillic(given)):
        given, family = latin(given), latin(family)
    if dice.random() < 0.04:
        given = _slip(dice, given)
    if dice.random() < 0.04:
        family = _slip(dice, family)
    case = dice.random()
    if case < 0.03:
        given, family = family, given
    elif case < 0.05:
        given = f"{given[0]}."
    elif case < 0.1:
        given, family = given.upper(), family.upper()
    elif case < 0.12:
        given, family = f"{given} {family}", ""
    return given, family


def _slip(dice: random.Random, word: str) -> str:
    if len(word) < 4:
        return word
    at = dice.randrange(1, len(word) - 1)
    letter = dice.choice("aeioulnrst")
    return dice.choice(
        (word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :])
    )  # fmt: skip


def _slip_digit(dice: random.Random, phone: str) -> str:
    at = dice.randrange(3, len(phone))
    return phone[:at] + str((int(phone[at]) + dice.randint(1, 9)) % 10) + phone[at + 1 :]


def _write_email(dice: random.Random, email: str, mailboxes: set[str]) -> str:
    local, _, domain = email.partition("@")
    case = dice.random()
    if case < 0.08:
        elsewhere = f"{local}@{dice.choice(_DOMAINS)}"
        return email if elsewhere in mailboxes else elsewhere
    if case < 0.12:
        return f"{local}@{_DOMAIN_SLIPS.get(domain, domain)}"
    if case < 0.15:
        return f"{_slip(dice, local)}@{domain}"
    if case < 0.18:
        return f"{local}+shop@{domain}"
    if case < 0.26:
        return f"{dice.choice('bcdfghjk')}{dice.choice('aeiou')}{dice.choice('lmnrs')}{dice.randint(100, 99999)}@{dice.choice(_DOMAINS)}"
    return email


def _write_day(dice: random.Random, born: tuple[int, int, int]) -> tuple[int | None, int, int]:
    year, month, day = born
    case = dice.random()
    if case < 0.2:
        return None, month, day
    if case < 0.23 and day <= 12:
        return year, day, month
    if case < 0.25:
        return year + dice.choice((-1, 1, 10)), month, day
    if case < 0.27:
        return year, month, dice.randint(1, 28)
    return born
