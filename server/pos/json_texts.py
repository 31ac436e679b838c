"""JSON that comes from elsewhere, without what no text of ours can be."""

import re
from typing import Final

# A whole character of two halves, or what is to go, or anything else that a backslash stands before.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def without_unkeepable(content: bytes) -> bytes:
    """Return JSON without zeros and halves of characters that were cut, which neither readers nor the database take."""
    return _ESCAPE.sub(lambda found: b"" if found[1] else found[0], content.decode("utf-8", "replace").encode())
