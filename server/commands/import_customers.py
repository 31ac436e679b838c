"""`regulars import customers`: a till's customer records from a file."""

import sys
from pathlib import Path

import click

from server.commands.common import demo_option, run_in_shop, say
from server.commands.files import (
    connection_options,
    encoding_option,
    file_argument,
    read_file,
    report_option,
    tell_refused,
    wrong_file_named,
)
from server.commands.import_orders import find_connection
from server.context import Context
from server.csv_cells import encode_rows
from server.links.files import BYTES_MAX
from server.links.importing import RecordsImported, import_records


@click.command("customers")
@file_argument
@connection_options("The till system whose customers these are: the one whose sales name them.")
@encoding_option
@report_option("Write what became of every record to this CSV file.")
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
    text = read_file(file, encoding, bytes_max=BYTES_MAX)

    async def work(ctx: Context) -> RecordsImported:
        connection_id = await find_connection(ctx, connection, may_add=new_connection)
        with click.progressbar(length=max(1, text.count("\n") - 1), label="Reading", file=sys.stderr) as bar:
            return await import_records(ctx, text, connection_id=connection_id, on_progress=bar.update)

    with wrong_file_named(file):
        done = run_in_shop(work, demo=demo)
    _tell(done, report)


def _tell(done: RecordsImported, report: Path | None) -> None:
    if report is not None:
        rows = [(one.line, one.external_id, one.result, one.reason) for one in done.records]
        report.write_bytes(encode_rows([("line", "external_id", "result", "reason"), *rows]))
    counts = done.counts
    known = counts.get("unchanged", 0) + counts.get("stale", 0)
    say(f"{counts.get('new', 0):,} records new, {counts.get('changed', 0):,} changed; {known:,} were there already.")
    refused = ((one.line, one.reason) for one in done.records if one.result == "refused")
    tell_refused(refused, "records were refused", report=report)
