"""The stand-in of each test, and the official SDK pointed at it."""

import json
from collections.abc import Callable, Iterator

import pytest
from mailchimp_marketing import Client
from mailchimp_marketing.api_client import ApiClientError

from tests.standins.mailchimp import MailchimpStandIn
from tests.test_standins.builders import Clock, Refused, sdk_client


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    # The stock SDK obeys http_proxy even for loopback.
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mailchimp(clock: Clock) -> Iterator[MailchimpStandIn]:
    with MailchimpStandIn(now=clock) as standin:
        yield standin


@pytest.fixture
def client(mailchimp: MailchimpStandIn) -> Client:
    return sdk_client(mailchimp)


@pytest.fixture
def refused() -> Refused:
    """Make a call that must be refused, and return the problem document of the refusal."""

    def call(function: Callable[..., object], *arguments: object, **named: object) -> dict[str, object]:
        with pytest.raises(ApiClientError) as caught:
            function(*arguments, **named)
        # The SDK leaves a problem document undecoded, because of its content type.
        assert isinstance(caught.value.text, str), caught.value.text
        problem: dict[str, object] = json.loads(caught.value.text)
        assert problem["status"] == caught.value.status_code
        return problem

    return call
