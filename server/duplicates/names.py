"""How alike two names are: words in plain letters, their sounds, short forms, slips of the pen."""

import re
from collections.abc import Sequence
from enum import Enum
from functools import cache, lru_cache
from typing import Final

import msgspec
from anyascii import anyascii
from jellyfish import metaphone
from nicknames import NickNamer
from rapidfuzz.distance import OSA, JaroWinkler

from server.customers.rules import fold_name

_WORDS_MAX: Final = 6
_SLIP_LETTERS: Final = 4
"""Shorter words become other words by one letter: Jan and Jana, Li and Lu."""
_SLIPS_LETTERS: Final = 8
_ALIKE: Final = 0.93
_SOUND_LETTERS: Final = 2
_KNOWN_NAMES: Final = 50_000
"""Names and words of which the result is kept, as a few thousand make up most of a file."""

# Words that say which of several people of one name is meant, or how to address one, and words that come and go.
_VOWELS: Final = re.compile("[aeiouy]+")
_DOUBLES: Final = re.compile(r"(.)\1")
_VOWELS_LETTERS: Final = 5
"""Shorter names are others by a vowel: Lena and Lina."""
_ENDINGS: Final = frozenset(("a", "e", "o", "le", "ne", "na", "ina", "ine", "ette"))
_UMLAUTS: Final = re.compile("([aou])e")

_GENERATIONS: Final = {
    "jr": "junior", "jnr": "junior", "junior": "junior", "jun": "junior", "filho": "junior", "hijo": "junior",
    "sr": "senior", "snr": "senior", "senior": "senior", "sen": "senior", "pai": "senior", "padre": "senior",
    "ii": "second", "iii": "third", "iv": "fourth",
}  # fmt: skip
_TITLES: Final = frozenset(("mr", "mrs", "ms", "miss", "mx", "dr", "prof", "herr", "frau", "mme", "sir"))
_PARTICLES: Final = frozenset(
    ("de", "da", "do", "dos", "das", "del", "della", "di", "la", "le", "van", "von", "der", "den", "ten", "al", "el", "bin", "ibn", "y", "e")
)  # fmt: skip

# Short forms beyond the English ones that the library knows.
_SHORT_FORMS: Final = """
agnieszka: aga agusia
andrzej: andrzejek jedrek
alexander: sasha sascha aleksandr alejandro alessandro olek alek xander
alexandra: sasha sascha aleksandra alejandra alessandra ola olya
anna: anja anya ania anke annie hanna hannah ana
antonio: toni tono nino antonino
barbara: basia babs barbora
bridget: biddy bridie brigid bridgid
catherine: katja katya kasia katarzyna katharina ekaterina kathrin katrin kathe kati karin
charlotte: lotte lotta carlota
dmitry: dima mitya dmitri dmitriy
elizabeth: elisabeth elisabet ela elzbieta lisbeth elisa elise
eugenia: zhenya evgenia yevgeniya
francisco: paco pancho curro kiko fran
francesco: franco cecco checco
giuseppe: beppe peppe pino
giovanni: gianni vanni nanni
grzegorz: grzesiek grzes
guadalupe: lupe lupita
ignacio: nacho
ivan: vanya vanja
jesus: chus chuy
jerzy: jurek
joanna: asia joasia joana
johann: hans johannes hannes
joseph: josef sepp jupp josip
jose: pepe josele
krzysztof: krzysiek krzys krystof
laurence: lawrence larry laurie laurenz lorenzo
malgorzata: gosia malgosia gocha
maria: mariya marija mia marie masha mascha maryam miriam
margarethe: grete gretel greta margarete
mercedes: merche
michael: mikhail michal misha mischa miguel michel
mohammed: muhammad mohamed muhammed mehmet mohammad mohd
natalia: natasha natascha natalya nataliya natalie
nicholas: nikolai nikolaus klaus kolya niko nicolas
olga: olya olja
pavel: pasha pawel
piotr: piotrek pyotr petya
rosario: charo
sergei: seryozha sergey sergej serhiy
stanislaw: staszek stasiek
svetlana: sveta
tatiana: tanya tanja tatyana
tomasz: tomek
vladimir: volodya vova wladimir
wilhelm: willi willy
yelena: lena elena helena
yulia: julia yuliya julija iulia
wojciech: wojtek
yuri: yurii juri jurij
zofia: zosia sofia
""".strip()


_EXTRAS: Final = _PARTICLES | _GENERATIONS.keys()


