"""Commands that set a shop up and change it: init, programme, store, cards, audience."""

from datetime import datetime
from typing import Annotated, BinaryIO, Final
from zoneinfo import ZoneInfo

import click
import msgspec

from server.audience import service as audience_service
from server.commands.common import Failure, WrongUsage, demo_option, run_in_shop, say, table
from server.commands.people import link_of, say_link
from server.context import Context
from server.db.migrate import migrate
from server.memberships.service import print_cards
from server.programmes import setup
from server.programmes import store as programmes
from server.programmes.drafts import is_zone
from server.programmes.service import Programme, get_default_programme
from server.staff.rules import check_login
from server.staff.service import invite_staff
from server.time_words import say_moment
from shared.enums import Role
from shared.programmes import EarningRules, Expiry
from shared.staff import AudienceStatus

_CARDS_MAX: Final = 100_000


class Zone(click.ParamType[str]):
    """The name of a time zone."""

    name = "zone"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_zone(value):
            self.fail(f"{value!r} is no time zone such as Europe/London.", param, ctx)
        return value


class Pattern(click.ParamType[str]):
    """Text of a fixed form."""

    def __init__(self, name: str, kind: object, words: str) -> None:
        self.name = name
        self._kind = kind
        self._words = words

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(msgspec.convert(value, type=self._kind))
        except msgspec.ValidationError:
            self.fail(f"{value!r} is not {self._words}.", param, ctx)


def _pattern(pattern: str) -> object:
    return Annotated[str, msgspec.Meta(pattern=pattern)]


_CODE: Final = Pattern("code", _pattern("^[a-z0-9][a-z0-9-]{0,39}$"), "1 to 40 small letters, digits or dashes")
_CURRENCY: Final = Pattern("currency", _pattern("^[A-Z]{3}$"), "a currency such as GBP")
_NAME: Final = Pattern("name", _pattern(r"^\S(.{0,78}\S)?$"), "a name of 1 to 80 characters")


@click.command()
@click.option("--programme", "name", type=_NAME, prompt="Name of the programme", help="As members read it.")
@click.option("--zone", type=Zone(), prompt="Time zone of the shop", default="Europe/London", show_default=True)
@click.option("--currency", type=_CURRENCY, prompt="Currency", default="GBP", show_default=True)
@click.option(
    "--per-minor", type=click.IntRange(1, 1_000_000), prompt="Money that earns a point, in cents or pence", default=100,
    show_default=True, help="100 gives one point for 1.00.",
)  # fmt: skip
@click.option(
    "--expiry-days", type=click.IntRange(0, 36_500), prompt="Days until points lapse, 0 for never", default=365,
    show_default=True,
)  # fmt: skip
@click.option("--store-code", type=_CODE, prompt="Code of the first store, as its till sends it", default="main")
@click.option("--store-name", type=_NAME, prompt="Name of the first store", default="Main store")
@click.option("--admin", prompt="Sign-in name of the first administrator", help="Sign-in name.")
@click.option("--admin-name", type=_NAME, prompt="Name of that person", help="As colleagues read it.")
def init(
    *, name: str, zone: str, currency: str, per_minor: int, expiry_days: int, store_code: str, store_name: str,
    admin: str, admin_name: str,
) -> None:  # fmt: skip
    """Set up a new shop: its programme, first store and first administrator. Asks for what is not given."""
    expiry = Expiry(kind="days", days=expiry_days) if expiry_days else Expiry()
    rules = EarningRules(points=1, per_minor=per_minor, expiry=expiry)

    async def work(ctx: Context) -> str:
        # Refused before anything is written, as the invitation is a transaction of its own.
        check_login(admin)
        await setup.open_shop(
            ctx, code=_code_of(name), name=name, zone=zone, currency=currency, rules=rules, store_code=store_code,
            store_name=store_name,
        )  # fmt: skip
        return link_of(ctx, await invite_staff(ctx, login=admin, name=admin_name, role=Role.ADMIN))

    link = run_in_shop(work, demo=False, may_create=True, before=migrate)
    say(f"{name} is set up. Start the service with: regulars serve\n")
    say_link(admin, link)


@click.group()
def programme() -> None:
    """Show the points programme and change its rules."""


