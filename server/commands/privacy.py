"""`regulars privacy replay`: forget again whom a restored backup has brought back."""

from pathlib import Path

import click

from server.commands.common import Failure, demo_option, run_in_shop, say
from server.context import Context
from server.privacy import erasure_execution, journal
from server.privacy.journal import JournalUnreadable, Line
from server.settings import Settings


@click.group("privacy")
def privacy() -> None:
    """Keep who was erased forgotten."""


@privacy.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@demo_option
def replay(*, files: tuple[Path, ...], demo: bool) -> None:
    """Erase again whom a restored backup has brought back.

    FILES are journals of erasures; unless given, the one that REGULARS_ERASURE_JOURNAL names. Run it after every restore,
    before the service starts, with the journals of all machines that ran a worker. Doing it twice changes nothing.
    """

    async def work(ctx: Context) -> tuple[int, int]:
        lines = read_journals(files or (ctx.settings.journal_path,))
        return await erasure_execution.replay(ctx, lines), len(lines)

    erased, known = run_in_shop(work, demo=demo)
    say(f"{erased:,} of the {known:,} people in the journal had come back and are erased again.")


def read_journals(paths: tuple[Path, ...]) -> list[Line]:
    """Return the lines of journals.

    Raises:
        Failure: One of them cannot be read.
    """
    try:
        return [line for path in paths for line in journal.read(path)]
    except (OSError, JournalUnreadable) as error:
        raise Failure(f"The journal of erasures cannot be read: {error}") from error


async def check_nobody_returned(settings: Settings) -> None:
    """Refuse to go on with a restored database in which somebody is back who was erased.

    Raises:
        Failure: So it is, or the journal cannot be read.
    """
    returned = await erasure_execution.list_returned(read_journals((settings.journal_path,)))
    if returned:
        raise Failure(
            f"This database has {len(returned):,} people in it who were erased after it was backed up. Erase them again with: "
            "regulars privacy replay"
        )


COMMANDS = (privacy,)
