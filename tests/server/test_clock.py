"""A clock gives aware UTC instants, and a manual one moves only when told."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from server.clock import ManualClock, SystemClock


def test_the_system_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == clock.now() == datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    assert clock.advance(timedelta(hours=1)) == clock.now() == datetime(2026, 3, 1, 0, 30, tzinfo=UTC)


def test_a_manual_clock_refuses_a_naive_instant() -> None:
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2026, 3, 1))  # noqa: DTZ001  # the point of the test
