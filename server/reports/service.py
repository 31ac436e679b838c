"""Use cases of reports."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from server.context import Context
from server.csv_cells import encode_rows
from server.errors import Invalid, NotFound
from server.programmes.rules import midnight
from server.programmes.service import get_default_programme
from server.reports.store import REPORTS, Report, iterate_rows
from shared.problems import FieldProblem
from shared.reports import ReportView

_DAYS: Final = 90
_ROWS_MAX: Final = 10_000
_LINES_AT_ONCE: Final = 200
_YEARS: Final = (2000, 2200)  # Outside of it days are typing errors.


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """From the start of one local day to the end of another."""

    since: datetime
    until: datetime
    zone: str


async def get_report(ctx: Context, name: str, *, since: str, until: str) -> ReportView:
    """Return a report; of a very long one its first rows, which `is_complete` says.

    Args:
        since: First day, as 2026-03-01; 90 days ago if empty.
        until: Last day; today if empty.

    Raises:
        NotFound: There is no such report.
        Invalid: The days are none, or the wrong way round.
    """
    report, period = await _read(ctx, name, since, until)
    rows = []
    async with aclosing(iterate_rows(report, ctx.now, period.since, period.until)) as found:
        async for row in found:
            rows.append(tuple(msgspec.to_builtins(value) for value in row))
            if len(rows) > _ROWS_MAX:
                break
    return ReportView(
        name=report.name,
        title=report.title,
        zone=period.zone,
        since=period.since if report.has_period else None,
        until=period.until if report.has_period else None,
        columns=report.columns,
        rows=tuple(rows[:_ROWS_MAX]),
        as_of=ctx.now,
        is_complete=len(rows) <= _ROWS_MAX,
    )


async def open_csv(ctx: Context, name: str, *, since: str, until: str) -> AsyncIterator[bytes]:
    """Return a report as lines of CSV, made while they are read.

    Raises:
        NotFound: There is no such report.
        Invalid: The days are none, or the wrong way round.
    """
    report, period = await _read(ctx, name, since, until)
    return _csv_lines(ctx, report, period)


async def _csv_lines(ctx: Context, report: Report, period: Period) -> AsyncIterator[bytes]:
    yield encode_rows([report.columns])
    lines = []
    async for row in iterate_rows(report, ctx.now, period.since, period.until):
        lines.append(tuple(row))
        if len(lines) == _LINES_AT_ONCE:
            yield encode_rows(lines)
            lines = []
    yield encode_rows(lines)


async def _read(ctx: Context, name: str, since: str, until: str) -> tuple[Report, Period]:
    report = REPORTS.get(name)
    if report is None:
        raise NotFound(f"There are these reports: {', '.join(REPORTS)}.")
    zone = (await get_default_programme()).zone
    today = ctx.now.astimezone(ZoneInfo(zone)).date()
    last = _read_day(until, "until", today)
    first = _read_day(since, "since", last - timedelta(days=_DAYS))
    if first > last:
        raise Invalid(FieldProblem(field="since", detail="The period ends before it begins."))
    return report, Period(since=midnight(first, zone), until=midnight(last + timedelta(days=1), zone), zone=zone)


def _read_day(text: str, field: str, default: date) -> date:
    if not text:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Invalid(FieldProblem(field=field, detail="A day such as 2026-03-01.")) from error
    if not _YEARS[0] <= day.year < _YEARS[1]:
        raise Invalid(FieldProblem(field=field, detail=f"A day of the years {_YEARS[0]} to {_YEARS[1] - 1}."))
    return day
