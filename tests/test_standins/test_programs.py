"""The stand-ins as programs of their own, started by their scripts from a folder that is not the project's."""

import re
import signal
import smtplib
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.standins.mailchimp import MailchimpControl
from tests.test_standins.builders import LIST_ID, md5, put, sdk_client

SCRIPTS = Path(__file__).parents[2] / "scripts"
STOP_TIMEOUT_S = 60
ANA = "ana@shop.test"


@contextmanager
def running(name: str, *arguments: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a script and yield it with its first line; it must have been stopped by the end."""
    process = subprocess.Popen([SCRIPTS / name, *arguments], cwd=cwd, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
        process.stdout.close()


def stop(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    return process.wait(STOP_TIMEOUT_S)


@contextmanager
def mailchimp_program(cwd: Path) -> Iterator[tuple[subprocess.Popen[str], MailchimpControl]]:
    with running("mailchimp-standin", "--port", "0", "--state", "state.json", cwd=cwd) as (process, line):
        found = re.match(r"Mailchimp stand-in ready: (\S+) \(API \S+, key (\w+-\w+), audience (\w+), ", line)
        assert found, line
        with MailchimpControl(found[1], api_key=found[2], list_id=found[3]) as control:
            yield process, control


def test_the_mailchimp_program_keeps_its_state_however_it_ends(tmp_path: Path) -> None:
    kept = None
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        with mailchimp_program(tmp_path) as (process, control):
            assert kept is None or control.contact(ANA) == kept
            put(sdk_client(control), ANA, merge_fields={"FNAME": number.name})
            kept = control.contact(ANA)
            assert stop(process, number) == (-number if number == signal.SIGKILL else 0)
    with mailchimp_program(tmp_path) as (_, control):
        assert control.contact(ANA) == kept
        answer = sdk_client(control).lists.get_list_member(LIST_ID, md5(ANA))
        assert answer["contact_id"] == kept.contact_id


def test_the_mailchimp_program_names_what_keeps_it_from_starting(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("no JSON")
    command = [str(SCRIPTS / "mailchimp-standin"), "--port", "0", "--state", "state.json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "state.json is not a state file" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_smtp_program_writes_each_mail_whole_and_for_its_owner_only(tmp_path: Path, number: signal.Signals) -> None:
    with running("smtp-sink", "--port", "0", "--maildir", "mails", cwd=tmp_path) as (process, line):
        assert process.stdout is not None
        found = re.match(r"SMTP sink ready: 127\.0\.0\.1:(\d+), mails in mails", line)
        assert found, line
        with smtplib.SMTP("127.0.0.1", int(found[1]), timeout=10) as smtp:
            for subject in ("first", "second =?utf-8?q?=1B=5B31m?="):
                smtp.sendmail("hello@shop.test", [ANA], f"Subject: {subject}\r\n\r\nHello\r\n".encode())
        told = [process.stdout.readline() for _ in range(2)]
        assert stop(process, number) == 0
    mails = sorted((tmp_path / "mails").iterdir())
    assert [path.suffix for path in mails] == [".eml", ".eml"]
    assert message_from_bytes(mails[0].read_bytes())["Subject"] == "first"
    assert stat.S_IMODE(mails[0].stat().st_mode) == 0o600
    assert f"hello@shop.test to {ANA}: first (mails/{mails[0].name})" in told[0]
    # An escape sequence in a subject must not reach the terminal.
    assert "\x1b" not in told[1]
    assert "second ?[31m" in told[1]