@programme.command("show")
@demo_option
def show_programme(*, demo: bool) -> None:
    """Print the rules in force as JSON; `rules` takes the same."""

    async def work(ctx: Context) -> tuple[Programme, datetime]:
        return await get_default_programme(fresh=True), ctx.now

    found, now = run_in_shop(work, demo=demo)
    current = found.rules_at(now)
    click.echo(f"{found.name} ({found.currency}, {found.zone}), since {found.launch_at:%Y-%m-%d}", err=True)
    if current is not None:
        say(msgspec.json.format(msgspec.json.encode(current.rules)).decode())


@programme.command("rules")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--from", "valid_from", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="From when, in the shop's time; at once unless given.",
)  # fmt: skip
@demo_option
def change_rules(*, file: BinaryIO, valid_from: datetime | None, demo: bool) -> None:
    """Put new rules in force, read from a JSON FILE (- is standard input). Earlier sales keep the rules of their time."""
    try:
        rules = msgspec.json.decode(file.read(), type=EarningRules)
    except msgspec.MsgspecError as error:
        raise WrongUsage(f"These are no rules: {error}") from error

    async def work(ctx: Context) -> Programme:
        zone = ZoneInfo((await get_default_programme(fresh=True)).zone)
        starts_at = valid_from.replace(tzinfo=zone) if valid_from else ctx.now
        return await setup.change_rules(ctx, rules, valid_from=starts_at)

    changed = run_in_shop(work, demo=demo)
    newest = changed.rule_versions[0]
    say(f"Version {newest.version} of the rules holds from {say_moment(newest.valid_from, ZoneInfo(changed.zone))}.")


@click.group()
def store() -> None:
    """Add and list stores."""


@store.command("add")
@click.argument("code", type=_CODE)
@click.option("--name", type=_NAME, required=True, help="As people read it.")
@click.option("--zone", type=Zone(), help="Its time zone; the programme's unless given.")
@demo_option
def add_store(*, code: str, name: str, zone: str | None, demo: bool) -> None:
    """Add a store; tills name it by its code."""

    async def work(ctx: Context) -> None:
        chosen = zone or (await get_default_programme(fresh=True)).zone
        await setup.add_store(ctx, code=code, name=name, zone=chosen)

    run_in_shop(work, demo=demo)
    say(f"{name} is added.")


@store.command("list")
@demo_option
def list_stores(*, demo: bool) -> None:
    """List all stores."""

    async def work(_: Context) -> list[tuple[str, ...]]:
        return [(row["code"], row["zone"], row["name"]) for row in await programmes.list_stores()]

    table([("CODE", "ZONE", "NAME"), *run_in_shop(work, demo=demo)])


@click.group()
def cards() -> None:
    """Issue cards to be printed."""


@cards.command("issue")
@click.argument("count", type=click.IntRange(1, _CARDS_MAX))
@demo_option
def issue_cards(*, count: int, demo: bool) -> None:
    """Issue COUNT unregistered cards and print their numbers, one a line, for a card printer."""

    async def work(ctx: Context) -> tuple[str, ...]:
        return await print_cards(ctx, count)

    say("\n".join(run_in_shop(work, demo=demo)))


@click.group()
def audience() -> None:
    """See to the link with Mailchimp."""


@audience.command("status")
@demo_option
def audience_status(*, demo: bool) -> None:
    """Show how the link is doing; exit code 1 if somebody has to look at it."""

    async def work(ctx: Context) -> AudienceStatus:
        return await audience_service.get_status(ctx)

    status = run_in_shop(work, demo=demo)
    _say_audience(status)
    if status.paused_reason or status.parked:
        raise Failure("Somebody has to look at this.")


@audience.command("resume")
@demo_option
def resume_audience(*, demo: bool) -> None:
    """Let a stopped queue run again, once its cause is gone."""

    async def work(ctx: Context) -> AudienceStatus:
        return await audience_service.resume(ctx)

    _say_audience(run_in_shop(work, demo=demo))


def _say_audience(status: AudienceStatus) -> None:
    running = "not connected" if status.mode == "none" else "running"
    say(f"audience {status.mode}: {status.paused_reason or running}")
    say(f"{status.waiting} waiting, {status.parked} set aside, {status.pushed_today} pushed today")
    for contact in status.items:
        if contact.parked_reason:
            # The row and not the address, so that this can be pasted into a question.
            say(f"  contact {contact.id}: {contact.parked_reason}")


def _code_of(name: str) -> str:
    """Return a code made of a name's Latin letters and digits."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in name.lower()).split()
    return "-".join(words)[:40] or "rewards"


COMMANDS = (init, programme, store, cards, audience)
