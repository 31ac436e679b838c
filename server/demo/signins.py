"""The demo's secrets: made anew for every data folder and kept in one private file that a shell can read."""

import os
import secrets
from pathlib import Path
from typing import Final, Self

import msgspec

from server.private_files import prepare_data_dir
from shared.enums import Role

FILE_NAME: Final = "demo.env"
MEMBER_EMAIL: Final = "maeve.osullivan@example.com"
STAFF_NAMES: Final[dict[Role, str]] = {
    Role.CASHIER: "Callum Reid",
    Role.MANAGER: "Margit Varga",
    Role.MARKETING: "Mei Tanaka",
    Role.ADMIN: "Adaeze Okafor",
    Role.AUDITOR: "Aurelio Conti",
}
"""One staff member for each role; the role is also the sign-in name."""

# Without letters that look alike, as people type these.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS: Final = 4


class DemoSignIns(msgspec.Struct, frozen=True, kw_only=True):
    """What opens the demo shop. Staff and members have one password each, the till a key."""

    staff_password: str
    member_email: str
    member_password: str
    pos_key: str

    @classmethod
    def kept_in(cls, data_dir: Path) -> Self:
        """Return the sign-ins of a data folder, made at the first call and readable by its owner alone."""
        path = prepare_data_dir(data_dir) / FILE_NAME
        if not path.exists():
            _write(path, cls._new())
        kept = dict(line.split("=", 1) for line in path.read_text(encoding="utf-8").split())
        return cls(**{name: kept[name.upper()] for name in cls.__struct_fields__})

    @classmethod
    def _new(cls) -> Self:
        return cls(
            staff_password=_password(),
            member_email=MEMBER_EMAIL,
            member_password=_password(),
            pos_key=f"regulars_demo_{secrets.token_urlsafe(32)}",
        )


def _password() -> str:
    # 4 x 4 of 31 letters: 79 bits, more than anybody guesses, in groups that people can read aloud.
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(_GROUPS))


def _write(path: Path, sign_ins: DemoSignIns) -> None:
    text = "".join(f"{name.upper()}={value}\n" for name, value in msgspec.structs.asdict(sign_ins).items())
    draft = path.with_suffix(".new")
    with open(draft, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    # At once, so that a crash leaves no half-written secret behind.
    draft.replace(path)
