"""`regulars claim`: codes on paper for everybody whom no email reaches."""

import os
from pathlib import Path
from typing import BinaryIO

import click

from server.claims import batches
from server.commands.common import Failure, demo_option, run_in_shop, say
from server.context import Context
from shared.claims import ClaimBatchView


@click.group()
def claim() -> None:
    """Make claim codes, by which customers without an email address come into an account of their own."""


@claim.command()
@click.option("--filter", "chosen", type=click.Choice(["no-email"]), default="no-email", show_default=True)
@click.option("--reissue", is_flag=True, help="Also for those who have a live code, which is void then.")
@click.option(
    "--letters/--no-letters", default=True, help="Write letters as PDF, a thousand a file.", show_default=True
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="A new folder for them.",
)
@demo_option
def batch(*, chosen: str, reissue: bool, letters: bool, out: Path, demo: bool) -> None:  # noqa: ARG001 - the one there is
    """Make a code for everybody without an email address; write the list, and letters with QR codes, once.

    The codes are kept nowhere else: whoever has the files can use them, so keep them safe and delete them afterwards.
    """
    try:
        out.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise Failure(f"{out} exists; name a new folder, so that no codes are overwritten.") from error

    async def work(ctx: Context) -> ClaimBatchView:
        made = await batches.create(ctx, reissue=reissue)
        with _create(out / "claim-codes.csv") as file:
            async for part in await batches.open_csv(ctx, made.id):
                file.write(part)
        if letters:
            number = 0
            async for pdf in await batches.open_letters(ctx, made.id):
                number += 1
                with _create(out / f"claim-letters-{number:03}.pdf") as file:
                    file.write(pdf)
            if ctx.settings.letter_font is None:
                say(
                    "Names in other than Western letters are spelt out; REGULARS_LETTER_FONT names a font that has them."
                )
        return made

    try:
        made = run_in_shop(work, demo=demo)
    finally:
        if not any(out.iterdir()):
            out.rmdir()
    say(f"{made.codes:,} codes are in {out}. They work once each; send them and delete the files.")


def _create(path: Path) -> BinaryIO:
    """Open a new file that nobody else may read."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


COMMANDS = (claim,)
