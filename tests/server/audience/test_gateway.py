"""The transport under the SDK, and what may name a host."""

import pytest

from server.audience.gateway import Mailchimp, MailchimpMisconfigured, MailchimpRefused, api_host
from server.audience.rules import BULK_CONTACTS_MAX, Desired, Verdict, judge
from server.settings import Settings
from tests.server.audience.builders import shop_settings
from tests.standins.mailchimp import MailchimpStandIn

KEY = "0123456789abcdef0123456789abcdef-us21"


@pytest.fixture
def gateway(mailchimp: MailchimpStandIn) -> Mailchimp:
    return Mailchimp(shop_settings("postgresql://x/y", mailchimp), connect_seconds=30, read_seconds=30)


def contact(email: str = "ana@shop.test", **values: str | int) -> Desired:
    return Desired(email=email, values=dict(values), status_if_new="subscribed")


def test_the_host_is_the_data_centres_own() -> None:
    assert api_host(Settings(mailchimp_api_key=KEY)) == "https://us21.api.mailchimp.com/3.0"


@pytest.mark.parametrize("key", ["", "abc-us21", KEY[:-5] + "-evil.example/", KEY[:-5], KEY + "\n", KEY + "-us1"])
def test_a_key_that_is_not_of_mailchimps_form_reaches_no_host(key: str) -> None:
    with pytest.raises(MailchimpMisconfigured) as caught:
        api_host(Settings(mailchimp_api_key=key))
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("server", ["us21.evil.example/", "server", "us21/x", "@evil"])
def test_a_data_centre_that_is_none_reaches_no_host(server: str) -> None:
    with pytest.raises(MailchimpMisconfigured):
        api_host(Settings(mailchimp_api_key=KEY, mailchimp_server=server))


async def test_the_word_server_in_an_address_is_left_alone(gateway: Mailchimp, mailchimp: MailchimpStandIn) -> None:
    await gateway.put_contact(contact("observer@server.test"))

    assert mailchimp.contact("observer@server.test").status == "subscribed"


async def test_calls_share_a_connection_and_pass_by_the_machines_proxy(
    gateway: Mailchimp, mailchimp: MailchimpStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for _ in range(5):
        await gateway.read_contact("ana@shop.test")

    assert len({one.connection for one in mailchimp.requests()}) == 1


@pytest.mark.parametrize(
    ("kind", "status", "verdict"),
    [
        ("empty", 429, Verdict.OUTAGE), ("empty", 500, Verdict.OUTAGE), ("broken_json", 500, Verdict.OUTAGE),
        ("html", 502, Verdict.OUTAGE), ("html", 403, Verdict.OUTAGE), ("html", 200, Verdict.OUTAGE),
        ("empty", 200, Verdict.OUTAGE), ("html", 400, Verdict.OUTAGE), ("empty", 307, Verdict.OUTAGE),
        ("problem", 500, Verdict.SERVER_ERROR), ("problem", 403, Verdict.CONFIGURATION), ("problem", 400, Verdict.PARK),
        ("close", 0, Verdict.OUTAGE),
    ],
)  # fmt: skip
async def test_what_is_not_a_success_is_raised_and_judged(
    gateway: Mailchimp, mailchimp: MailchimpStandIn, kind: str, status: int, verdict: Verdict
) -> None:
    mailchimp.fail_next(kind, status=status or 500)  # type: ignore[arg-type]

    with pytest.raises(MailchimpRefused) as caught:
        await gateway.put_contact(contact())
    assert judge(caught.value.refusal) is verdict
    assert KEY not in str(caught.value)


async def test_a_timeout_says_so(mailchimp: MailchimpStandIn) -> None:
    mailchimp.fail_next("never")
    hasty = Mailchimp(shop_settings("postgresql://x/y", mailchimp), connect_seconds=30, read_seconds=0.3)
    with pytest.raises(MailchimpRefused) as caught:
        await hasty.read_contact("ana@shop.test")

    assert (caught.value.refusal.status, caught.value.refusal.is_timeout) == (None, True)


async def test_what_cannot_be_encoded_is_our_fault_and_not_tried_again(gateway: Mailchimp) -> None:
    with pytest.raises(MailchimpRefused) as caught:
        await gateway.put_contact(contact(POINTS=float("nan")))  # type: ignore[arg-type]

    assert judge(caught.value.refusal) is Verdict.PARK


async def test_addresses_that_a_bulk_call_does_not_confirm_are_not_in_its_result(
    gateway: Mailchimp, mailchimp: MailchimpStandIn
) -> None:
    mailchimp.refuse_address("no@shop.test", "fake")
    written = await gateway.push_many([contact("Yes@Shop.test"), contact("no@shop.test")])

    assert [remote.email for remote in written.values()] == ["Yes@Shop.test"]


async def test_a_bulk_call_takes_five_hundred(gateway: Mailchimp, mailchimp: MailchimpStandIn) -> None:
    written = await gateway.push_many([contact(f"m{number}@shop.test") for number in range(BULK_CONTACTS_MAX)])

    assert len(written) == len(mailchimp.contacts()) == BULK_CONTACTS_MAX


async def test_archiving_twice_or_a_stranger_is_no_error(gateway: Mailchimp, mailchimp: MailchimpStandIn) -> None:
    await gateway.put_contact(contact())
    for _ in range(2):
        await gateway.archive_contact("ana@shop.test")
    await gateway.archive_contact("nobody@shop.test")

    assert mailchimp.contact("ana@shop.test").status == "archived"


async def test_tags_are_set_and_removed_without_starting_automations(
    gateway: Mailchimp, mailchimp: MailchimpStandIn
) -> None:
    await gateway.put_contact(contact())
    await gateway.set_tags("ana@shop.test", {"gold": True, "silver": True})
    await gateway.set_tags("ana@shop.test", {"silver": False})

    assert mailchimp.contact("ana@shop.test").tags == ("gold",)
    bodies = [one.body for one in mailchimp.requests(path_part="/tags")]
    assert all(isinstance(body, dict) and body["is_syncing"] is True for body in bodies)


async def test_paths_name_a_contact_by_its_hash_only(gateway: Mailchimp, mailchimp: MailchimpStandIn) -> None:
    await gateway.put_contact(contact("a/../b@shop.test"))
    await gateway.rename_contact("a/../b@shop.test", "c@shop.test")

    assert not [one.path for one in mailchimp.requests() if "@" in one.path or ".." in one.path]
