"""The worker: jobs as they come in, and what is looked after by the clock.

Jobs lie in the database (PgQueuer) and are fetched over a connection of the worker's own. A job that fails is tried again
later; one whose worker dies is taken up by another as soon as its heartbeat is missed; one that is cut off by a stop is put
back. Handlers may therefore run more than once for one cause, and are made for it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec
from pgqueuer.db import AsyncpgDriver
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries

from server.accounts.service import CLAIM_JOB, PROVEN_JOB
from server.audience import store as audience_store
from server.audience.marks import OPT_OUT_JOB, PUSH_JOB
from server.bonuses.service import grant_due
from server.claims.invitations import follow_up
from server.claims.service import claim_at_sign_up
from server.consents.hooks import take_unsubscribed
from server.context import Tools, system_context
from server.duplicates.search import compare_marked
from server.email_changes.overrides import OVERRIDE_JOB, carry_out_due, sweep_overrides
from server.email_changes.service import tell_codes
from server.errors import RegularsError
from server.expiry.service import sweep_expiry
from server.housekeeping import delete_outdated, requeue_stuck_mails
from server.links.checks import PUSH_BUYER_JOB, push_asked
from server.links.cycle import CYCLE_JOB, check_members, run_asked, run_due
from server.links.directory import CHECK_JOB
from server.links.resting import go_on
from server.links.service import REST_JOB
from server.links.todos import MERGE_RECORDS_JOB, merge_asked
from server.links.writing import WRITE_EMAIL_JOB, write_email
from server.logs import get_logger
from server.messages.service import JOB as MAIL_JOB
from server.messages.service import SendMail, send_mail
from server.orders.replacing import replace_written_down
from server.orders.return_store import REFUND_JOB
from server.privacy.erasure_execution import ERASE_JOB, erase_due, sweep_erasures
from server.privacy.exports import EXPORT_JOB, make_export, sweep_exports
from server.refunds.service import give_back_late, post_parked
from server.rewards.holds import LATE_PAYMENT_JOB, tidy
from server.tiers.service import raise_all, settle_due

if TYPE_CHECKING:
    from server.audience.gateway import Mailchimp
    from server.audience.pusher import Pusher

log = get_logger()

Handler = Callable[[bytes], Awaitable[object]]

STOP_GRACE_SECONDS: Final = 2.0
"""What runs when the worker is told to stop may finish this long."""
SWEEP_SECONDS: Final = 60.0
CLEAN_UP_SECONDS: Final = 3600.0
EXPIRY_SECONDS: Final = 3600.0
WRITTEN_DOWN_SECONDS: Final = 3600.0
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=30)
JOB_TRIES_MAX: Final = 50
_CONNECT_SECONDS: Final = 10.0
_RECONNECT_SECONDS_MAX: Final = 30.0
_RETRY_FIRST: Final = timedelta(seconds=2)
_RETRY_MAX: Final = timedelta(minutes=30)


async def run_worker(tools: Tools, stop: asyncio.Event, *, gateway: "Mailchimp | None" = None) -> None:
    """Run jobs and sweeps until `stop` is set; returns a few seconds after it at the latest.

    The database must be open. While it is away the worker waits for it.

    Args:
        gateway: The audience to push to, if not the one that the settings name.
    """
    cut = asyncio.Event()
    pusher = await _create_pusher(tools, gateway)
    # Without an audience its jobs are taken and dropped, so that none lie about for ever.
    handlers: dict[str, Handler] = {
        MAIL_JOB: partial(_send_mail, tools),
        REFUND_JOB: partial(_post_refunds, tools),
        LATE_PAYMENT_JOB: partial(give_back_late, tools),
        CHECK_JOB: partial(_check_members, tools),
        CYCLE_JOB: partial(run_asked, tools),
        PUSH_BUYER_JOB: partial(push_asked, tools),
        MERGE_RECORDS_JOB: partial(merge_asked, tools),
        REST_JOB: partial(go_on, tools),
        WRITE_EMAIL_JOB: partial(write_email, tools),
        EXPORT_JOB: partial(make_export, tools),
        ERASE_JOB: partial(erase_due, tools),
        CLAIM_JOB: partial(claim_at_sign_up, tools),
        PROVEN_JOB: partial(tell_codes, tools),
        OPT_OUT_JOB: partial(take_unsubscribed, tools),
        OVERRIDE_JOB: partial(carry_out_due, tools),
        PUSH_JOB: _do_nothing,
    }
    sweeps: list[tuple[str, float, Callable[[], Awaitable[object]]]] = [
        ("mails", SWEEP_SECONDS, partial(requeue_stuck_mails, tools.clock)),
        ("rewards", SWEEP_SECONDS, partial(tidy, tools)),
        ("refunds", SWEEP_SECONDS, partial(post_parked, tools)),
        ("pos", SWEEP_SECONDS, partial(run_due, tools)),
        ("exports", SWEEP_SECONDS, partial(sweep_exports, tools)),
        ("erasures", SWEEP_SECONDS, partial(sweep_erasures, tools)),
        ("overrides", SWEEP_SECONDS, partial(sweep_overrides, tools)),
        ("invitations", SWEEP_SECONDS, partial(follow_up, tools)),
        ("tiers", SWEEP_SECONDS, partial(_settle_tiers, tools)),
        ("bonuses", SWEEP_SECONDS, partial(_grant_bonuses, tools)),
        ("duplicates", SWEEP_SECONDS, partial(compare_marked, tools)),
        ("clean_up", CLEAN_UP_SECONDS, partial(delete_outdated, tools.clock)),
        ("expiry", EXPIRY_SECONDS, partial(sweep_expiry, tools)),
        ("written_down", WRITTEN_DOWN_SECONDS, partial(replace_written_down, tools)),
    ]
    if pusher is not None:
        handlers[PUSH_JOB] = partial(_push_audience, pusher, stop)
        sweeps.append(("audience", SWEEP_SECONDS, partial(_sweep_audience, pusher, stop)))
    grace = asyncio.create_task(_end_grace(stop, cut))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_serve_queue(tools, handlers, stop, cut))
            for name, seconds, work in sweeps:
                group.create_task(_repeat(name, work, seconds=seconds, stop=stop, cut=cut))
    finally:
        grace.cancel()


async def _create_pusher(tools: Tools, gateway: "Mailchimp | None") -> "Pusher | None":
    if tools.settings.audience == "none":
        return None
    # Imported here, as the SDK takes a quarter of a second that a shop without an audience need not wait for.
    from server.audience.gateway import Mailchimp, MailchimpMisconfigured
    from server.audience.pusher import Pusher

    try:
        return Pusher(tools, gateway or Mailchimp(tools.settings))
    except MailchimpMisconfigured as error:
        log.error("audience_stopped", reason=str(error))
        await audience_store.pause(str(error), tools.clock.now(), retry_at=None)
        return None


async def _send_mail(tools: Tools, payload: bytes) -> None:
    await send_mail(tools, msgspec.json.decode(payload, type=SendMail).message_id)


async def _settle_tiers(tools: Tools) -> None:
    ctx = system_context(tools)
    await settle_due(ctx)
    await raise_all(ctx)


async def _grant_bonuses(tools: Tools) -> None:
    await grant_due(system_context(tools))


async def _post_refunds(tools: Tools, _: bytes) -> None:
    await post_parked(tools)


async def _check_members(tools: Tools, _: bytes) -> None:
    await check_members(tools)


async def _do_nothing(_: bytes) -> None:
    """Let a job go."""


async def _push_audience(pusher: "Pusher", stop: asyncio.Event, _: bytes) -> None:
    await pusher.push_due(stop.is_set)


async def _sweep_audience(pusher: "Pusher", stop: asyncio.Event) -> None:
    await pusher.mark_refreshes()
    await pusher.push_due(stop.is_set)


# The clock ------------------------------------------------------------------------------------------------------------


async def _repeat(
    name: str, work: Callable[[], Awaitable[object]], *, seconds: float, stop: asyncio.Event, cut: asyncio.Event
) -> None:
    while not stop.is_set():
        error = await _run_until(cut, work)
        if error is not None:
            log.error("sweep_failed", sweep=name, exc_info=error)
        await _wait(stop, seconds)


async def _end_grace(stop: asyncio.Event, cut: asyncio.Event) -> None:
    await stop.wait()
    await asyncio.sleep(STOP_GRACE_SECONDS)
    cut.set()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


class _CutOff(Exception):
    """The work was ended because the worker stops."""


async def _run_until(cut: asyncio.Event, work: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Run work until it is done or cut off, and return what it raised."""
    running = asyncio.ensure_future(work())
    cutting = asyncio.ensure_future(cut.wait())
    try:
        await asyncio.wait((running, cutting), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()
            await asyncio.wait((running,))
            return _CutOff()
        return running.exception()
    finally:
        cutting.cancel()
        running.cancel()


# The queue ------------------------------------------------------------------------------------------------------------


async def _serve_queue(tools: Tools, handlers: Mapping[str, Handler], stop: asyncio.Event, cut: asyncio.Event) -> None:
    failures = 0
    while not stop.is_set():
        try:
            await _run_queue(tools, handlers, stop, cut)
            failures = 0
        except Exception as error:
            # The worker's loop: whatever ends the connection, the next one goes on where this one stopped.
            failures += 1
            log.error("queue_interrupted", failures=failures, exc_info=error)
        if not stop.is_set():
            await _wait(stop, min(0.25 * 2.0**failures, _RECONNECT_SECONDS_MAX))


async def _run_queue(tools: Tools, handlers: Mapping[str, Handler], stop: asyncio.Event, cut: asyncio.Event) -> None:
    """Run jobs until the worker stops or the connection ends."""
    connection = await asyncpg.connect(
        tools.settings.database_url,
        timeout=_CONNECT_SECONDS,
        server_settings={"application_name": "regulars-worker", "timezone": "UTC"},
    )
    manager = QueueManager(Queries(AsyncpgDriver(connection)))
    for name, handler in handlers.items():
        manager.entrypoint(name, accepts_context=False)(partial(_run_job, handler, cut))
    connection.add_termination_listener(lambda _: manager.shutdown.set())
    stopping = asyncio.create_task(_pass_on(stop, manager.shutdown))
    try:
        await manager.run(heartbeat_timeout=HEARTBEAT_TIMEOUT, shutdown_on_listener_failure=True)
    finally:
        stopping.cancel()
        connection.terminate()


async def _pass_on(event: asyncio.Event, to: asyncio.Event) -> None:
    await event.wait()
    to.set()


async def _run_job(handler: Handler, cut: asyncio.Event, job: Job) -> None:
    """Run one job; one that fails or is cut off goes back into the queue, in the database.

    What is recorded with it is the kind of the error only, as its text may quote an address.
    """
    error = await _run_until(cut, lambda: handler(job.payload or b""))
    if error is None:
        return
    kind = type(error).__name__
    if isinstance(error, _CutOff):
        raise RetryRequested(timedelta(0), kind)
    if job.attempts >= JOB_TRIES_MAX:
        log.error("job_given_up", job=job.entrypoint, job_id=job.id, error=kind)
        return
    delay = retry_delay(job.attempts, jitter=random.random())  # noqa: S311 - spreads retries, guards nothing
    # What was foreseen explains itself; anything else is a fault, and its traceback is wanted.
    trace = None if isinstance(error, RegularsError) else error
    log.warning("job_failed", job=job.entrypoint, job_id=job.id, error=kind, attempts=job.attempts, exc_info=trace)
    raise RetryRequested(delay, kind)


def retry_delay(attempts: int, *, jitter: float) -> timedelta:
    """Return how long a job waits after failing, 1 s to 30 min: twice as long each time, spread by `jitter`, 0 to 1."""
    whole = min(_RETRY_FIRST * 2.0 ** min(attempts, 20), _RETRY_MAX)
    return whole * (0.5 + jitter / 2)
