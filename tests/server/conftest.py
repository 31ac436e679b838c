"""A shop with a real mail server or Mailchimp's stand-in beside it, and what commands leave behind in a process."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from server.commands.regulars import regulars as program
from tests.app import World, open_world
from tests.server.command_line import INIT, KEY, Run
from tests.standins.mailchimp import MailchimpStandIn
from tests.standins.smtp import SmtpSink


@pytest.fixture
def mailchimp() -> Iterator[MailchimpStandIn]:
    with MailchimpStandIn() as standin:
        yield standin


@pytest.fixture
async def pushing(database_url: str, data_dir: Path, mailchimp: MailchimpStandIn) -> AsyncIterator[World]:
    """A world whose audience is the stand-in's."""
    async with open_world(
        database_url,
        data_dir,
        audience="mailchimp",
        mailchimp_api_key=mailchimp.api_key,
        mailchimp_list_id=mailchimp.list_id,
        mailchimp_base_url=mailchimp.url,
    ) as world:
        yield world


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as sink:
        yield sink


@pytest.fixture
async def mailing(database_url: str, data_dir: Path, sink: SmtpSink) -> AsyncIterator[World]:
    """A world whose mail goes to the sink."""
    async with open_world(
        database_url, data_dir, mail="smtp", smtp_host=sink.host, smtp_port=sink.port, smtp_starttls=False
    ) as world:
        yield world


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    """Commands configure the logs of their process, which here is that of all tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def regulars(database_url: str, data_dir: Path, logs_as_before: None) -> Run:
    """The command, acting on a migrated, empty database."""

    def run(*arguments: str, stdin: str = "", **environ: str) -> Result:
        given = {
            "REGULARS_DATABASE_URL": database_url,
            "REGULARS_SECRET_KEY": KEY,
            "REGULARS_DATA_DIR": str(data_dir),
            **environ,
        }
        return CliRunner().invoke(program, arguments, env=given, input=stdin)

    return run


@pytest.fixture
def shop(regulars: Run) -> Run:
    """The command, acting on a shop that was just set up."""
    done = regulars(*INIT)
    assert done.exit_code == 0, done.output
    return regulars
