"""`regulars backup`: the whole shop in one file."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import click

from server.commands.common import Failure, Unavailable, database_of, demo_option, load_settings, say
from server.db.embedded import find_binaries

_MEGABYTE: Final = 1_000_000


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@demo_option
def backup(*, file: Path, demo: bool) -> None:
    """Write the whole database to FILE with pg_dump while the shop goes on; `pg_restore` reads it.

    The file holds personal data. The secret key is not in it: keep that one separately.
    """
    settings = load_settings(demo=demo)
    with database_of(settings) as with_database:
        assert with_database.database_url is not None
        _dump(_pg_dump(is_embedded=settings.is_embedded), with_database.database_url, file)
    say(f"{file} holds the shop, {file.stat().st_size / _MEGABYTE:.1f} MB.")


def _dump(program: str, database_url: str, file: Path) -> None:
    address = urlsplit(database_url)
    draft = file.with_name(f"{file.name}.part")
    # The password goes by the environment, as arguments can be read by everybody on the machine.
    environ = {**os.environ, "PGPASSWORD": unquote(address.password or "")}
    host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname or ""
    user = f"{address.username}@" if address.username else ""
    port = f":{address.port}" if address.port else ""
    plain = address._replace(netloc=f"{user}{host}{port}").geturl()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as output:  # noqa: PTH123 - a descriptor is no path
        command = [program, "--format=custom", f"--dbname={plain}"]
        result = subprocess.run(command, env=environ, stdout=output, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
        os.fsync(descriptor)
    if result.returncode != 0:
        draft.unlink()
        raise Failure(f"pg_dump failed:\n{result.stderr.strip()}")
    # At once, so that a name without .part is always a whole backup.
    draft.replace(file)


def _pg_dump(*, is_embedded: bool) -> str:
    """Return the pg_dump of the embedded PostgreSQL, or for another one the machine's own, as it must not be older."""
    installed = shutil.which("pg_dump")
    if installed is not None and not is_embedded:
        return installed
    program = find_binaries() / "pg_dump"
    if not program.exists():
        raise Unavailable("There is no pg_dump on this machine; install PostgreSQL's client programs.")
    return str(program)


COMMANDS = (backup,)
