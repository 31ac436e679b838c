"""Commands that keep a shop running: migrate, worker, verify, check-config, openapi."""

import asyncio
import os
import signal
from typing import Final

import click
import msgspec

from server.app import create_tools
from server.commands.common import (
    Failure,
    check_database,
    database_of,
    demo_option,
    load_settings,
    run_in_shop,
    say,
    table,
)
from server.commands.privacy import check_nobody_returned
from server.context import Context
from server.db.engine import DB
from server.db.migrate import migrate as bring_up_to_date
from server.ledger.verification import CHECKS, Outcome
from server.ledger.verification import verify as verify_all
from server.settings import Settings, describe
from server.settings_reading import load

_HIDDEN: Final = "[set]"


@click.command()
@demo_option
def migrate(*, demo: bool) -> None:
    """Bring the database to this version's schema. `serve` does so by itself."""

    async def work(_: Context) -> None:
        return None

    run_in_shop(work, demo=demo, may_create=True, before=bring_up_to_date)
    say("The database is up to date.")


@click.command()
@demo_option
def worker(*, demo: bool) -> None:
    """Run jobs alone, without serving; for deployments where `serve` has REGULARS_RUN_WORKER=false."""
    with database_of(load_settings(demo=demo)) as settings:
        asyncio.run(_work(settings))
    say("Stopped.")


@click.command()
@demo_option
def verify(*, demo: bool) -> None:
    """Work every balance out again from the entries; exit code 1 and the first wrong row if one is not right."""
    wrong = run_in_shop(_verify, demo=demo)
    if wrong:
        raise Failure(f"{wrong} of {len(CHECKS)} checks found something wrong.")
    say("all balances are right")


@click.command("check-config")
@click.option("--demo", is_flag=True, help="Check the settings of a demo.")
def check_config(*, demo: bool) -> None:
    """Check the settings and list them, secrets left out; exit code 2 and all that is wrong otherwise."""
    values = msgspec.structs.asdict(load(os.environ, overrides={"demo": True if demo else None}))
    rows = []
    for setting in describe():
        value = values[setting.name]
        shown = _HIDDEN if setting.is_secret and value else _in_words(value)
        rows.append((setting.variable, shown))
    table([("SETTING", "VALUE"), *rows])
    say("\nThe settings can be used.")


async def _work(settings: Settings) -> None:
    from server.worker import run_worker

    assert settings.database_url is not None
    await check_database(settings.database_url)
    tools = create_tools(settings)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await DB.open(settings.database_url, size=settings.database_pool_size, wait_seconds=settings.database_wait_seconds)
    try:
        await check_nobody_returned(settings)
        say("Working. Ctrl-C stops it.")
        await run_worker(tools, stop)
    finally:
        tools.passwords.close()
        await DB.close()


async def _verify(ctx: Context) -> int:
    wrong = 0
    names = [f"[{number:>2}/{len(CHECKS)}] {check.name} ... " for number, check in enumerate(CHECKS, start=1)]
    # Each name is printed before its check, which takes minutes on a big ledger.
    click.echo(names.pop(0), nl=False)
    async for outcome in verify_all(ctx.now):
        say("ok" if outcome.is_right else _wrong_words(outcome))
        wrong += not outcome.is_right
        if names:
            click.echo(names.pop(0), nl=False)
    return wrong


def _wrong_words(outcome: Outcome) -> str:
    return f"WRONG\n        {outcome.wrong_row}: found {outcome.found}, expected {outcome.expected}"


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value)


@click.command()
def openapi() -> None:
    """Print the description of the API as an OpenAPI 3.1 document."""
    from server.openapi import openapi_document

    say(msgspec.json.format(msgspec.json.encode(openapi_document())).decode())


COMMANDS = (openapi, migrate, worker, verify, check_config)
