"""`regulars import`: what is brought over from another system."""

import hashlib
import io
import sys
from pathlib import Path
from typing import Final

import click

from server.commands.common import Failure, WrongUsage, demo_option, run_in_shop, say
from server.context import Context
from server.csv_cells import encode_rows
from server.imports import service
from server.imports.rules import BYTES_MAX, BadLine, WrongFile
from server.imports.service import BalancesImported

_SHOWN_MAX: Final = 20


@click.group("import")
def import_group() -> None:
    """Bring data over from another system."""


@import_group.command("balances")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--batch", metavar="NAME", help="What makes it the same import when it is run again; the file's name unless given."
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the refused rows to this CSV file.",
)
@demo_option
def balances(*, file: Path, batch: str | None, dry_run: bool, report: Path | None, demo: bool) -> None:
    """Give members the points they had in another system, each with the day it was earned and the day it lapses.

    FILE is CSV in UTF-8 with the columns points, earned_at, one of card, email and phone, and, if wanted, expires_at and
    key. It may be stopped and run again: no row is posted twice. Refused rows can be put right in the file and run again.
    """
    text = _read_file(file)
    name = batch or file.stem

    async def work(ctx: Context) -> BalancesImported:
        if dry_run:
            return await service.check_balances(ctx, io.StringIO(text, newline=""))
        rows = max(1, text.count("\n") - 1)
        with click.progressbar(length=rows, label="Posting", file=sys.stderr) as bar:
            return await service.import_balances(
                ctx, io.StringIO(text, newline=""), name=name, file_hash=hashlib.sha256(text.encode()).digest(),
                on_progress=bar.update,
            )  # fmt: skip

    try:
        done = run_in_shop(work, demo=demo)
    except WrongFile as error:
        raise WrongUsage(f"{file}: {error}") from error
    _tell(done, dry_run=dry_run, report=report)


def _read_file(file: Path) -> str:
    if file.stat().st_size > BYTES_MAX:
        raise WrongUsage(f"{file} is larger than {BYTES_MAX // 1_000_000} MB; split it.")
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{file} is not UTF-8. Save it as 'CSV UTF-8'.") from error


def _tell(done: BalancesImported, *, dry_run: bool, report: Path | None) -> None:
    if report is not None:
        rows = [(line.line, line.row_key, line.reason) for line in done.refused]
        report.write_bytes(encode_rows([("line", "key", "reason"), *rows]))
    verb = "can be posted" if dry_run else "posted"
    say(f"{done.posted:,} rows {verb}: {done.points:,} points.")
    if done.refused:
        _list_refused(done.refused, told=report)
        raise Failure(f"{len(done.refused):,} rows cannot be posted.")


def _list_refused(refused: tuple[BadLine, ...], *, told: Path | None) -> None:
    for line in refused[:_SHOWN_MAX]:
        say(f"  line {line.line}: {line.reason}")
    if len(refused) > _SHOWN_MAX:
        say(f"  ... and {len(refused) - _SHOWN_MAX:,} more{'' if told else '; --report FILE lists all of them'}")


COMMANDS = (import_group,)
