"""The words under which people consent. Changed words are a new edition by themselves; old ones stay in the database."""

import hashlib

import msgspec

from shared.enums import ConsentChannel


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """What stands beside a consent box."""

    channel: ConsentChannel
    language: str
    text: str


_WORDINGS = (
    Wording(
        channel=ConsentChannel.EMAIL,
        language="en",
        text="Send me news and offers of this shop by email. I can stop this at any time, in my profile or by the link in "
        "every mail. My points do not depend on it.",
    ),
    Wording(
        channel=ConsentChannel.SMS,
        language="en",
        text="Send me news and offers of this shop by text message. I can stop this at any time, in my profile or by "
        "replying STOP. My points do not depend on it.",
    ),
)

EDITION = hashlib.sha256(msgspec.json.encode(_WORDINGS)).hexdigest()[:12]
"""Names all wordings of today together; a sign-up form keeps it until its address is proved."""


def version_of(channel: str, edition: str = EDITION) -> str:
    """Return the version under which a channel's wording of an edition is stored."""
    return f"{edition}.{channel}"


def list_wordings() -> tuple[tuple[str, Wording], ...]:
    """Return today's wordings with their versions."""
    return tuple((version_of(wording.channel), wording) for wording in _WORDINGS)
