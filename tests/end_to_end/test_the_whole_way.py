"""From `scripts/serve` on an empty folder to points in Mailchimp, over real HTTP, and down again."""

import signal
import sys
from datetime import UTC, datetime

import httpx
import pytest

from tests.end_to_end.conftest import Service, is_alive, token_mailed_to, wait_for

EMAIL = "zoe.newcomer@example.com"
PASSWORD = "seven-lanterns-drift-42"
# Two seconds are asked for, and kept on a machine with nothing else to do; one that runs all tests at once gets more.
SECOND_START_SECONDS_MAX = 30.0

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"), pytest.mark.timeout(300)]


def test_a_newcomer_signs_up_buys_and_shows_up_in_mailchimp_and_all_stops_at_sigterm(service: Service) -> None:
    service.start()
    headers = _sign_up(service)
    card_number = str(service.membership(headers)["card_number"])
    picture = service.http.get("/v1/me/card.svg", headers=headers)
    sold_at = datetime.now(UTC)
    sale, again = (_sell(service, card_number, "till-receipt-000001", 1210, at=sold_at) for _ in range(2))

    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert sale.status_code == 201, sale.text
    assert sale.json()["points"] == 12
    assert again.json() == sale.json()
    assert service.membership(headers)["balance"]["available"] == 12  # type: ignore[index]
    wait_for(lambda: _points_in_mailchimp(service) == 12, "the points at Mailchimp")
    checked = service.run("verify", "--demo")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "all balances are right" in checked.stdout

    _check_that_sigterm_stops_everything(service)


def test_a_kill_loses_nothing_and_the_next_start_is_quick(service: Service) -> None:
    first_seconds = service.start()
    card_number = str(service.membership(service.sign_in_demo_member())["card_number"])
    secrets = service.secrets
    before = service.membership(service.sign_in_demo_member())["balance"]["available"]  # type: ignore[index]
    assert _sell(service, card_number, "till-receipt-000002", 5000, at=datetime.now(UTC)).json()["points"] == 50
    postgres, standin = service.postgres_pid, service.standin_url

    service.end(signal.SIGKILL)
    wait_for(lambda: not is_alive(postgres), "PostgreSQL to notice the end of its service")
    wait_for(lambda: not _answers(standin), "the stand-in to notice it")
    seconds = service.start()

    assert "Filling" not in service.printed
    assert service.secrets == secrets
    after = service.membership(service.sign_in_demo_member())["balance"]["available"]  # type: ignore[index]
    assert after == before + 50
    assert service.run("verify", "--demo").returncode == 0
    assert seconds < max(SECOND_START_SECONDS_MAX, first_seconds)


def _sign_up(service: Service) -> dict[str, str]:
    form = {
        "email": EMAIL,
        "password": PASSWORD,
        "given_name": "Zoë",
        "family_name": "O’Newcomer",
        "consents": {"email": True, "sms": False},
    }
    assert service.http.post("/v1/signup", json=form).status_code == 202
    confirmed = service.http.post(
        "/v1/signup/confirm", json={"token": token_mailed_to(EMAIL, service.data_dir / "mail")}
    )
    assert confirmed.status_code == 201, confirmed.text
    return service.sign_in(EMAIL, PASSWORD)


def _sell(service: Service, card_number: str, external_id: str, net_minor: int, *, at: datetime) -> httpx.Response:
    order = {
        "external_id": external_id,
        "number": external_id[-6:],
        "store": "high-street",
        "completed_at": at.isoformat(),
        "currency": "GBP",
        "customer": {"card_number": card_number},
        "lines": [{"line_id": "1", "description": "Sourdough loaf", "net_minor": net_minor}],
    }
    headers = service.till | {"Idempotency-Key": f"key-of-{external_id}"}
    return service.http.post("/v1/pos/orders", json=order, headers=headers)


def _points_in_mailchimp(service: Service) -> object:
    contact = service.contact_at_mailchimp(EMAIL) or {"merge_fields": {}}
    return contact["merge_fields"].get("POINTS")  # type: ignore[attr-defined]


def _check_that_sigterm_stops_everything(service: Service) -> None:
    postgres, standin = service.postgres_pid, service.standin_url
    assert service.end(signal.SIGTERM) == 0
    assert not is_alive(postgres)
    wait_for(lambda: not _answers(standin), "the stand-in to end")
    assert not _answers(f"http://127.0.0.1:{service.port}")


def _answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=5)
    except httpx.TransportError:
        return False
    return True
