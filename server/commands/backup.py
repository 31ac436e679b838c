"""`regulars backup`: the whole shop in one file."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import click

from server.commands.common import Failure, Unavailable, check_database, database_of, demo_option, load_settings, say
from server.db.embedded import find_binaries

_MEGABYTE: Final = 1_000_000


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@demo_option
def backup(*, file: Path, demo: bool) -> None:
    """Write the whole database to FILE with pg_dump while the shop goes on; `pg_restore` reads it.

    The file holds personal data. The secret key is not in it: keep that one separately.
    """
    with database_of(load_settings(demo=demo)) as settings:
        assert settings.database_url is not None
        major = asyncio.run(check_database(settings.database_url))
        program = _pg_dump(major)
        _dump(program, settings.database_url, file)
    # Only one as new as the pg_dump can read it, and that of the machine may be older than ours.
    reader = Path(program).with_name("pg_restore")
    say(f"{file} holds the shop, {file.stat().st_size / _MEGABYTE:.1f} MB. To restore it: {reader}")


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


def _pg_dump(server_major: int) -> str:
    """Return the path of a pg_dump, which must not be older than the server: the same version, else the newest."""
    program = find_binaries(preferred_major=server_major) / "pg_dump"
    installed = str(program) if program.exists() else shutil.which("pg_dump")
    if installed is None:
        raise Unavailable("There is no pg_dump on this machine; install PostgreSQL's client programs.")
    return installed


COMMANDS = (backup,)
