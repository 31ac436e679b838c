"""What holds for every route: the cap, broken requests, failures on demand, the log, the page, and restarts."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import requests
from mailchimp_marketing import Client
from mailchimp_marketing.api_client import ApiClientError

from tests.standins.mailchimp import MailchimpStandIn, NotInTime, Settings, StandInRefused, StateFileBroken
from tests.test_standins.builders import LIST_ID, Refused, md5, put, sdk_client

ANA = "ana@shop.test"
MEMBER = f"/lists/{LIST_ID}/members/{md5(ANA)}"


@pytest.fixture
def http(mailchimp: MailchimpStandIn) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mailchimp.api_url, auth=("user", mailchimp.api_key), trust_env=False) as client:
        yield client


# Requests that no SDK sends.


def test_a_request_without_a_key_is_401_and_a_problem(mailchimp: MailchimpStandIn) -> None:
    answer = httpx.get(mailchimp.api_url + "/ping", trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_broken_json_is_400(http: httpx.Client) -> None:
    for content in ("{", '{"email_address": NaN}', "", "[]", '"text"'):
        answer = http.put(MEMBER, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, content


def test_a_body_that_is_not_json_is_415(http: httpx.Client) -> None:
    assert http.put(MEMBER, data={"email_address": ANA}).status_code == 415


def test_a_wrong_method_is_405_and_an_unknown_path_404(http: httpx.Client) -> None:
    assert http.post("/ping", json={}).status_code == 405
    assert http.patch(f"/lists/{LIST_ID}/members", json={}).status_code == 405
    assert http.get("/lists/nothing/here").status_code == 404
    assert http.get("/automations").status_code == 404


def test_a_body_without_a_length_or_too_large_is_refused(mailchimp: MailchimpStandIn) -> None:
    with socket.create_connection(("127.0.0.1", int(mailchimp.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(b"PUT /3.0/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


# The cap.


def test_the_eleventh_request_at_once_is_429_without_a_body(mailchimp: MailchimpStandIn, http: httpx.Client) -> None:
    mailchimp.fail_next("slow", count=10, seconds=30)
    with ThreadPoolExecutor(10) as pool, httpx.Client(trust_env=False) as others:
        for _ in range(10):
            pool.submit(_give_up_when_closed, others, mailchimp.api_url + "/ping")
        mailchimp.wait_for_requests(10)
        answer = http.get("/ping")
        assert (answer.status_code, answer.content) == (429, b"")
        assert "Retry-After" not in answer.headers
        mailchimp.stop()
    mailchimp.start()
    assert sdk_client(mailchimp).ping.get()["health_status"]


def _give_up_when_closed(client: httpx.Client, url: str) -> None:
    with pytest.raises(httpx.HTTPError):
        client.get(url, timeout=60)


def test_ten_at_once_are_served_and_counted(mailchimp: MailchimpStandIn, client: Client) -> None:
    # They are sent at once, but a busy machine may need a while until the last one has come.
    for seconds in (0.3, 3, 15):
        mailchimp.fail_next("slow", count=10, seconds=seconds)
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: client.ping.get(), range(10)))
        assert all("health_status" in answer for answer in answers)
        if mailchimp.summary().in_flight_max == 10:
            return
    raise AssertionError(f"never more than {mailchimp.summary().in_flight_max} at once")


# Failures on demand.


def test_a_failure_takes_the_next_matching_requests_only(mailchimp: MailchimpStandIn, client: Client) -> None:
    mailchimp.fail_next("problem", method="PUT", path="/members/", status=503, count=2)
    assert client.ping.get()["health_status"]
    for _ in range(2):
        with pytest.raises(ApiClientError) as caught:
            put(client, ANA)
        assert caught.value.status_code == 503
    assert put(client, ANA)["email_address"] == ANA


def test_failures_can_be_lifted(mailchimp: MailchimpStandIn, client: Client) -> None:
    mailchimp.fail_next("problem", count=1000)
    assert mailchimp.summary().failures_left == 1000
    mailchimp.clear_failures()
    assert client.ping.get()["health_status"]


def test_the_kinds_of_bodies(mailchimp: MailchimpStandIn, http: httpx.Client) -> None:
    mailchimp.fail_next("empty", status=500)
    answer = http.get("/ping")
    assert (answer.status_code, answer.content, "Content-Type" in answer.headers) == (500, b"", False)
    mailchimp.fail_next("html", status=502)
    answer = http.get("/ping")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    mailchimp.fail_next("broken_json", status=500)
    answer = http.get("/ping")
    assert answer.headers["Content-Type"].startswith("application/json")
    with pytest.raises(ValueError, match="Expecting"):
        answer.json()


def test_the_stock_sdk_takes_an_empty_500_for_success(mailchimp: MailchimpStandIn, client: Client) -> None:
    mailchimp.fail_next("empty", status=500)
    # This is why the product replaces the SDK's transport.
    assert isinstance(client.ping.get(), requests.Response)


def test_a_closed_connection_did_nothing(mailchimp: MailchimpStandIn, client: Client) -> None:
    mailchimp.fail_next("close", method="PUT")
    with pytest.raises(ApiClientError) as caught:
        put(client, ANA)
    assert isinstance(caught.value.text, requests.ConnectionError)
    assert mailchimp.contacts() == []
    assert mailchimp.requests(method="PUT")[0].status == 0


def test_a_dropped_answer_had_its_effect(mailchimp: MailchimpStandIn, client: Client) -> None:
    mailchimp.fail_next("drop_answer", method="PUT")
    with pytest.raises(ApiClientError):
        put(client, ANA)
    assert mailchimp.contact(ANA).status == "transactional"


def test_a_request_that_is_never_answered_ends_with_the_clients_patience(mailchimp: MailchimpStandIn) -> None:
    mailchimp.fail_next("never", method="PUT")
    client = sdk_client(mailchimp)
    client.set_config({"api_key": mailchimp.api_key, "timeout": 0.2})
    with pytest.raises(ApiClientError) as caught:
        put(client, ANA)
    assert isinstance(caught.value.text, requests.ReadTimeout)
    mailchimp.wait_until(lambda: [one.status for one in mailchimp.requests(method="PUT")] == [0])
    assert mailchimp.contacts() == []


def test_a_slow_request_has_its_effect_although_the_client_gave_up(mailchimp: MailchimpStandIn) -> None:
    mailchimp.fail_next("slow", method="PUT", seconds=20)
    client = sdk_client(mailchimp)
    client.set_config({"api_key": mailchimp.api_key, "timeout": 0.2})
    with pytest.raises(ApiClientError):
        put(client, ANA)
    mailchimp.wait_for_contact(ANA)


def test_a_slow_request_is_answered_late(mailchimp: MailchimpStandIn, client: Client) -> None:
    mailchimp.fail_next("slow", seconds=0.3)
    began_at = time.monotonic()
    assert client.ping.get()["health_status"]
    assert time.monotonic() - began_at >= 0.3


def test_a_failure_that_makes_no_sense_is_refused(mailchimp: MailchimpStandIn) -> None:
    with pytest.raises(StandInRefused, match="regular expression"):
        mailchimp.fail_next("close", path="(")
    with pytest.raises(StandInRefused, match="one request"):
        mailchimp.fail_next("close", count=0)
    with pytest.raises(StandInRefused):
        mailchimp.fail_next("explode")  # type: ignore[arg-type]


# Looking in.


def test_the_log_tells_what_came_and_what_was_answered(mailchimp: MailchimpStandIn, client: Client) -> None:
    put(client, ANA, skip=True)
    logged = mailchimp.requests()[0]
    assert (logged.method, logged.path, logged.status) == ("PUT", MEMBER, 200)
    assert logged.query == {"skip_merge_validation": "True"}
    assert logged.body == {"email_address": ANA, "status_if_new": "transactional"}
    mailchimp.clear_requests()
    assert mailchimp.requests() == []


def test_the_log_tells_connections_apart(mailchimp: MailchimpStandIn, http: httpx.Client) -> None:
    for _ in range(3):
        http.get("/ping")
    httpx.get(mailchimp.api_url + "/ping", trust_env=False)
    assert len({logged.connection for logged in mailchimp.requests()[:3]}) == 1
    assert len({logged.connection for logged in mailchimp.requests()}) == 2


def test_the_log_keeps_the_last_ten_thousand() -> None:
    from datetime import UTC, datetime

    from tests.standins.mailchimp.service import HttpRequest, RequestLog

    log = RequestLog()
    request = HttpRequest(
        method="GET", path="", query="", authorization="", content_type="", accept="", body=b"", connection=1
    )
    for _ in range(10_001):
        number = log.begin(request, path="/ping", at=datetime.now(UTC))
    log.end(1, 200)
    log.end(number, 200)
    assert (len(log.all()), log.all()[0].number, log.all()[-1].status) == (10_000, 2, 200)


def test_waiting_in_vain_says_what_was_there(mailchimp: MailchimpStandIn, client: Client) -> None:
    put(client, ANA)
    with pytest.raises(NotInTime, match=ANA):
        mailchimp.wait_for_contact(ANA, lambda contact: contact.status == "subscribed", timeout_s=0.1)


def test_the_contacts_page_shows_points_and_escapes_everything(mailchimp: MailchimpStandIn, client: Client) -> None:
    for tag, kind in (("POINTS", "number"), ("CARDNO", "text")):
        client.lists.add_list_merge_field(LIST_ID, {"tag": tag, "name": tag, "type": kind})
    put(client, ANA, merge_fields={"POINTS": 1250, "CARDNO": "0042", "FNAME": "<script>alert(1)</script>"})
    answer = httpx.get(mailchimp.url, headers={"Accept": "text/html"}, follow_redirects=True, trust_env=False)
    assert answer.url.path == "/_control/contacts"
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for text in (ANA, "1250", "0042", "&lt;script&gt;"):
        assert text in answer.text
    assert "<script" not in answer.text


def test_control_takes_no_form_from_a_browser(mailchimp: MailchimpStandIn) -> None:
    answer = httpx.post(mailchimp.url + "/_control/reset", data={"a": "b"}, trust_env=False)
    assert answer.status_code == 415


def test_reset_forgets_everything(mailchimp: MailchimpStandIn, client: Client) -> None:
    put(client, ANA)
    mailchimp.fail_next("close")
    mailchimp.reset()
    assert (mailchimp.contacts(), mailchimp.requests(), mailchimp.summary().failures_left) == ([], [], 0)


# Restarts.


def test_state_survives_a_restart_on_the_same_address(tmp_path: Path, refused: Refused) -> None:
    settings = Settings(state_file=tmp_path / "state" / "mailchimp.json")
    with MailchimpStandIn(settings) as standin:
        client = sdk_client(standin)
        client.lists.add_list_merge_field(LIST_ID, {"tag": "POINTS", "name": "Points", "type": "number"})
        put(client, ANA, status="subscribed", merge_fields={"POINTS": 5})
        put(client, "ben@shop.test")
        client.lists.update_list_member_tags(LIST_ID, md5(ANA), {"tags": [{"name": "Gold", "status": "active"}]})
        client.lists.delete_list_member_permanent(LIST_ID, md5("ben@shop.test"))
        before, url = standin.contacts(), standin.url
        standin.stop()
        with pytest.raises(ApiClientError):
            client.ping.get()
        standin.start()
        assert (standin.url, standin.contacts()) == (url, before)
        assert "POINTS" in standin.merge_fields()
        assert refused(put, client, "ben@shop.test")["title"] == "Forgotten Email Not Subscribed"


def test_a_broken_state_file_is_named(tmp_path: Path) -> None:
    state_file = tmp_path / "state.json"
    state_file.write_text('{"audiences": 3}')
    with pytest.raises(StateFileBroken, match=r"state\.json"):
        MailchimpStandIn(Settings(state_file=state_file))


def test_a_taken_port_is_an_error(mailchimp: MailchimpStandIn) -> None:
    with pytest.raises(OSError, match="in use"):
        MailchimpStandIn(port=int(mailchimp.url.rpartition(":")[2]))
