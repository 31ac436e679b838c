"""The tree of commands: everything that whoever runs the service does on the command line."""

import sys

import click

from server.commands import (
    backup,
    claims,
    import_customers,
    import_orders,
    imports,
    keys,
    people,
    points,
    privacy,
    shop,
    upkeep,
)
from server.commands.common import Commands, load_settings


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="regulars", prog_name="regulars")
def regulars() -> None:
    """Run the loyalty system of an independent shop.

    Settings come from REGULARS_* variables or the TOML file that REGULARS_CONFIG names; `regulars check-config` lists
    them.
    """


@regulars.command()
@click.option("--demo", is_flag=True, help="Serve an invented shop, filled at the first start.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on (REGULARS_HOST).")
@click.option("--port", type=int, metavar="NUMBER", help="Port to listen on (REGULARS_PORT).")
def serve(*, demo: bool, host: str | None, port: int | None) -> None:
    """Start the service; Ctrl-C or SIGTERM stops it.

    Without REGULARS_DATABASE_URL it starts a PostgreSQL of its own in the data folder.
    """
    # Imported here, as the other commands need no HTTP server.
    from server.commands import serving

    serving.serve(load_settings(demo=demo, host=host, port=port))


@regulars.command()
def demo() -> None:
    """Open the staff console on an invented shop, all in this process."""
    from server.commands import showing

    sys.exit(showing.show(load_settings(demo=True)))


imports.import_group.add_command(import_orders.orders)
imports.import_group.add_command(import_customers.customers)
for command in (
    *shop.COMMANDS,
    *people.COMMANDS,
    *keys.COMMANDS,
    *upkeep.COMMANDS,
    *backup.COMMANDS,
    *imports.COMMANDS,
    *points.COMMANDS,
    *claims.COMMANDS,
    *privacy.COMMANDS,
):
    regulars.add_command(command)
