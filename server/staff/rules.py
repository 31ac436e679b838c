"""Rules of staff accounts and API keys: names and what is allowed in them."""

import re
from collections.abc import Collection

from server.errors import Invalid
from shared.enums import Scope
from shared.problems import FieldProblem

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
KEY_DAYS_MAX = 730  # A key outlives nobody's memory of it: two years, and the default is one.


def normalise_login(text: str) -> str:
    """Return a sign-in name as it is stored: without blanks around it, in lower case."""
    return text.strip().lower()


def check_login(text: str) -> str:
    """Return the sign-in name of a new staff member.

    Raises:
        Invalid: It is not 2 to 40 letters, digits, dots, dashes or underscores.
    """
    login = normalise_login(text)
    if not _LOGIN.fullmatch(login):
        raise Invalid(
            FieldProblem(field="login", detail="2 to 40 letters a to z, digits, dots, dashes or underscores.")
        )
    return login


def check_name(text: str, length_max: int) -> str:
    """Return a name without blanks around it.

    Raises:
        Invalid: It is empty, too long or holds unprintable characters.
    """
    name = text.strip()
    if not name or len(name) > length_max or not name.isprintable():
        raise Invalid(FieldProblem(field="name", detail=f"1 to {length_max} printable characters."))
    return name


def check_connection_code(text: str) -> str:
    """Return the code of a till system.

    Raises:
        Invalid: It is not 1 to 40 small letters, digits, dashes or underscores.
    """
    if not _CODE.fullmatch(text):
        raise Invalid(FieldProblem(field="connection", detail="1 to 40 small letters, digits, dashes or underscores."))
    return text


def check_scopes(names: Collection[str]) -> list[str]:
    """Return the scopes of a key, in the order of their declaration.

    Raises:
        Invalid: There is none, or one that does not exist.
    """
    known = [scope.value for scope in Scope]
    unknown = sorted(set(names) - set(known))
    if unknown or not names:
        raise Invalid(FieldProblem(field="scopes", detail=f"One or more of: {', '.join(known)}."))
    return [scope for scope in known if scope in names]


def check_valid_days(days: int) -> int:
    """Return how many days a key is valid.

    Raises:
        Invalid: Not 1 to KEY_DAYS_MAX.
    """
    if not 1 <= days <= KEY_DAYS_MAX:
        raise Invalid(FieldProblem(field="valid_days", detail=f"A number from 1 to {KEY_DAYS_MAX}."))
    return days
