"""What somebody may have meant who types an email address: a slip in the domain of a large mail provider.

Pure, so that a form can hint while somebody types, without asking the service. A hint is an offer and never a refusal.
"""

from collections.abc import Sequence

# Providers whose names are long enough that one letter off is a slip rather than another name.
_PROVIDERS = (
    "gmail.com",
    "googlemail.com",
    "hotmail.com",
    "hotmail.co.uk",
    "outlook.com",
    "yahoo.com",
    "yahoo.co.uk",
    "icloud.com",
    "btinternet.com",
    "proton.me",
    "protonmail.com",
)
# One letter off as well, and real: where people do have their mail, or large houses.
_REAL = frozenset(
    (
        "mail.com",
        "email.com",
        "ymail.com",
        "fmail.com",
        "cloud.com",
        "yahoo.co",
        "outlook.co",
        "hotmail.co",
        "photon.me",
        "gail.com",
    )
)


def suggest_domain(domain: str) -> str | None:
    """Return the provider's domain that a domain is one slip away from; None for one that is well known itself."""
    domain = domain.strip().lower()
    if domain in _PROVIDERS or domain in _REAL:
        return None
    return next((known for known in _PROVIDERS if edit_distance(domain, known, limit=1) == 1), None)


def suggest_email(text: str) -> str | None:
    """Return the address that somebody may have meant; None if nothing looks mistyped or the text is no address yet."""
    local, at, domain = text.strip().rpartition("@")
    if not at or not local or "@" in local:
        return None
    suggestion = suggest_domain(domain)
    return f"{local}@{suggestion}" if suggestion else None


def edit_distance(one: str, other: str, *, limit: int) -> int:
    """Return how many letters to insert, delete, replace or swap; `limit` + 1 stands for anything above it."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: Sequence[int] = ()
    previous: Sequence[int] = range(len(other) + 1)
    for row, letter in enumerate(one, start=1):
        current = [row]
        for column, counterpart in enumerate(other, start=1):
            cost = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (letter != counterpart))
            is_swap = row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == counterpart
            current.append(min(cost, before[column - 2] + 1) if is_swap else cost)
        before, previous = previous, current
    return min(previous[-1], limit + 1)