class Likeness(Enum):
    """How two given names, or two family names, stand to each other; RELATIVE ones are those of siblings and spouses."""

    SAME = "same"
    PART = "part"
    SHORT = "short"
    NEAR = "near"
    INITIAL = "initial"
    RELATIVE = "relative"
    OTHER = "other"
    UNKNOWN = "unknown"


class PersonName(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A name in plain words.

    Attributes:
        whole: All words as the name index has them, to count who else bears the name.
        generation: Which one of several people of this name, as "junior" says; empty if the name does not.
    """

    given: tuple[str, ...]
    family: tuple[str, ...]
    whole: str
    generation: str


def read_name(given: str, family: str) -> PersonName:
    """Return a name's words, without titles, in the letters a to z whatever script they came in."""
    (given_folded, given_words), (family_folded, family_words) = _read_words(given), _read_words(family)
    generation = ""
    for words in (given_words, family_words):
        for word in words[1:]:
            generation = _GENERATIONS.get(word, generation)
    given_words, family_words = _without_extras(given_words), _without_extras(family_words)
    if not family_words and len(given_words) > 1:
        # Somebody wrote the whole name into one box.
        given_words, family_words = given_words[:-1], given_words[-1:]
    elif not given_words and len(family_words) > 1:
        given_words, family_words = family_words[:-1], family_words[-1:]
    whole = f"{given_folded} {family_folded}".strip()
    return PersonName(given=given_words, family=family_words, whole=whole, generation=generation)


@lru_cache(maxsize=_KNOWN_NAMES)
def _read_words(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a name as it is searched, and its words in the letters a to z."""
    folded = fold_name(text)
    plain = folded if folded.isascii() else fold_name(anyascii(folded))
    return folded, tuple(word for word in plain.split()[:_WORDS_MAX] if word not in _TITLES)


def _without_extras(words: tuple[str, ...]) -> tuple[str, ...]:
    if _EXTRAS.isdisjoint(words):
        return words
    kept = tuple(word for number, word in enumerate(words) if not (number and word in _GENERATIONS))
    # A name of nothing but such words is a name all the same.
    return tuple(word for word in kept if word not in _PARTICLES) or kept


@lru_cache(maxsize=_KNOWN_NAMES)
def sound(word: str) -> str:
    """Return how a word sounds to an English ear, or the word itself if that says too little."""
    found = str(metaphone(word)).replace("0", "T")
    return found if len(found) >= _SOUND_LETTERS else word[:_SLIP_LETTERS]


def is_same_sound(one: str, other: str) -> bool:
    """Return whether two words are spellings of one name, as Maryam and Mariam are, or Stephen and Steven."""
    if sound(one) == sound(other):
        return True
    return min(len(one), len(other)) >= _VOWELS_LETTERS and _skeleton(one) == _skeleton(other)


def _skeleton(word: str) -> str:
    return _VOWELS.sub("", _DOUBLES.sub(r"\1", word)).rstrip("h")


def _read_short_forms() -> dict[str, frozenset[str]]:
    forms: dict[str, set[str]] = {}
    for line in _SHORT_FORMS.splitlines():
        words = line.replace(":", "").split()
        for word in words:
            forms.setdefault(word, set()).update(words)
    return {word: frozenset(others) for word, others in forms.items()}


_FORMS: Final = _read_short_forms()


@cache
def _nicknames() -> NickNamer:
    # Read when it is needed first, as most processes never compare names.
    return NickNamer()


@lru_cache(maxsize=_KNOWN_NAMES)
def _formal_names(word: str) -> frozenset[str]:
    return frozenset(_nicknames().canonicals_of(word)) | _FORMS.get(word, frozenset()) | {word}


def is_short_form(one: str, other: str) -> bool:
    """Return whether one is a short or foreign form of the other, or both are short for a third.

    Two names that have short forms of their own are two names, whatever both may be short for: Hannah and Joan.
    """
    shared = _formal_names(one) & _formal_names(other)
    if not shared:
        return False
    return bool(shared & {one, other} or _FORMS.keys() & {one, other}) or not (_is_formal(one) and _is_formal(other))


@lru_cache(maxsize=_KNOWN_NAMES)
def is_listed(word: str) -> bool:
    """Return whether the lists of names and their short forms have a word."""
    return word in _FORMS or _is_formal(word) or bool(_nicknames().canonicals_of(word))


@lru_cache(maxsize=_KNOWN_NAMES)
def _is_formal(word: str) -> bool:
    return bool(_nicknames().nicknames_of(word))


def is_near(one: str, other: str) -> bool:
    """Return whether two words differ by no more than a slip or a way of spelling."""
    if _is_near(one, other):
        return True
    mine, its = plain_spelling(one), plain_spelling(other)
    return (mine, its) != (one, other) and (mine == its or _is_near(mine, its))


def _is_near(one: str, other: str) -> bool:
    shorter = min(len(one), len(other))
    if shorter < _SLIP_LETTERS:
        return shorter == _SLIP_LETTERS - 1 and _has_letter_within(one, other)
    slips = OSA.distance(one, other, score_cutoff=3)
    if slips <= (2 if shorter >= _SLIPS_LETTERS else 1):
        return True
    if slips <= 2 and is_same_sound(one, other):
        return True
    return bool(JaroWinkler.similarity(one, other) >= _ALIKE) and slips <= 3


def _has_letter_within(one: str, other: str) -> bool:
    """Return whether a letter within was left out of a short word; any other slip makes it another word."""
    ends_alike = one[0] == other[0] and one[-1] == other[-1]
    return ends_alike and len(one) != len(other) and OSA.distance(one, other, score_cutoff=1) == 1


def is_spelt_alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether names are the same but for blanks and for how a keyboard without umlauts writes them."""
    mine, its = "".join(one), "".join(other)
    return mine == its or plain_spelling(mine) == plain_spelling(its)


@lru_cache(maxsize=_KNOWN_NAMES)
def plain_spelling(word: str) -> str:
    """Return a word without the letter that stands for two dots where a keyboard has none."""
    return _UMLAUTS.sub(r"\1", word)


def is_sibling_form(one: str, other: str) -> bool:
    """Return whether two given names differ by the ending that tells women from men, as Paul and Paula do."""
    short, long = sorted((one, other), key=len)
    if long.startswith(short) and long != short:
        return long[len(short) :] in _ENDINGS
    return len(short) == len(long) and short[:-1] == long[:-1] and {short[-1], long[-1]} <= set("aeio")


def compare_given(one: Sequence[str], other: Sequence[str]) -> Likeness:
    """Return how two given names stand to each other."""
    if not one or not other:
        return Likeness.UNKNOWN
    if is_spelt_alike(one, other):
        return Likeness.SAME
    first, second = one[0], other[0]
    if is_spelt_alike((first,), (second,)):
        return _compare_rest(one[1:], other[1:])
    if min(len(first), len(second)) == 1:
        return _compare_initial(one, other)
    if set(one) <= set(other) or set(other) <= set(one):
        return Likeness.PART
    if is_sibling_form(first, second):
        return Likeness.RELATIVE
    if is_short_form(first, second):
        return Likeness.SHORT
    if is_near(first, second) or is_near("".join(one), "".join(other)) or _is_near_form(first, second):
        return Likeness.NEAR
    return Likeness.OTHER


@lru_cache(maxsize=_KNOWN_NAMES)
def _is_near_form(one: str, other: str) -> bool:
    """Return whether one is, but for a slip, what the other is short for."""
    return any(is_near(formal, other) for formal in _formal_names(one)) or any(
        is_near(formal, one) for formal in _formal_names(other)
    )


def _compare_rest(one: Sequence[str], other: Sequence[str]) -> Likeness:
    """Compare middle names: one that is missing says nothing, two that differ are of two people."""
    for mine, its in zip(one, other, strict=False):
        fits = mine == its or is_near(mine, its) or (min(len(mine), len(its)) == 1 and mine[0] == its[0])
        if not fits:
            return Likeness.RELATIVE
    return Likeness.PART


def _compare_initial(one: Sequence[str], other: Sequence[str]) -> Likeness:
    short, long = (one, other) if len(one[0]) == 1 else (other, one)
    if short[0] != long[0][0]:
        # "M. Ana" may be the Ana of the other record.
        return Likeness.PART if set(short[1:]) & set(long) else Likeness.OTHER
    return Likeness.INITIAL


def compare_family(one: Sequence[str], other: Sequence[str]) -> Likeness:
    """Return how two family names stand to each other."""
    if not one or not other:
        return Likeness.UNKNOWN
    if is_spelt_alike(one, other):
        return Likeness.SAME
    if set(one) <= set(other) or set(other) <= set(one):
        return Likeness.PART
    if is_near("".join(one), "".join(other)):
        return Likeness.NEAR
    shared = any(is_near(mine, its) or mine == its for mine in one for its in other)
    if shared and len(one) != len(other):
        return Likeness.PART
    return Likeness.OTHER
