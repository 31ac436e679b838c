"""`regulars import customers`: a till's customer records from a file."""

import sys
from pathlib import Path
from typing import Final

import click

from server.commands.common import Failure, WrongUsage, demo_option, run_in_shop, say
from server.commands.import_orders import find_connection
from server.context import Context
from server.csv_cells import encode_rows
from server.links.files import BYTES_MAX, WrongFile
from server.links.importing import RecordsImported, import_records
from server.orders.files import WrongFile as WrongText
from server.orders.files import read_text

_SHOWN_MAX: Final = 20


@click.command("customers")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--connection", metavar="CODE", default="till", show_default=True,
    help="The till system whose customers these are: the one whose sales name them.",
)  # fmt: skip
@click.option("--new-connection", is_flag=True, help="Add this till system if it is not there yet.")
@click.option(
    "--encoding", metavar="NAME", help="Encoding of the file, such as cp1252; UTF-8 or a mark in it unless given."
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write what became of every record to this CSV file.",
)  # fmt: skip
@demo_option
def customers(
    *, file: Path, connection: str, new_connection: bool, encoding: str | None, report: Path | None, demo: bool
) -> None:
    """Take a till's customer records in from a file, as if the till had sent them.

    FILE is CSV with external_id (the till's own id) and, if wanted, given_name, family_name, email, email_since, phone,
    card_number, former_ids, changed_at and removed. Nobody becomes a member by it: a record links to whoever proves its
    address, or is linked by staff.

    It may be stopped and run again. Refused records can be put right in the file and run again.
    """
    if file.stat().st_size > BYTES_MAX:
        raise WrongUsage(f"{file} is larger than {BYTES_MAX // 1_000_000} MB; split it.")
    content = file.read_bytes()

    async def work(ctx: Context) -> RecordsImported:
        text = read_text(content, encoding, bytes_max=BYTES_MAX)
        connection_id = await find_connection(ctx, connection, may_add=new_connection)
        with click.progressbar(length=max(1, text.count("\n") - 1), label="Reading", file=sys.stderr) as bar:
            return await import_records(ctx, text, connection_id=connection_id, on_progress=bar.update)

    try:
        done = run_in_shop(work, demo=demo)
    except (WrongFile, WrongText) as error:
        raise WrongUsage(f"{file}: {error}") from error
    _tell(done, report)


def _tell(done: RecordsImported, report: Path | None) -> None:
    if report is not None:
        rows = [(one.line, one.external_id, one.result, one.reason) for one in done.records]
        report.write_bytes(encode_rows([("line", "external_id", "result", "reason"), *rows]))
    counts = done.counts
    known = counts.get("unchanged", 0) + counts.get("stale", 0)
    say(f"{counts.get('new', 0):,} records new, {counts.get('changed', 0):,} changed; {known:,} were there already.")
    refused = [one for one in done.records if one.result == "refused"]
    for one in refused[:_SHOWN_MAX]:
        say(f"  line {one.line}: {one.reason}")
    if len(refused) > _SHOWN_MAX:
        say(f"  ... and {len(refused) - _SHOWN_MAX:,} more{'' if report else '; --report FILE lists all of them'}")
    if refused:
        raise Failure(f"{len(refused):,} records were refused.")
