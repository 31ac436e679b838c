"""The two kinds of message and the field types they share.

`kw_only` is repeated on every message, as msgspec applies it only to the fields of the class that says so, and `frozen`,
as type checkers ask for it. `gc=False`: a message cannot hold itself, so Python's search for such cycles, which would go
through every one of a batch of sales, can leave messages out.
"""

from typing import Annotated, Final

import msgspec

from shared import limits


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of every request body: unknown fields are refused."""


class View(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of every answer. New fields get defaults, so that older clients go on reading."""


VISIBLE: Final = r"\S"
"""A pattern of what is more than spaces."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX, pattern=VISIBLE)]
OptionalName = Annotated[str, msgspec.Meta(max_length=limits.NAME_LENGTH_MAX)]
Email = Annotated[str, msgspec.Meta(min_length=3, max_length=limits.EMAIL_LENGTH_MAX)]
Phone = Annotated[str, msgspec.Meta(min_length=3, max_length=limits.PHONE_LENGTH_MAX)]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.PASSWORD_LENGTH_MAX)]
Token = Annotated[str, msgspec.Meta(min_length=16, max_length=128)]
CardNumber = Annotated[str, msgspec.Meta(min_length=4, max_length=32)]
Reason = Annotated[str, msgspec.Meta(min_length=3, max_length=limits.REASON_LENGTH_MAX, pattern=VISIBLE)]
Hash = Annotated[str, msgspec.Meta(min_length=16, max_length=64)]


class Birthday(Request, frozen=True, kw_only=True):
    """A birthday; the year is optional, as few shops need it."""

    month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    day: Annotated[int, msgspec.Meta(ge=1, le=31)]
    year: Annotated[int, msgspec.Meta(ge=1900, le=2100)] | None = None


class ConsentChoices(Request, frozen=True, kw_only=True):
    """Whether marketing may use a channel. Off unless the person said yes."""

    email: bool = False
    sms: bool = False
