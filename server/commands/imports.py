"""`regulars import`: what is brought over from another system."""

import sys
from pathlib import Path

import click

from server.commands.common import demo_option, run_in_shop, say
from server.commands.files import (
    encoding_option,
    file_argument,
    read_file,
    report_option,
    tell_refused,
    wrong_file_named,
)
from server.context import Context
from server.csv_cells import encode_rows
from server.imports import service
from server.imports.rules import BYTES_MAX
from server.imports.service import BalancesImported


@click.group("import")
def import_group() -> None:
    """Bring data over from another system."""


@import_group.command("balances")
@file_argument
@click.option(
    "--batch", metavar="NAME", help="What makes it the same import when it is run again; the file's name unless given."
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@encoding_option
@report_option("Write the refused rows to this CSV file.")
@demo_option
def balances(
    *, file: Path, batch: str | None, dry_run: bool, encoding: str | None, report: Path | None, demo: bool
) -> None:
    """Give members the points they had in another system, each with the day it was earned and the day it lapses.

    FILE is CSV with the columns points, earned_at, one of card, email, phone and pos_customer_id (with connection, the code
    of the till system), and, if wanted, expires_at and key. Points go to the programme of the card, or else to the one that
    members join. It may be stopped and run again: no row is posted twice. Refused rows can be put right in the file, in their
    places, and run again.
    """
    text = read_file(file, encoding, bytes_max=BYTES_MAX)
    name = batch or file.stem

    async def work(ctx: Context) -> BalancesImported:
        if dry_run:
            return await service.check_balances(ctx, text, name=name)
        rows = max(1, text.count("\n") - 1)
        with click.progressbar(length=rows, label="Posting", file=sys.stderr) as bar:
            return await service.import_balances(ctx, text, name=name, on_progress=bar.update)

    with wrong_file_named(file):
        done = run_in_shop(work, demo=demo)
    _tell(done, dry_run=dry_run, report=report)


def _tell(done: BalancesImported, *, dry_run: bool, report: Path | None) -> None:
    if report is not None:
        rows = [(line.line, line.row_key, line.reason) for line in done.refused]
        report.write_bytes(encode_rows([("line", "key", "reason"), *rows]))
    verb = "can be posted" if dry_run else "posted"
    say(f"{done.posted:,} rows {verb}: {done.points:,} points; {done.known:,} were posted before.")
    tell_refused(((line.line, line.reason) for line in done.refused), "rows cannot be posted", report=report)


COMMANDS = (import_group,)
