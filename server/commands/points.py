"""`regulars expire` and `regulars report`: points over time."""

from pathlib import Path

import click

from server.commands.common import demo_option, run_in_shop, say, table
from server.context import Context
from server.expiry.service import ExpiryRun, run_expiry
from server.reports.service import get_report, open_csv
from server.reports.store import REPORTS
from shared.reports import ReportView


@click.command()
@demo_option
def expire(*, demo: bool) -> None:
    """Book the points that have lapsed and tell members of those that are about to. The worker does so every hour."""
    done: ExpiryRun = run_in_shop(run_expiry, demo=demo)
    expired = done.expired
    say(f"{expired.points:,} points in {expired.lots:,} lots of {expired.memberships:,} memberships have lapsed.")
    say(f"{done.notices:,} notices are on their way.")


@click.command()
@click.argument("name", type=click.Choice(list(REPORTS)))
@click.option(
    "--csv", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to this file."
)
@click.option("--since", default="", metavar="DAY", help="First day of the period; 90 days ago unless given.")
@click.option("--until", default="", metavar="DAY", help="Its last day; today unless given.")
@demo_option
def report(*, name: str, file: Path | None, since: str, until: str, demo: bool) -> None:
    """Show a report, or write it as CSV for a spreadsheet."""

    async def write(ctx: Context) -> None:
        assert file is not None
        with file.open("wb") as out:
            async for lines in await open_csv(ctx, name, since=since, until=until):
                out.write(lines)

    async def show(ctx: Context) -> ReportView:
        return await get_report(ctx, name, since=since, until=until)

    if file is not None:
        run_in_shop(write, demo=demo)
        say(f"Written to {file}.")
        return
    found = run_in_shop(show, demo=demo)
    say(f"{found.title}\n")
    table([found.columns, *(tuple("" if cell is None else str(cell) for cell in row) for row in found.rows)])


COMMANDS = (expire, report)
