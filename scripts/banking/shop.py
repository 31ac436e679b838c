"""A real service in a folder of its own, with its own PostgreSQL; killed and started as often as one likes."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from scripts.ports import find_free_port
from server.db.embedded import find_running

REGULARS = str(Path(sys.executable).with_name("regulars"))
READY_SECONDS_MAX = 90.0
POLL_SECONDS = 0.1
PASSWORD = "wandering-teapot-71-gulls"  # noqa: S105 - of a shop that lives for a minute


class BankShop:
    """The shop: one till, one manager, and the service's process."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        port = find_free_port()
        self.url = f"http://127.0.0.1:{port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REGULARS_")}
        self.environ = kept | {
            "REGULARS_DATA_DIR": str(data_dir),
            "REGULARS_PORT": str(port),
            "REGULARS_SECRET_KEY": secrets.token_hex(32),
            "REGULARS_PUBLIC_URL": self.url,
        }
        self.till: dict[str, str] = {}
        self.manager: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def set_up(self) -> str:
        """Make the shop and its till's key, and return the token of the manager's invitation."""
        self.run(
            "init", "--programme", "Bank", "--zone", "Europe/London", "--currency", "GBP", "--per-minor", "100",
            "--expiry-days", "365", "--store-code", "high", "--store-name", "High Street", "--admin", "boss",
            "--admin-name", "Bo",
        )  # fmt: skip
        key = re.search(r"regulars_\S+", self.run("keys", "create", "--name", "Till"))
        invited = self.run("staff", "invite", "max", "--name", "Max", "--role", "manager", "--store", "high")
        token = re.search(r"#(\S+)", invited)
        assert key, "no key was printed"
        assert token, "no invitation was printed"
        self.till = {"Authorization": f"Bearer {key[0]}"}
        return token[1]

    def run(self, *arguments: str) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run([REGULARS, *arguments], env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"regulars {arguments[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    async def start(self) -> None:
        """Start the service and wait until it is ready."""
        self._process = self._spawn()
        deadline = time.monotonic() + READY_SECONDS_MAX
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            while not await _is_ready(client):
                assert self._process.poll() is None, f"the service ended; see {self.data_dir}/service.log"
                assert time.monotonic() < deadline, "the service takes too long to start"
                await asyncio.sleep(POLL_SECONDS)

    async def sign_in(self, client: httpx.AsyncClient, invitation: str) -> None:
        """Let the manager choose a password and sign in."""
        body: dict[str, Any] = {"token": invitation, "new_password": PASSWORD}
        (await client.post("/v1/staff/invitations/accept", json=body)).raise_for_status()
        answer = await client.post("/v1/staff/sessions", json={"login": "max", "password": PASSWORD})
        self.manager = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}

    def kill(self) -> None:
        """End the service by SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the service as its owner would, if it runs."""
        if self._process is not None:
            self._end(signal.SIGTERM)

    def kill_database(self) -> None:
        """End the PostgreSQL of the service by SIGKILL."""
        pid_file = self.data_dir / "postgres" / "data" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

    @property
    def dsn(self) -> str:
        """The database's address while the service runs."""
        dsn = find_running(self.data_dir)
        assert dsn is not None
        return dsn

    def _spawn(self) -> subprocess.Popen[bytes]:
        with (self.data_dir / "service.log").open("ab") as log:
            return subprocess.Popen([REGULARS, "serve"], env=self.environ, stdout=log, stderr=log)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()
        self._process = None


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False
