"""Two services and two workers on one external PostgreSQL: any of them may answer, each thing happens once."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from scripts.ports import find_free_port
from tests.end_to_end.conftest import token_mailed_to
from tests.standins.mailchimp import MailchimpStandIn

REGULARS = str(Path(sys.executable).with_name("regulars"))
PASSWORD = "wandering-teapot-71-gulls"


class Fleet:
    """Processes that share settings and a database."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        self._processes: list[subprocess.Popen[bytes]] = []
        self._clients: list[httpx.Client] = []

    def run(self, *arguments: str) -> str:
        done = subprocess.run([REGULARS, *arguments], env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *arguments: str, **environ: str) -> None:
        self._processes.append(subprocess.Popen([REGULARS, *arguments], env=self.environ | environ))

    def serve(self) -> httpx.Client:
        """Start a service without a worker and return a client of it once it is ready."""
        port = find_free_port()
        self.start("serve", REGULARS_PORT=str(port), REGULARS_RUN_WORKER="false")
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        self._clients.append(client)
        deadline = time.monotonic() + 90
        while True:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/health/ready").status_code == 200:
                    return client
            assert time.monotonic() < deadline, "the service did not become ready"
            time.sleep(0.05)

    def stop(self) -> list[int]:
        for client in self._clients:
            client.close()
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(timeout=40) for process in self._processes]


pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def mailchimp() -> Iterator[MailchimpStandIn]:
    with MailchimpStandIn() as standin:
        yield standin


@pytest.fixture
def fleet(database_url: str, data_dir: Path, mailchimp: MailchimpStandIn) -> Iterator[Fleet]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("REGULARS_")}
    fleet = Fleet(
        environ
        | {
            "REGULARS_DATABASE_URL": database_url,
            "REGULARS_DATA_DIR": str(data_dir),
            "REGULARS_SECRET_KEY": secrets.token_hex(32),
            "REGULARS_PUBLIC_URL": "http://127.0.0.1:8700",
            "REGULARS_AUDIENCE": "mailchimp",
            "REGULARS_MAILCHIMP_API_KEY": mailchimp.api_key,
            "REGULARS_MAILCHIMP_LIST_ID": mailchimp.list_id,
            "REGULARS_MAILCHIMP_BASE_URL": mailchimp.url,
        }
    )
    try:
        yield fleet
    finally:
        fleet.stop()


def set_up(fleet: Fleet) -> dict[str, str]:
    fleet.run(
        "init", "--programme", "Club", "--zone", "Europe/London", "--currency", "GBP", "--per-minor", "100",
        "--expiry-days", "365", "--store-code", "high", "--store-name", "High Street", "--admin", "boss", "--admin-name", "Bo",
    )  # fmt: skip
    printed = fleet.run("keys", "create", "--name", "Till")
    key = next(word for word in printed.split() if word.startswith("regulars_"))
    return {"Authorization": f"Bearer {key}"}


def sale(number: int, card: str) -> dict[str, object]:
    return {
        "external_id": f"sale-{number}",
        "number": f"R-{number}",
        "store": "high",
        "completed_at": datetime.now(UTC).isoformat(),
        "currency": "GBP",
        "customer": {"card_number": card},
        "lines": [{"line_id": "1", "quantity": 1, "net_minor": 500}],
    }


def join(client: httpx.Client, mail_folder: Path, email: str) -> dict[str, str]:
    """Sign a member up through one service and return what the confirmation says; the mail comes from a worker."""
    form = {"email": email, "password": PASSWORD, "given_name": "Ana", "consents": {"email": True, "sms": False}}
    assert client.post("/v1/signup", json=form).status_code == 202
    token = token_mailed_to(email, mail_folder)
    answer = client.post("/v1/signup/confirm", json={"token": token})
    assert answer.status_code == 201, answer.text
    confirmed: dict[str, str] = answer.json()
    return confirmed


def test_any_process_may_answer_and_each_thing_happens_once(
    fleet: Fleet, data_dir: Path, mailchimp: MailchimpStandIn
) -> None:
    till = set_up(fleet)
    first, second = fleet.serve(), fleet.serve()
    fleet.start("worker")
    fleet.start("worker")
    member = join(first, data_dir / "mail", "ana@example.com")
    # Every sale goes to both services at once, under a key of its own each time, as two impatient tills would.
    bodies = [sale(number, member["card_number"]) for number in range(40)]

    def send(job: tuple[httpx.Client, dict[str, object]]) -> tuple[int, str]:
        client, body = job
        headers = till | {"Idempotency-Key": secrets.token_hex(16)}
        answer = client.post("/v1/pos/orders", json=body, headers=headers)
        return answer.status_code, answer.json().get("order_id")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, [(client, body) for body in bodies for client in (first, second)]))
    assert {status for status, _ in answers} == {201}
    assert len({order_id for _, order_id in answers}) == len(bodies)
    # A session opened at one service is good at the other.
    tokens = first.post("/v1/sessions", json={"email": "ana@example.com", "password": PASSWORD}).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    (membership,) = second.get("/v1/me/memberships", headers=headers).json()["items"]
    assert membership["balance"]["available"] == 5 * len(bodies)
    mailchimp.wait_for_contact("ana@example.com", lambda one: one.merge_fields.get("POINTS") == 5 * len(bodies))
    assert "all balances are right" in fleet.run("verify")
    assert set(fleet.stop()) == {0}
