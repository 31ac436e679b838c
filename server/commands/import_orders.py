"""`regulars import orders`: sales from a file."""

import sys
from collections import Counter
from pathlib import Path
from uuid import UUID

import click

from server.commands.common import Failure, demo_option, run_in_shop, say
from server.commands.files import (
    connection_options,
    encoding_option,
    file_argument,
    read_file,
    report_option,
    tell_refused,
    wrong_file_named,
)
from server.context import Context
from server.csv_cells import encode_rows
from server.db.engine import DB
from server.orders import batch_store
from server.orders.files import BYTES_MAX
from server.orders.importing import OrdersImported, import_orders, read_sales
from server.orders.rules import skipped_line_words
from server.staff.rules import check_connection_code
from server.staff.store import ensure_connection
from shared.enums import SkippedReason


@click.command("orders")
@file_argument
@connection_options("The till system whose sales these are: the one that pushes them, or they would count twice.")
@encoding_option
@report_option("Write what became of every sale to this CSV file.")
@demo_option
def orders(
    *, file: Path, connection: str, new_connection: bool, encoding: str | None, report: Path | None, demo: bool
) -> None:
    """Take sales in from a file, as if the till had pushed them.

    FILE is CSV with one row for each line of a sale: external_id, store, completed_at and net_minor, and, if wanted, number,
    currency, card_number, email, pos_customer_id, state, revision, line_id, sku, description, category, quantity, tax_minor,
    stored_value and points_paid_minor. Money is in minor units. A time without an offset is the store's own.

    It may be stopped and run again: no sale counts twice. Refused sales can be put right in the file and run again; one
    that was posted is changed by a row with a higher revision.
    """
    text = read_file(file, encoding, bytes_max=BYTES_MAX)

    async def work(ctx: Context) -> OrdersImported:
        read = await read_sales(text)
        connection_id = await find_connection(ctx, connection, may_add=new_connection)
        with click.progressbar(length=len(read), label="Posting", file=sys.stderr) as bar:
            return await import_orders(ctx, read, connection_id=connection_id, on_progress=bar.update)

    with wrong_file_named(file):
        done = run_in_shop(work, demo=demo)
    _tell(done, report)


async def find_connection(ctx: Context, code: str, *, may_add: bool) -> UUID:
    """Return the till system of a code, added if that is wanted.

    Raises:
        Failure: There is none of this code.
    """
    known = await batch_store.list_connections()
    if code in known:
        return known[code]
    if not may_add:
        names = ", ".join(sorted(known)) or "none yet"
        raise Failure(f"There is no till system '{code}' ({names}); --new-connection adds it.")
    code = check_connection_code(code)
    async with DB.transaction():
        return await ensure_connection(ctx, code)


def _tell(done: OrdersImported, report: Path | None) -> None:
    if report is not None:
        rows = [(one.row, one.external_id, one.result, one.points, one.reason) for one in done.orders]
        report.write_bytes(encode_rows([("line", "external_id", "result", "points", "reason"), *rows]))
    say(
        f"{done.posted:,} sales posted, {done.points:,} points earned; {done.changed:,} changed, "
        f"{done.known:,} were there already."
    )
    idle = Counter(one.reason for one in done.orders if one.result == "posted" and one.reason)
    for reason, count in idle.most_common():
        say(f"  {count:,} of them earned nothing: {skipped_line_words(SkippedReason(reason))}.")
    refused = ((one.row, one.reason) for one in done.orders if one.result == "refused")
    tell_refused(refused, "sales were refused", report=report)
