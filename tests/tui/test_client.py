"""The client: every way a call can end, and one key through all tries of a command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from shared.problems import Code
from shared.staff import RegisterCustomer
from tests.tui.fake import PASSWORD, FakeService, Refusal, make_customer
from tui.client import Client, new_key
from tui.errors import AnswerNotUnderstood, ConsoleError, NoAnswer, Refused, ServiceNotStarted, SignedOut, Unreachable
from tui.transport import embedded, over_network
from tui.wording import sentence

FORM = RegisterCustomer(given_name="Ann", email="ann@example.com")


@asynccontextmanager
async def a_client(service: FakeService, *, answer_seconds: float = 5.0) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://localhost") as http:
        client = Client(http, answer_seconds=answer_seconds)
        await client.sign_in("manager", PASSWORD, terminal="Till 2")
        yield client


class Raising(httpx.AsyncBaseTransport):
    """Fails each request with the next error; answers with a status once there are none left."""

    def __init__(self, *errors: Exception, status: int = 200, content: bytes = b"{}") -> None:
        self.errors = list(errors)
        self.keys: list[str] = []
        self.status, self.content = status, content

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        if self.errors:
            raise self.errors.pop(0)
        return httpx.Response(self.status, content=self.content)


def client_over(transport: httpx.AsyncBaseTransport) -> Client:
    return Client(httpx.AsyncClient(transport=transport, base_url="http://shop.test"))


async def test_the_session_goes_with_every_call_and_is_dropped_on_signing_out() -> None:
    service = FakeService(make_customer(1, "Ben"))
    async with a_client(service) as client:
        assert (await client.search("ben")).items[0].name == "Ben"
        await client.sign_out()
        assert not client.is_signed_in
        with pytest.raises(SignedOut):
            await client.search("ben")


async def test_a_refusal_carries_the_services_problem() -> None:
    service = FakeService(make_customer(1, "Ben", email="ann@example.com"))
    async with a_client(service) as client:
        with pytest.raises(Refused) as caught:
            await client.register(FORM, key=new_key())
    assert caught.value.problem.code is Code.DUPLICATE_CONTACT
    assert caught.value.problem.data["customer_id"] == str(service.customers[0].id)


async def test_a_refused_sign_in_leaves_nobody_signed_in() -> None:
    service = FakeService()
    async with a_client(service) as client:
        with pytest.raises(Refused):
            await client.sign_in("manager", "wrong", terminal="")
        assert not client.is_signed_in


async def test_a_command_whose_answer_was_lost_is_asked_for_again_with_the_same_key() -> None:
    service = FakeService()
    service.after["register_customer"] = [httpx.ReadError("the line went dead")]
    async with a_client(service) as client:
        answer = await client.register(FORM, key=(key := new_key()))
    assert service.keys == [key, key]
    assert [customer.id for customer in service.customers] == [answer.id]


async def test_no_connection_at_all_is_known_not_to_have_saved_anything() -> None:
    transport = Raising(*(httpx.ConnectError("refused") for _ in range(3)))
    with pytest.raises(Unreachable) as caught:
        await client_over(transport).register(FORM, key=new_key())
    assert not caught.value.maybe_done
    assert len(set(transport.keys)) == 1


async def test_a_connection_that_breaks_after_sending_leaves_the_outcome_open() -> None:
    transport = Raising(httpx.ReadError("broken"), httpx.ConnectError("refused"), httpx.ConnectError("refused"))
    with pytest.raises(Unreachable) as caught:
        await client_over(transport).register(FORM, key=new_key())
    assert caught.value.maybe_done
    assert "cannot be saved twice" in sentence(caught.value)


async def test_a_preview_whose_answer_is_lost_leaves_nothing_open() -> None:
    for lost in (httpx.ReadError("broken"), TimeoutError()):
        with pytest.raises((Unreachable, NoAnswer)) as caught:
            await client_over(Raising(lost)).preview_programme_closing(uuid4())
        assert "saved" not in sentence(caught.value)
    with pytest.raises(Unreachable) as caught:
        await client_over(Raising(httpx.ReadError("broken"))).invite(uuid4())
    assert sentence(caught.value, in_form=False).endswith("F5 shows how it stands."), "there is no Ctrl+S"


async def test_a_read_is_sent_once() -> None:
    transport = Raising(httpx.ReadError("broken"))
    with pytest.raises(Unreachable):
        await client_over(transport).search("ben")
    assert len(transport.keys) == 1


async def test_a_silent_service_is_given_up_in_time() -> None:
    service = FakeService(make_customer(1, "Ben"))
    service.held["search_customers"] = asyncio.Event()
    service.held["register_customer"] = asyncio.Event()
    async with a_client(service, answer_seconds=0.05) as client:
        with pytest.raises(NoAnswer) as reading:
            await client.search("ben")
        with pytest.raises(NoAnswer) as saving:
            await client.register(FORM, key=new_key())
    assert not reading.value.maybe_done
    assert saving.value.maybe_done
    assert service.count("register_customer") == 1, "a person decides whether to ask a silent service again"


async def test_over_the_network_the_client_alone_says_how_long_an_answer_may_take() -> None:
    async with over_network("http://127.0.0.1:8700") as http:
        assert (http.timeout.read, http.timeout.write, http.timeout.pool) == (None, None, None)
        assert http.timeout.connect is not None


@pytest.mark.parametrize(
    ("status", "content"), [(502, b"<html>bad gateway</html>"), (200, b"<html>hello</html>"), (404, b"")]
)
async def test_an_answer_that_is_not_ours_says_so(status: int, content: bytes) -> None:
    with pytest.raises(AnswerNotUnderstood) as caught:
        await client_over(Raising(status=status, content=content)).search("ben")
    assert str(status) in sentence(caught.value)


async def test_a_code_of_a_newer_service_is_still_a_refusal() -> None:
    content = b'{"type":"urn:x","title":"Full moon.","status":409,"code":"FULL_MOON","detail":"Come back tomorrow."}'
    with pytest.raises(Refused) as caught:
        await client_over(Raising(status=409, content=content)).search("ben")
    assert sentence(caught.value) == "Come back tomorrow."


@pytest.mark.parametrize("code", list(Code))
def test_every_refusal_is_a_sentence(code: Code) -> None:
    words = sentence(Refused(Refusal(code).problem, retry_after_seconds=7))
    assert words.endswith(("Wait 7 s.", "."))


@pytest.mark.parametrize(
    "error", [Unreachable(), Unreachable(maybe_done=True), NoAnswer(), AnswerNotUnderstood(status=500)]
)
def test_every_failure_is_a_sentence(error: ConsoleError) -> None:
    assert sentence(error).endswith((".", "?"))


async def test_an_application_that_cannot_start_says_why() -> None:
    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise RuntimeError("no database")

    with pytest.raises(ServiceNotStarted, match="no database"):
        async with embedded(application):
            raise AssertionError("it must not be entered")


async def test_an_application_that_dies_while_starting_is_not_waited_for() -> None:
    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        raise RuntimeError("broken")

    with pytest.raises(ServiceNotStarted):
        async with embedded(application):
            raise AssertionError("it must not be entered")
