"""`regulars staff`: who works here."""

import click

from server.commands.common import demo_option, run_in_shop, say, table
from server.context import Context
from server.staff import service
from shared.enums import Role
from shared.limits import INVITATION_LINK_LIFE


@click.group()
def staff() -> None:
    """Invite, list and disable staff members."""


@staff.command()
@click.argument("login")
@click.option("--name", required=True, help="The person's name, as colleagues read it.")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--store", "store_code", metavar="CODE", help="The store the person works at.")
@demo_option
def invite(*, login: str, name: str, role: str, store_code: str | None, demo: bool) -> None:
    """Add a staff member and print the link by which they choose their password, once."""

    async def work(ctx: Context) -> str:
        token = await service.invite_staff(ctx, login=login, name=name, role=Role(role), store_code=store_code)
        return link_of(ctx, token)

    say_link(login, run_in_shop(work, demo=demo))


@staff.command("renew")
@click.argument("login")
@demo_option
def renew(*, login: str, demo: bool) -> None:
    """Print a new link for somebody who lost the first one, or the password."""

    async def work(ctx: Context) -> str:
        return link_of(ctx, await service.renew_invitation(ctx, login))

    say_link(login, run_in_shop(work, demo=demo))


@staff.command("list")
@demo_option
def list_members(*, demo: bool) -> None:
    """List all staff members."""

    async def work(_: Context) -> tuple[service.StaffInfo, ...]:
        return await service.list_staff()

    members = run_in_shop(work, demo=demo)
    if not members:
        say("Nobody works here yet. Invite somebody with: regulars staff invite")
        return
    rows = [(one.login, one.role.value, one.status, one.store_code or "", one.name) for one in members]
    table([("LOGIN", "ROLE", "STATUS", "STORE", "NAME"), *rows])


@staff.command()
@click.argument("login")
@demo_option
def disable(*, login: str, demo: bool) -> None:
    """Shut a staff member out; their next request is refused."""

    async def work(ctx: Context) -> None:
        await service.disable_staff(ctx, login)

    run_in_shop(work, demo=demo)
    say(f"{login} is disabled and signed out everywhere.")


def link_of(ctx: Context, token: str) -> str:
    """Return the set-up link; the token is behind the #, so that no server log ever holds it."""
    return f"{ctx.settings.public_url}/links/staff-invitation#{token}"


def say_link(login: str, link: str) -> None:
    """Print a set-up link and what to do with it."""
    say(f"{login} chooses a password here, once, within {INVITATION_LINK_LIFE.days} days:\n\n  {link}\n")


COMMANDS = (staff,)
