"""What the imports share: the file and its options, reading it, and listing what was refused."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from server.commands.common import Failure, WrongUsage, say
from server.csv_files import WrongFile, read_text

_SHOWN_MAX: Final = 20

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

file_argument: Decorator = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
encoding_option: Decorator = click.option(
    "--encoding", metavar="NAME", help="Encoding of the file, such as cp1252; UTF-8 or a mark in it unless given."
)


def report_option(what: str) -> Decorator:
    """Return the option that names a file for a report, which must be one that can be written once the work is done."""
    path = click.Path(dir_okay=False, writable=True, path_type=Path)
    return click.option("--report", type=path, metavar="FILE", help=what, callback=_check_folder)


def connection_options(whose: str) -> Decorator:
    """Return the options that name a till system, or add it."""
    named = click.option("--connection", metavar="CODE", default="till", show_default=True, help=whose)
    added = click.option("--new-connection", is_flag=True, help="Add this till system if it is not there yet.")
    return lambda command: named(added(command))


def _check_folder(_ctx: click.Context, _option: click.Parameter, file: Path | None) -> Path | None:
    if file is not None and not file.absolute().parent.is_dir():
        raise click.BadParameter(f"There is no folder {file.absolute().parent}.")
    return file


@contextmanager
def wrong_file_named(file: Path) -> Iterator[None]:
    """Let what is wrong with a file be told with its name.

    Raises:
        WrongUsage: It cannot be read.
    """
    try:
        yield
    except WrongFile as error:
        raise WrongUsage(f"{file}: {error}") from error


def read_file(file: Path, encoding: str | None, *, bytes_max: int) -> str:
    """Return the text of a file.

    Raises:
        WrongUsage: It is too large, or in another encoding.
    """
    with wrong_file_named(file), file.open("rb") as opened:
        return read_text(opened.read(bytes_max + 1), encoding, bytes_max=bytes_max)


def tell_refused(refused: Iterable[tuple[int, str]], what: str, *, report: Path | None) -> None:
    """List the first lines that were refused, with reasons.

    Raises:
        Failure: There are any; says how many.
    """
    lines = list(refused)
    for line, reason in lines[:_SHOWN_MAX]:
        say(f"  line {line}: {reason}")
    if len(lines) > _SHOWN_MAX:
        say(f"  ... and {len(lines) - _SHOWN_MAX:,} more{'' if report else '; --report FILE lists all of them'}")
    if lines:
        raise Failure(f"{len(lines):,} {what}.")
