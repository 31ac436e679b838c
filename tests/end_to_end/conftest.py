"""A whole service as a program of its own, started the way `scripts/serve` starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Final

import httpx
import pytest

from scripts.ports import find_free_port

ROOT: Final = Path(__file__).resolve().parents[2]
REGULARS: Final = str(Path(sys.executable).with_name("regulars"))
# Far more than is needed, as other tests keep the machine busy: they only bound the wait for what never comes.
START_SECONDS_MAX: Final = 90.0
WAIT_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.05


class Service:
    """One demo service in one data folder, started and stopped as often as a test likes."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = find_free_port()
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("REGULARS_")}
        self.environ |= {"REGULARS_DATA_DIR": str(data_dir), "REGULARS_PORT": str(self.port)}
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.process: subprocess.Popen[bytes] | None = None
        self._log_path = data_dir / "service.log"

    def start(self) -> float:
        """Start it and return after how many seconds it was ready."""
        started_at = time.monotonic()
        program = [sys.executable, str(ROOT / "scripts" / "serve_demo.py")]
        with self._log_path.open("w") as log:
            self.process = subprocess.Popen(program, cwd=ROOT, env=self.environ, stdout=log, stderr=log)
        self._wait_until_ready()
        return time.monotonic() - started_at

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(START_SECONDS_MAX)
        self.process = None
        return code

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `regulars` command against the same shop."""
        command = [REGULARS, *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False, timeout=90)

    @property
    def secrets(self) -> dict[str, str]:
        """What the demo's private file holds."""
        lines = (self.data_dir / "demo.env").read_text().split()
        return dict(line.split("=", 1) for line in lines)

    @property
    def till(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets['POS_KEY']}"}

    @property
    def standin_url(self) -> str:
        found = re.search(r"a stand-in; its contacts: (http://127\.0\.0\.1:\d+)/", self.printed)
        assert found, self.printed
        return found[1]

    def contact_at_mailchimp(self, email: str) -> dict[str, object] | None:
        """Return what the stand-in holds about an address."""
        contacts = httpx.get(f"{self.standin_url}/_control/contacts", timeout=20).raise_for_status().json()
        return next((one for one in contacts if one["email_address"] == email), None)

    @property
    def postgres_pid(self) -> int:
        return int((self.data_dir / "postgres" / "data" / "postmaster.pid").read_text().split()[0])

    def sign_in(self, email: str, password: str) -> dict[str, str]:
        """Sign a member in and return the headers."""
        answer = self.http.post("/v1/sessions", json={"email": email, "password": password})
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def sign_in_demo_member(self) -> dict[str, str]:
        return self.sign_in(self.secrets["MEMBER_EMAIL"], self.secrets["MEMBER_PASSWORD"])

    def membership(self, headers: dict[str, str]) -> dict[str, object]:
        [membership] = self.http.get("/v1/me/memberships", headers=headers).raise_for_status().json()["items"]
        return membership

    @property
    def printed(self) -> str:
        """What it has said since its last start."""
        return self._log_path.read_text()

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS_MAX
        while "Ctrl-C stops it." not in self.printed:
            assert self.process.poll() is None, f"the service did not start:\n{self.printed}"
            assert time.monotonic() < deadline, f"the service takes too long to start:\n{self.printed}"
            time.sleep(POLL_SECONDS)


@pytest.fixture
def service(data_dir: Path) -> Iterator[Service]:
    service = Service(data_dir)
    try:
        yield service
    finally:
        if service.process is not None:
            service.end(signal.SIGKILL)
        service.http.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(POLL_SECONDS)


def token_mailed_to(email: str, mail_folder: Path) -> str:
    """Wait for the first mail to an address and return the token of its link.

    The newest mail of all may be somebody else's by the time one looks: a demo writes to its invented people.
    """
    found: list[str] = []

    def look() -> bool:
        for path in sorted(mail_folder.glob("*.eml")):
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            body = mail.get_body(preferencelist=("plain",))
            if email in str(mail["To"]) and body is not None:
                found.extend(re.findall(r"/links/[a-z-]+#(\S+)", body.get_content()))
        return bool(found)

    wait_for(look, f"a mail with a link to {email}")
    return found[0]


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits for its parent to look does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
