"""The one source of the time, passed in so that tests decide what time it is."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Anything that knows the time."""

    def now(self) -> datetime:
        """Return the present as an aware UTC instant."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved, for tests and for rehearsing a date."""

    def __init__(self, now_at: datetime) -> None:
        self.set(now_at)

    def now(self) -> datetime:
        return self._now_at

    def set(self, now_at: datetime) -> None:
        """Move to an instant, forwards or backwards.

        Raises:
            ValueError: The instant has no time zone.
        """
        if now_at.tzinfo is None:
            raise ValueError("A clock needs an aware instant.")
        self._now_at = now_at.astimezone(UTC)

    def advance(self, step: timedelta) -> datetime:
        """Move by `step` and return the new present."""
        self.set(self._now_at + step)
        return self._now_at
