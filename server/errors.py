"""Expected refusals, raised where the fact is known; `server.problems` puts them into words for HTTP.

RegularsError
├── Refused           a rule says no; carries a stable code and, where it helps, the field and data
│   ├── NotFound      also for what belongs to somebody else
│   ├── NotSignedIn   no credential, or one that is over
│   ├── NotPermitted  the credential is good, the act is not allowed
│   ├── Invalid       one or more fields are wrong
│   └── Throttled     too many tries; says when to come again
└── Busy              try again soon
    └── DatabaseBusy
"""

from collections.abc import Mapping
from datetime import timedelta

from shared.problems import Code, FieldProblem


class RegularsError(Exception):
    """Base of everything this program raises on purpose."""


class Refused(RegularsError):
    """A rule says no.

    Args:
        code: Stable code from `shared.problems.Code`.
        detail: One sentence for the person who reads it; never holds an address, token or password.
        data: Extra members of the problem document, JSON-able.
    """

    def __init__(self, code: Code, detail: str | None = None, *, data: Mapping[str, object] | None = None) -> None:
        super().__init__(code.value)
        self.code = code
        self.detail = detail
        self.data = dict(data or {})


class NotFound(Refused):
    """The thing does not exist, or not for this caller."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(Code.NOT_FOUND, detail)


class NotSignedIn(Refused):
    """No credential was sent, or it is unknown, expired or ended."""

    def __init__(self, code: Code = Code.NOT_SIGNED_IN) -> None:
        super().__init__(code)


class NotPermitted(Refused):
    """The caller is known but may not do this."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(Code.NOT_PERMITTED, detail)


class Invalid(Refused):
    """Fields of the request are wrong; each is named."""

    def __init__(self, *fields: FieldProblem, code: Code = Code.INVALID_REQUEST) -> None:
        super().__init__(code)
        self.fields = fields


class Throttled(Refused):
    """Too many tries."""

    def __init__(self, retry_after: timedelta, code: Code = Code.RATE_LIMITED) -> None:
        super().__init__(code)
        self.retry_after = retry_after


class Busy(RegularsError):
    """The service cannot take this now; trying again soon is right."""

    retry_after = timedelta(seconds=2)


class DatabaseBusy(Busy):
    """No database connection came free in time."""
