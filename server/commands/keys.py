"""`regulars keys`: what tills sign in with."""

from uuid import UUID

import click

from server.commands.common import demo_option, run_in_shop, say, table
from server.context import Context
from server.staff import keys as service
from shared.enums import Scope

_DAYS = 365


@click.group()
def keys() -> None:
    """Create, list and revoke the keys of tills."""


@keys.command()
@click.option("--name", required=True, help="What the key is for, such as 'Till at the window'.")
@click.option("--connection", metavar="CODE", default="till", show_default=True, help="The till system it speaks for.")
@click.option(
    "--scope", "scopes", type=click.Choice([scope.value for scope in Scope]), multiple=True,
    default=(Scope.ORDERS.value, Scope.LOOKUP.value), show_default=True, help="What it may do; may be given again.",
)  # fmt: skip
@click.option("--store", "stores", metavar="CODE", multiple=True, help="A store it is for; none means every store.")
@click.option("--days", type=int, default=_DAYS, show_default=True, help="Days until it expires.")
@demo_option
def create(
    *, name: str, connection: str, scopes: tuple[str, ...], stores: tuple[str, ...], days: int, demo: bool
) -> None:
    """Make a key and print it, once: only its hash is kept."""

    async def work(ctx: Context) -> str:
        return await service.create_api_key(
            ctx, name=name, connection_code=connection, scopes=scopes, stores=stores, valid_days=days
        )

    token = run_in_shop(work, demo=demo)
    # The key alone goes to standard output, so that a script can take it.
    click.echo("Keep this key now; it cannot be shown again:", err=True)
    say(token)


@keys.command("list")
@demo_option
def list_keys(*, demo: bool) -> None:
    """List all keys without their secrets."""

    async def work(ctx: Context) -> list[tuple[str, ...]]:
        return [_row(key, ctx) for key in await service.list_api_keys()]

    rows = run_in_shop(work, demo=demo)
    if not rows:
        say("There are no keys yet. Make one with: regulars keys create")
        return
    table([("ID", "STATE", "TILL SYSTEM", "SCOPES", "STORES", "NAME"), *rows])


@keys.command()
@click.argument("key_id", type=click.UUID)
@demo_option
def revoke(*, key_id: UUID, demo: bool) -> None:
    """Make a key useless at once."""

    async def work(ctx: Context) -> None:
        await service.revoke_api_key(ctx, key_id)

    run_in_shop(work, demo=demo)
    say("The key is revoked.")


def _row(key: service.KeyInfo, ctx: Context) -> tuple[str, ...]:
    if key.revoked_at is not None:
        state = f"revoked {key.revoked_at:%Y-%m-%d}"
    else:
        state = f"{'expired' if key.expires_at <= ctx.now else 'until'} {key.expires_at:%Y-%m-%d}"
    stores = ", ".join(key.stores) or "all"
    return (str(key.id), state, key.connection_code, ", ".join(key.scopes), stores, key.name)


COMMANDS = (keys,)
