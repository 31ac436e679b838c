"""The demo's customers: invented, in the scripts and spellings that a real town has.

Each row is given names, family names and the Latin letters of an address, which real people choose for themselves too.
"""

import random
from typing import Final

import msgspec

PEOPLE_COUNT: Final = 200

# The first one is the demo's member, whose sign-in is printed; the two after her show how long and how odd names get.
_LEADING: Final = """
Maeve|O’Sullivan|maeve.osullivan
María de los Ángeles|Fernández-Villaverde y Ortega de la Torre|angeles.fernandez
Bartholomew Maximilian Alexander|Featherstonehaugh-Cholmondeley|barty
"""
_OTHER_SCRIPTS: Final = """
Ελένη|Παπαδοπούλου|eleni.p
Γιώργος|Νικολαΐδης|g.nikolaidis
Αναστασία|Οικονόμου|anastasia.o
Δημήτρης|Κωνσταντίνου|dimitris.k
Σοφία|Αλεξίου|sofia.alexiou
Ольга|Смирнова|olga.smirnova
Дмитро|Шевченко|dmytro.sh
Наталія|Кравчук|natalia.kravchuk
Владимир|Ёлкин|v.yolkin
Милица|Ђорђевић|milica.dj
Елена|Димитрова|elena.dimitrova
محمد|الهاشمي|m.alhashimi
فاطمة الزهراء|بن يوسف|fatima.zahra
ليلى|حدّاد|layla.haddad
یاسمین|رضایی|yasmin.rezaei
نور|العلي|noor.alali
נועה|לוי|noa.levi
יעקב|בן־דוד|yaakov.bd
שירה|כהן|shira.cohen
王|秀英|xiuying.wang
李|伟|wei.li
陈|美玲|meiling.chen
欧阳|子轩|zixuan.ouyang
張|家豪|kaho.cheung
佐藤|陽菜|hina.sato
鈴木|大翔|hiroto.suzuki
髙橋|さくら|sakura.takahashi
김|서연|seoyeon.kim
박|지훈|jihoon.park
प्रिया|शर्मा|priya.sharma
अर्जुन|मिश्रा|arjun.mishra
स्नेहा|कुलकर्णी|sneha.k
சுந்தரி|முருகன்|sundari.m
ਗੁਰਪ੍ਰੀਤ|ਸਿੰਘ|gurpreet.singh
নুসরাত|রহমান|nusrat.rahman
สมชาย|ใจดี|somchai.jaidee
ნინო|ბერიძე|nino.beridze
Անի|Հակոբյան|ani.hakobyan
"""
_ACCENTED: Final = """
Işıl|Yıldırım|isil.yildirim
İbrahim|Kılıç|ibrahim.kilic
Ayşegül|Çağlar|aysegul.caglar
Çiğdem|Öztürk|cigdem.ozturk
Seán|Ó Súilleabháin|sean.os
Róisín|Ní Mhurchú|roisin.nim
Siobhán|D’Arcy|siobhan.darcy
Dónal|MacGiolla Phádraig|donal.mgp
Łukasz|Wiśniewski|lukasz.w
Małgorzata|Dąbrowska-Nowak|gosia.dn
Zdeněk|Dvořák|zdenek.dvorak
Žofie|Příhodová|zofie.p
Gyöngyi|Szűcs|gyongyi.szucs
Ștefan|Țăranu|stefan.taranu
Ana-Măriuca|Ionescu|ana.ionescu
Søren|Ågård|soren.agard
Bjørk|Þórsdóttir|bjork.thors
Åsa|Sjöström|asa.sjostrom
Jürgen|Größmann|juergen.groessmann
Käthe|Müller-Lüdenscheidt|kaethe.ml
Zoë|van den Berg|zoe.vdb
Thijs|’t Hart|thijs.thart
François-Xavier|Lefèbvre|fx.lefebvre
Maëlys|Crête-D’Amours|maelys.cda
Noémie|Cœur|noemie.coeur
João|Gonçalves da Conceição|joao.goncalves
Inês|Simões|ines.simoes
Iñaki|Etxeberría|inaki.e
Núria|Puigdomènech i Soler|nuria.ps
Nguyễn Thị|Hồng Nhung|nhung.nguyen
Trần|Đức Anh|ducanh.tran
Ngozi|Adébáyọ̀|ngozi.adebayo
Chukwuemeka|Nwáfọ̀r|emeka.n
Kaʻiulani|Kahanamoku|kaiulani.k
Līga|Bērziņa|liga.berzina
Rūta|Žukauskienė|ruta.z
Jõgeva|Õunapuu|jogeva.o
Dafydd|Llŷr ap Rhys|dafydd.llyr
Màiri|NicDhòmhnaill|mairi.nicd
"""
_GIVEN: Final = [
    "Alice",
    "Amelia",
    "Arthur",
    "Beatrice",
    "Benjamin",
    "Charlotte",
    "Clara",
    "Daniel",
    "Edith",
    "Edward",
    "Eleanor",
    "Elliot",
    "Esther",
    "Florence",
    "Frank",
    "Freya",
    "George",
    "Grace",
    "Hannah",
    "Harriet",
    "Henry",
    "Imogen",
    "Isaac",
    "Ivy",
    "Jack",
    "James",
    "Joan",
    "Joseph",
    "Kate",
    "Leo",
    "Lily",
    "Louise",
    "Martha",
    "Matilda",
    "Noah",
    "Oliver",
    "Patrick",
    "Penelope",
    "Ralph",
    "Robert",
    "Rose",
    "Samuel",
    "Sophie",
    "Theodore",
    "Thomas",
    "Violet",
    "Walter",
    "William",
    "Winifred",
    "Zachary",
]
_FAMILY: Final = [
    "Abbott",
    "Ainsworth",
    "Barker",
    "Bennett",
    "Blackwood",
    "Brennan",
    "Carter",
    "Chandler",
    "Clarke",
    "Cooper",
    "Dawson",
    "Ellery",
    "Fairweather",
    "Fletcher",
    "Gallagher",
    "Graham",
    "Hargreaves",
    "Harrison",
    "Holloway",
    "Hughes",
    "Jarvis",
    "Kearney",
    "Kendall",
    "Lawson",
    "Mackenzie",
    "Marsh",
    "Mitchell",
    "Murray",
    "Nightingale",
    "Norris",
    "O’Brien",
    "O’Neill",
    "Osborne",
    "Parker",
    "Pemberton",
    "Price",
    "Quinn",
    "Rowntree",
    "Sawyer",
    "Sinclair",
    "Sutton",
    "Thorne",
    "Turner",
    "Underwood",
    "Vaughan",
    "Walsh",
    "Whitaker",
    "Wren",
    "Yates",
    "Young",
]
_DOMAINS: Final = ("example.com", "example.org", "example.net")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """An invented customer."""

    given_name: str
    family_name: str
    email: str


def invent_people() -> tuple[Person, ...]:
    """Return PEOPLE_COUNT people, the same at every call, the demo's member first."""
    rng = random.Random("people")  # noqa: S311 - invented names are no secrets
    named = [_parsed(line) for line in (_OTHER_SCRIPTS + _ACCENTED).split("\n") if line]
    leading = [_parsed(line) for line in _LEADING.split("\n") if line]
    pairs = [(given, family) for given in _GIVEN for family in _FAMILY]
    plain = [
        (given, family, f"{given}.{family}".lower().replace("’", ""))
        for given, family in rng.sample(pairs, PEOPLE_COUNT - len(named) - len(leading))
    ]
    rest = named + plain
    rng.shuffle(rest)
    return tuple(
        # Only the first needs its domain fixed.
        Person(given_name=given, family_name=family, email=f"{handle}@{_DOMAINS[index % len(_DOMAINS)]}")
        for index, (given, family, handle) in enumerate(leading + rest)
    )


def _parsed(line: str) -> tuple[str, str, str]:
    given, family, handle = line.split("|")
    return given, family, handle
