"""Jobs are run once their cause is committed, and none is lost: not by a stop, a kill, or a database that goes away."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from server import worker
from server.clock import SystemClock
from server.context import Tools, system_context
from server.db.engine import DB
from server.db.ids import new_id
from server.gauges import WorkGauges
from server.housekeeping import delete_outdated, requeue_stuck_mails
from server.messages.service import queue_mail
from tests.server.audience.builders import NOW, Shop, new_tools, shop_settings
from tests.standins.mailchimp import MailchimpStandIn

WAIT_SECONDS = 60.0


@pytest.fixture
async def shop(database_url: str, mailchimp: MailchimpStandIn, tmp_path: Path) -> AsyncIterator[Shop]:
    clock = SystemClock()
    tools = new_tools(shop_settings(database_url, mailchimp, mail_dir=tmp_path), clock)  # type: ignore[arg-type]
    await DB.open(database_url, size=8)
    try:
        shop = _RealTimeShop(tools, clock, mailchimp)  # type: ignore[arg-type]
        await shop.add_programme()
        yield shop
    finally:
        tools.passwords.close()
        await DB.close()


class _RealTimeShop(Shop):
    async def choose(self, *arguments: object, **named: object) -> None:  # type: ignore[override]
        await Shop.choose(_Still(self), *arguments, **named)  # type: ignore[arg-type]


class _Still:
    """A shop whose clock cannot be moved."""

    def __init__(self, shop: Shop) -> None:
        self.mark, self.clock = shop.mark, self
        self.advance = lambda _: None
        self.now = shop.tools.clock.now


@asynccontextmanager
async def running(tools: Tools) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run_worker(tools, stop))
    try:
        yield task
    finally:
        stop.set()
        await task


async def until(look: Callable[[], object], what: str) -> None:
    ends_at = time.monotonic() + WAIT_SECONDS
    while True:
        seen = look()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen:
            return
        assert time.monotonic() < ends_at, f"not in time: {what}"
        await asyncio.sleep(0.05)


async def jobs(entrypoint: str = "%") -> int:
    return int(str(await DB.fetch_value("select count(*) from pgqueuer where entrypoint like $1", entrypoint)))


async def queue_a_mail(shop: Shop) -> None:
    async with DB.transaction():
        await queue_mail(
            shop.ctx, to="ana@shop.test", template="password_changed", customer_id=None, parameters={"at": "2 March"}
        )


async def test_a_change_reaches_mailchimp_within_seconds_of_its_commit(shop: Shop) -> None:
    ana = await shop.add_customer(marked=False)
    async with running(shop.tools):
        await shop.in_transaction(lambda: _ensure(shop, ana))
        await until(shop.live, "the contact")
        await shop.set_points(ana, 77)
        await until(lambda: shop.live()[0].merge_fields["POINTS"] == 77, "the new balance")
        await until(_no_jobs, "the end of the jobs")


async def _ensure(shop: Shop, customer_id) -> None:
    from server.audience import marks

    await marks.ensure_contact(shop.ctx, customer_id=customer_id, email="ana@shop.test", email_key="ana@shop.test")


async def _no_jobs() -> bool:
    return await jobs() == 0


async def test_what_was_marked_while_no_worker_ran_is_pushed_without_its_wake_up(shop: Shop) -> None:
    await shop.add_customer()
    await DB.fetch("delete from pgqueuer")
    async with running(shop.tools):
        await until(shop.live, "the contact")


async def test_a_queued_mail_leaves(shop: Shop, tmp_path: Path) -> None:
    async with running(shop.tools):
        await queue_a_mail(shop)
        await until(lambda: list(tmp_path.glob("*.eml")), "the mail")
        await until(_no_jobs, "the end of the job")


async def test_a_worker_whose_database_went_away_goes_on_when_it_is_back(shop: Shop) -> None:
    ana = await shop.add_customer()
    async with running(shop.tools):
        await until(shop.live, "the contact")
        killed = await DB.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'regulars-worker' and datname = current_database()"
        )
        assert len(killed) == 1
        await shop.set_points(ana, 5)
        await until(lambda: shop.live()[0].merge_fields["POINTS"] == 5, "the push after the interruption")


async def test_a_mailchimp_that_asks_to_slow_down_is_tried_again_after_seconds(shop: Shop) -> None:
    shop.mailchimp.fail_next("empty", status=429)
    await shop.add_customer()
    async with running(shop.tools):
        await until(lambda: _is_paused(shop), "the pause")
        assert shop.live() == []
        await until(shop.live, "the contact")
        await until(lambda: _is_running(shop), "the end of the pause")


async def _is_paused(shop: Shop) -> bool:
    return (await shop.state())["paused_reason"] is not None


async def _is_running(shop: Shop) -> bool:
    return not await _is_paused(shop)


async def test_a_job_that_fails_is_tried_again_later_and_says_nothing_of_the_person() -> None:
    async def fail(_: bytes) -> None:
        raise ValueError("ana@shop.test")

    cut = asyncio.Event()
    with pytest.raises(worker.RetryRequested) as caught:
        await worker._run_job(fail, cut, _job(attempts=3))

    assert timedelta(seconds=8) <= caught.value.delay <= timedelta(seconds=16)
    assert (str(caught.value), caught.value.__cause__) == ("ValueError", None)


async def test_a_job_that_never_succeeds_is_given_up_in_the_end() -> None:
    async def fail(_: bytes) -> None:
        raise ValueError

    await worker._run_job(fail, asyncio.Event(), _job(attempts=worker.JOB_TRIES_MAX))


async def test_a_job_that_is_cut_off_goes_back_at_once() -> None:
    cut, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: bytes) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(worker._run_job(hang, cut, _job()))
    await asyncio.sleep(0)
    cut.set()
    with pytest.raises(worker.RetryRequested) as caught:
        await task

    assert caught.value.delay == timedelta(0)
    assert ended.is_set()


def _job(attempts: int = 0) -> worker.Job:
    now = NOW
    return worker.Job(
        id=1, priority=0, created=now, updated=now, heartbeat=now, execute_after=now, status="picked",
        entrypoint="x", payload=b"", attempts=attempts, queue_manager_id=None, headers=None,
    )  # type: ignore[call-arg, arg-type]  # fmt: skip


def test_retries_wait_twice_as_long_each_time_up_to_half_an_hour() -> None:
    waits = [worker.retry_delay(attempts, jitter=1).total_seconds() for attempts in (0, 1, 2, 9, 10, 50)]
    assert waits == [2, 4, 8, 1024, 1800, 1800]


async def test_a_worker_stops_within_seconds_though_mailchimp_never_answers(shop: Shop, tmp_path: Path) -> None:
    shop.mailchimp.fail_next("never", count=50)
    await shop.add_customer()
    async with running(shop.tools):
        await asyncio.to_thread(shop.mailchimp.wait_for_requests, 1)
        await queue_a_mail(shop)
        await until(lambda: list(tmp_path.glob("*.eml")), "the mail, which does not wait for Mailchimp")
        began_at = time.monotonic()
    assert time.monotonic() - began_at < worker.STOP_GRACE_SECONDS + 10

    row = await shop.row("ana@shop.test")
    assert (row["is_dirty"], row["lease_until"]) == (True, None)


async def test_an_idle_worker_uses_next_to_no_cpu(shop: Shop) -> None:
    async with running(shop.tools):
        await until(lambda: shop.mailchimp.merge_fields().get("STATE"), "the first run")
        await asyncio.sleep(0.5)
        # Time is what is measured here: a worker that polls would use some whenever one looks, and what else goes on in this
        # process, as the collection of garbage, does not.
        used = []
        while not used or (used[-1] >= 0.2 and len(used) < 5):
            before = time.process_time()
            await asyncio.sleep(2)
            used.append(time.process_time() - before)
        assert used[-1] < 0.2, used


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from server.clock import SystemClock
from server.db.engine import DB
from server.worker import run_worker
from server.settings import Settings
from tests.server.audience.builders import new_tools

async def main(database_url, base_url, api_key, list_id, mail_dir):
    settings = Settings(
        database_url=database_url, audience="mailchimp", mailchimp_base_url=base_url, mailchimp_api_key=api_key,
        mailchimp_list_id=list_id, mail_dir=Path(mail_dir), secret_key="9f2c41d7a6b85e03" * 4, test_profile=True,
    )
    await DB.open(database_url, size=4)
    await run_worker(new_tools(settings, SystemClock()), asyncio.Event())

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_worker_that_is_killed_in_the_middle_of_a_push_loses_nothing(
    shop: Shop, database_url: str, tmp_path: Path
) -> None:
    await shop.push()
    await shop.add_customer("old@shop.test")
    await shop.push()
    await shop.move((await shop.row("old@shop.test"))["customer"], "old@shop.test", "new@shop.test")
    # The rename takes effect, but its answer never comes: the process dies waiting for it.
    shop.mailchimp.fail_next("slow", method="PATCH", seconds=60)
    arguments = (database_url, shop.mailchimp.url, shop.mailchimp.api_key, shop.mailchimp.list_id, str(tmp_path))
    environ = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _PROGRAM, *arguments, env=environ)
    try:
        await asyncio.to_thread(shop.mailchimp.wait_for_requests, 1, method="PATCH")
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await asyncio.to_thread(shop.mailchimp.wait_for_contact, "new@shop.test")
    row = await shop.row("new@shop.test")
    assert row["lease_until"] is not None
    assert await shop.push() == 0, "the dead worker's lease is respected"

    # What the passing of a minute does.
    await DB.fetch(
        "update audience_contact set lease_until = now() - interval '1 second' where lease_until is not null"
    )
    await DB.fetch("update pgqueuer set heartbeat = now() - interval '1 hour'")
    async with running(shop.tools):
        await until(lambda: _is_settled(shop), "the contact after the kill")
        await until(_no_jobs, "the dead worker's jobs")
    assert [(one.email_address, one.merge_fields["POINTS"]) for one in shop.live()] == [("new@shop.test", 120)]
    assert shop.mailchimp.find_contact("old@shop.test") is None


async def _is_settled(shop: Shop) -> bool:
    return not (await shop.row("new@shop.test"))["is_dirty"]


async def test_a_mail_without_a_job_gets_one_after_a_while_and_only_one(shop: Shop) -> None:
    await queue_a_mail(shop)
    assert await requeue_stuck_mails(shop.tools.clock) == 0
    await DB.fetch("update message set created_at = created_at - interval '11 minutes'")
    assert await requeue_stuck_mails(shop.tools.clock) == 0, "its job is still there"
    await DB.fetch("delete from pgqueuer")

    assert await requeue_stuck_mails(shop.tools.clock) == 1
    assert await requeue_stuck_mails(shop.tools.clock) == 0
    assert await jobs("mail.send") == 1


async def test_what_is_over_is_deleted_and_what_is_not_stays(shop: Shop) -> None:
    now = shop.tools.clock.now()
    for name, expires_at in (("over", now - timedelta(days=40)), ("open", now + timedelta(hours=1))):
        await DB.fetch(
            "insert into signup_intent (id, email, email_key, password_hash, given_name, family_name, created_at, "
            "expires_at) values ($1, $2, $2, '', '', '', $3, $3)",
            new_id(), name, expires_at,
        )  # fmt: skip
        await DB.fetch(
            "insert into one_time_token (id, purpose, token_hash, email_key, created_at, expires_at) "
            "values ($1, $2, $3, $2, $4, $4)",
            new_id(), name, name.encode(), expires_at,
        )  # fmt: skip
        await DB.fetch(
            "insert into idempotency_key (id, principal, operation, key, body_hash, status, reply, created_at) "
            "values ($1, $2, $2, $2, '', 200, '', $3)",
            new_id(), name, expires_at,
        )  # fmt: skip
        await DB.fetch("insert into throttle_counter (key, window_started_at) values ($1, $2)", name, expires_at)
        # One that could not be sent names somebody as long as one that was.
        await DB.fetch(
            "insert into message (id, purpose, to_address, template, state, created_at) values ($1, $2, $2, $2, 'failed', $3)",
            new_id(), name, expires_at,
        )  # fmt: skip

    await delete_outdated(shop.tools.clock)

    for table, column in (
        ("signup_intent", "email"), ("one_time_token", "purpose"), ("idempotency_key", "key"), ("throttle_counter", "key"),
        ("message", "to_address"),
    ):  # fmt: skip
        assert [row[column] for row in await DB.fetch(f"select {column} from {table}")] == ["open"]


async def test_the_gauges_tell_what_waits(shop: Shop) -> None:
    registry = CollectorRegistry()
    gauges = WorkGauges(registry)
    await shop.add_customer()
    await queue_a_mail(shop)
    await gauges.refresh(system_context(shop.tools))

    text = generate_latest(registry).decode()
    assert "regulars_audience_waiting 1.0" in text
    assert 'regulars_jobs{job="mail.send"} 1.0' in text
    assert "regulars_audience_paused 0.0" in text


async def test_a_key_that_names_no_host_stops_the_queue_and_not_the_worker(
    shop: Shop, database_url: str, mailchimp: MailchimpStandIn, tmp_path: Path
) -> None:
    settings = shop_settings(
        database_url, mailchimp, mailchimp_base_url=None, mailchimp_api_key="x-us21", mail_dir=tmp_path
    )
    async with running(_with_settings(shop.tools, settings)):
        await queue_a_mail(shop)
        await until(lambda: list(tmp_path.glob("*.eml")), "the mail")
    assert "mailchimp_api_key" in (await shop.state())["paused_reason"]


async def test_jobs_for_an_audience_that_was_switched_off_do_not_pile_up(shop: Shop, database_url: str) -> None:
    await shop.add_customer()
    assert await jobs() == 1
    settings = type(shop.tools.settings)(database_url=database_url, audience="none")
    async with running(_with_settings(shop.tools, settings)):
        await until(_no_jobs, "the end of the job")
    assert (await shop.row("ana@shop.test"))["is_dirty"]


def _with_settings(tools: Tools, settings: object) -> Tools:
    return msgspec.structs.replace(tools, settings=settings)


async def test_no_connection_of_the_worker_is_left_behind(shop: Shop) -> None:
    async with running(shop.tools):
        await until(lambda: shop.mailchimp.merge_fields().get("STATE"), "the first run")
    connection = await asyncpg.connect(shop.tools.settings.database_url)
    try:
        await until(lambda: _gone(connection), "the end of the connection")
    finally:
        await connection.close()


async def _gone(connection: asyncpg.Connection) -> bool:
    return not await connection.fetchval(
        "select count(*) from pg_stat_activity where application_name = 'regulars-worker' and datname = current_database()"
    )
