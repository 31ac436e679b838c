"""Keeping the audience in step: the worker's loop over dirty contacts.

Level-triggered: each push is derived from the state that holds now, so changes coalesce, late wake-ups do no harm, and a
push that was cut off is begun again. A contact is leased while it is worked on; only one worker holds one person's.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from server.audience import store
from server.audience.calls import Conversation, Kind, NotSettled, Outcome, SetAside, Task
from server.audience.gateway import CONNECTIONS_MAX, AudienceInfo, Mailchimp, MailchimpMisconfigured, MailchimpRefused
from server.audience.marks import OPT_OUT_JOB, PUSH_JOB, Unsubscribed
from server.audience.rules import (
    CONTACT_TRIES_MAX,
    LIVE_STATUSES,
    Refusal,
    Remote,
    Snapshot,
    Verdict,
    breaks_own_field,
    chunk_size,
    contact_delay,
    contact_hash,
    desired_contact,
    judge,
    later_delay,
    parked_reason,
    paused_reason,
    queue_delay,
    subscriber_hash,
)
from server.clock import Clock
from server.context import Tools, system_context
from server.db.engine import DB
from server.jobs import enqueue
from server.logs import get_logger
from server.messages.bounces import flag_bounces

log = get_logger()

LEASE: Final = timedelta(seconds=60)
"""Renewed while the work goes on; so long does a contact wait whose worker was killed."""
_FIELDS_CHECKED_EVERY: Final = timedelta(days=1)
_FAULTY_CONTACTS_MAX: Final = 3
_FORGOTTEN: Final = "Mailchimp deleted this address for good; only the person can come back, by a form of Mailchimp's."
_COMPLIANCE: Final = "Mailchimp does not let us change this contact"
_FAULT: Final = "An error of ours keeps this contact from being pushed; the log says more."


class QueueHalted(Exception):
    """Nothing more can be pushed now.

    Args:
        reason: For staff; names no person.
        delay: After which to go on by itself; None until somebody resumes.
    """

    def __init__(self, reason: str, *, delay: timedelta | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class Pusher:
    """Pushes what is marked. One for a process; several processes share the work.

    Args:
        gateway: Where to push.
        jitter: Source of numbers from 0 to 1 that spread retries.
    """

    def __init__(
        self, tools: Tools, gateway: Mailchimp, *, lease: timedelta = LEASE, jitter: Callable[[], float] = random.random
    ) -> None:
        self.tools = tools
        self._settings = tools.settings
        self._clock: Clock = tools.clock
        self._gateway = gateway
        self._lease = lease
        self._jitter = jitter
        self._one_at_a_time = asyncio.Lock()
        self._audience: AudienceInfo | None = None

    async def push_due(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Push until nothing is due, the queue stands still or `should_stop`; return how many contacts were handled."""
        handled = 0
        async with self._one_at_a_time:
            while not should_stop() and (state := await self._running_state()) is not None:
                contacts = await self._claim(state)
                if not contacts and state.fields_checked_at is not None:
                    break
                await self._push(state, contacts)
                handled += len(contacts)
        return handled

    async def _running_state(self) -> store.QueueState | None:
        """Return the queue's state, None while it stands still."""
        state = await store.get_state()
        is_waiting = state.retry_at is None or state.retry_at > self._clock.now()
        return None if state.paused_reason is not None and is_waiting else state

    async def _push(self, state: store.QueueState, contacts: Sequence[store.Contact]) -> None:
        async with self._leased(contacts) as held:
            try:
                await _Batch(self, state, held).push(contacts)
            except QueueHalted as halt:
                await self._halt(state, halt)

    async def mark_refreshes(self) -> None:
        """Mark the contacts whose points have changed by time alone."""
        while await store.mark_due_refreshes(self._clock.now()):
            pass

    async def _claim(self, state: store.QueueState) -> tuple[store.Contact, ...]:
        now = self._clock.now()
        async with DB.transaction():
            await store.lock_claims()
            contacts = await store.claim_contacts(now, limit=chunk_size(state.failures), lease_until=now + self._lease)
        return contacts  # noqa: RET504 - the transaction block could swallow, as far as types know

    @asynccontextmanager
    async def _leased(self, contacts: Sequence[store.Contact]) -> AsyncIterator[set[UUID]]:
        """Keep the leases alive; give back at the end what was not settled, also when the work is cancelled."""
        held = {contact.id for contact in contacts}

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._lease.total_seconds() / 3)
                await store.renew_leases(sorted(held), lease_until=self._clock.now() + self._lease)

        renewal = asyncio.create_task(renew())
        try:
            yield held
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            if held:
                await store.release_contacts(sorted(held))

    async def _halt(self, state: store.QueueState, halt: QueueHalted) -> None:
        now = self._clock.now()
        await store.pause(halt.reason, now, retry_at=now + halt.delay if halt.delay is not None else None)
        if halt.delay is None:
            log.error("audience_stopped", reason=halt.reason)
        else:
            log.warning("audience_paused", reason=halt.reason, seconds=round(halt.delay.total_seconds()))
            await enqueue(PUSH_JOB, dedupe_key=f"{PUSH_JOB}:retry:{state.failures + 1}", delay=halt.delay)

    async def conversation(self, state: store.QueueState) -> Conversation:
        """Return the line to the audience, after making sure, at times, that it is as it must be.

        Raises:
            MailchimpMisconfigured, MailchimpRefused: It is not, or cannot be asked.
        """
        now = self._clock.now()
        checked_at = state.fields_checked_at
        if self._audience is None or checked_at is None or checked_at < now - _FIELDS_CHECKED_EVERY:
            self._audience = await self._gateway.read_audience()
            await self._gateway.ensure_fields()
            await store.note_fields_checked(now)
        return Conversation(self._gateway, double_optin=self._audience.double_optin)

    async def derive(self, contacts: Sequence[store.Contact]) -> list[Task]:
        """Return what each contact should be, from the state that holds now."""
        ids = [contact.id for contact in contacts]
        snapshots = await store.read_snapshots(ids, self._clock.now())
        formers = await store.list_formers([contact.id for contact in contacts if contact.moved_from is not None])
        return [self._task(contact, snapshots[contact.id], formers.get(contact.id, ())) for contact in contacts]

    def _task(self, contact: store.Contact, snapshot: Snapshot, formers: tuple[store.Former, ...]) -> Task:
        sync_all = self._settings.mailchimp_sync_without_consent
        is_there = contact.remote_status in LIVE_STATUSES
        return Task(
            contact=contact,
            snapshot=snapshot,
            formers=formers,
            desired=desired_contact(contact.email, snapshot, is_there=is_there, sync_without_consent=sync_all),
            in_place=desired_contact(contact.email, snapshot, is_there=True, sync_without_consent=sync_all),
        )

    def now(self) -> datetime:
        """Return the present."""
        return self._clock.now()

    def queue_delay(self, failures: int, *, is_timeout: bool) -> timedelta:
        """Return how long the queue waits after so many failures in a row."""
        return queue_delay(failures, is_timeout=is_timeout, jitter=self._jitter())

    def contact_delay(self, attempts: int) -> timedelta:
        """Return how long a contact waits after so many failures of its own."""
        return contact_delay(attempts, jitter=self._jitter())

    async def is_answering(self) -> bool:
        """Return whether Mailchimp answers a plain question, so that an error must be about one contact."""
        try:
            await self._gateway.read_audience()
        except (MailchimpRefused, MailchimpMisconfigured):
            return False
        return True

    async def push_many(self, conversation: Conversation, tasks: Sequence[Task]) -> dict[str, Remote]:
        """Push data in one call; return what was confirmed, by subscriber hash."""
        return await self._gateway.push_many(conversation.in_bulk(tasks))

    async def read_status(self, email: str) -> str | None:
        """Return a contact's status at Mailchimp, None if it is not there."""
        remote = await self._gateway.read_contact(email)
        return remote.status if remote is not None else None


class _Batch:
    """One claim's worth of contacts on their way."""

    def __init__(self, pusher: Pusher, state: store.QueueState, held: set[UUID]) -> None:
        self._pusher = pusher
        self._state = state
        self._held = held
        self._faulty_count = 0
        self._halt: QueueHalted | None = None

    async def push(self, contacts: Sequence[store.Contact]) -> None:
        """Handle every contact.

        Raises:
            QueueHalted: The rest has to wait.
        """
        tasks = await self._pusher.derive(contacts)
        skipped = [task for task in tasks if task.kind is Kind.SKIP]
        await self._settle([(task, None) for task in skipped])
        if len(skipped) == len(tasks) and self._state.fields_checked_at is not None:
            return
        # The first run, and the first after somebody resumed, look at the audience even if there is nobody to push, so
        # that a wrong setting shows at once.
        conversation = await self._ready()
        single = [task for task in tasks if task.kind not in (Kind.SKIP, Kind.BULK)]
        await self._push_singly(conversation, single)
        bulk = [task for task in tasks if task.kind is Kind.BULK]
        await self._push_in_bulk(conversation, bulk)

    async def _ready(self) -> Conversation:
        try:
            return await self._pusher.conversation(self._state)
        except MailchimpMisconfigured as error:
            raise QueueHalted(str(error), delay=None) from error
        except MailchimpRefused as error:
            raise self._halted(error.refusal) from error

    # Data of many, in one call ----------------------------------------------------------------------------------------

    async def _push_in_bulk(self, conversation: Conversation, tasks: Sequence[Task]) -> None:
        if len(tasks) <= 1:
            await self._push_singly(conversation, tasks)
            return
        try:
            written = await self._pusher.push_many(conversation, tasks)
        except MailchimpMisconfigured as error:
            raise QueueHalted(str(error), delay=None) from error
        except MailchimpRefused as error:
            if judge(error.refusal) in (Verdict.OUTAGE, Verdict.SERVER_ERROR, Verdict.CONFIGURATION):
                raise self._halted(error.refusal) from error
            # Something in the call is refused as a whole; halving finds it, and everybody else gets through.
            half = len(tasks) // 2
            await self._push_in_bulk(conversation, tasks[:half])
            await self._push_in_bulk(conversation, tasks[half:])
            return
        await self._take_answers(conversation, tasks, written)

    async def _take_answers(
        self, conversation: Conversation, tasks: Sequence[Task], written: dict[str, Remote]
    ) -> None:
        done: list[tuple[Task, Outcome | None]] = []
        singly = []
        for task in tasks:
            remote = written.get(subscriber_hash(task.contact.email))
            if remote is None or conversation.needs_follow_up(task, remote):
                # Refused, passed over in silence, or in a status that a consent event wants changed.
                singly.append(task)
            else:
                done.append((task, Outcome(remote=remote, pushed=task.desired)))
        await self._settle(done)
        await self._succeeded()
        await self._push_singly(conversation, singly)

    # One by one -------------------------------------------------------------------------------------------------------

    async def _push_singly(self, conversation: Conversation, tasks: Sequence[Task]) -> None:
        waiting = list(tasks)

        async def work() -> None:
            while waiting and self._halt is None:
                task = waiting.pop(0)
                try:
                    await self._push_one(conversation, task)
                except QueueHalted as halt:
                    self._halt = halt

        await asyncio.gather(*(work() for _ in range(min(CONNECTIONS_MAX, len(waiting)))))
        if self._halt is not None:
            raise self._halt

    async def _push_one(self, conversation: Conversation, task: Task) -> None:
        try:
            outcome = await conversation.carry_out(task)
        except MailchimpMisconfigured as error:
            raise QueueHalted(str(error), delay=None) from error
        except SetAside as error:
            await store.close_formers(error.retired, self._pusher.now())
            await self._refused(task, error.refusal)
        except MailchimpRefused as error:
            await self._refused(task, error.refusal)
        except NotSettled:
            await self._postpone(task, self._pusher.contact_delay(task.contact.attempts + 1))
        except Exception:
            # This is the worker's loop: no contact may keep the others from being pushed.
            log.exception("audience_push_failed", contact_id=str(task.contact.id))
            await self._failed(task, _FAULT)
        else:
            if task.kind is Kind.ERASE:
                await store.forget(task.contact.id)
                self._held.discard(task.contact.id)
            else:
                await self._settle([(task, outcome)])
            await self._succeeded()

    async def _refused(self, task: Task, refusal: Refusal) -> None:
        reason, field = parked_reason(refusal)
        is_first_try = task.contact.attempts == 0
        match judge(refusal):
            case Verdict.OUTAGE | Verdict.CONFIGURATION:
                raise self._halted(refusal)
            case Verdict.SERVER_ERROR:
                self._faulty_count += 1
                if self._faulty_count > _FAULTY_CONTACTS_MAX or not await self._pusher.is_answering():
                    raise self._halted(refusal)
                await self._failed(task, reason)
            case Verdict.PARK if breaks_own_field(refusal) and is_first_try:
                # Somebody may have deleted the field; the check before the next try creates it again, or stops the queue.
                await store.note_fields_checked(None)
                await self._postpone(task, self._pusher.contact_delay(1))
            case Verdict.LATER if is_first_try:
                await self._postpone(task, later_delay())
            case Verdict.UNKNOWN_CONTACT:
                # It was there a call ago; the next try begins with what is there then.
                await self._failed(task, reason)
            case Verdict.PARK | Verdict.LATER:
                await self._park(task, reason, field=field)
            case Verdict.COMPLIANCE:
                status = await self._read_status(task)
                # First, as a contact that was set aside is not looked at again after a crash.
                if status == "cleaned" and task.contact.pushed_at is not None:
                    await self._flag_bounce(task.contact.email, task.contact.pushed_at)
                await self._park(task, f"{_COMPLIANCE}; it is {status or 'unknown'} there.", remote_status=status)
            case Verdict.FORGOTTEN:
                await self._park(task, _FORGOTTEN, is_forgotten=True)

    async def _flag_bounce(self, email: str, since: datetime) -> None:
        """Flag an address that Mailchimp has cleaned, unless it was proven after it was last live there."""
        ctx = system_context(self._pusher.tools)
        async with DB.transaction():
            await flag_bounces(ctx, {email: since}, reason="mailchimp")

    async def _read_status(self, task: Task) -> str | None:
        try:
            return await self._pusher.read_status(task.contact.email)
        except MailchimpRefused as error:
            raise self._halted(error.refusal) from error

    async def _failed(self, task: Task, reason: str) -> None:
        """Count a failure of the contact's own; set it aside after some."""
        attempts = task.contact.attempts + 1
        if attempts >= CONTACT_TRIES_MAX:
            await self._park(task, reason)
        else:
            await self._postpone(task, self._pusher.contact_delay(attempts))

    def _halted(self, refusal: Refusal) -> QueueHalted:
        if judge(refusal) is Verdict.CONFIGURATION:
            return QueueHalted(paused_reason(refusal), delay=None)
        delay = self._pusher.queue_delay(self._state.failures + 1, is_timeout=refusal.is_timeout)
        return QueueHalted(paused_reason(refusal), delay=delay)

    async def _succeeded(self) -> None:
        if self._state.failures:
            await store.note_success()
            self._state = msgspec.structs.replace(self._state, failures=0)

    async def _postpone(self, task: Task, delay: timedelta) -> None:
        await store.postpone(task.contact, next_try_at=self._pusher.now() + delay)
        self._held.discard(task.contact.id)

    async def _park(
        self,
        task: Task,
        reason: str,
        *,
        field: str | None = None,
        is_forgotten: bool = False,
        remote_status: str | None = None,
    ) -> None:
        log.warning("audience_contact_parked", contact_id=str(task.contact.id), field=field)
        await store.park(
            task.contact, reason=reason, field=field, is_forgotten=is_forgotten, remote_status=remote_status
        )
        self._held.discard(task.contact.id)

    async def _settle(self, outcomes: Sequence[tuple[Task, Outcome | None]]) -> None:
        if not outcomes:
            return
        async with DB.transaction():
            await store.settle([_settled(task, outcome) for task, outcome in outcomes], self._pusher.now())
            for task, outcome in outcomes:
                if _has_unsubscribed(task, outcome):
                    await enqueue(OPT_OUT_JOB, Unsubscribed(contact_id=task.contact.id, at=self._pusher.now()))
        self._held.difference_update(task.contact.id for task, _ in outcomes)


def _has_unsubscribed(task: Task, outcome: Outcome | None) -> bool:
    """Return whether somebody who said yes to us has said no at Mailchimp since we last looked; webhooks get lost."""
    consent = task.snapshot.consent
    is_out = outcome is not None and outcome.remote is not None and outcome.remote.status == "unsubscribed"
    has_said_yes = consent is not None and consent.state == "opted_in" and task.consent_due is None
    return is_out and has_said_yes and task.contact.remote_status in LIVE_STATUSES


def _settled(task: Task, outcome: Outcome | None) -> store.Settled:
    """Return what to remember; without an outcome nothing had to be said."""
    done = outcome or Outcome(remote=None, pushed=task.desired)
    remote, pushed = done.remote, done.pushed
    consent = task.snapshot.consent
    return store.Settled(
        contact=task.contact,
        state="closed" if done.is_closed else "live",
        remote_id=remote.contact_id if remote is not None else None,
        remote_status=remote.status if remote is not None else None,
        pushed_hash=contact_hash(pushed) if pushed is not None else None,
        pushed_consent=consent.event_id if consent is not None else None,
        refresh_at=task.snapshot.refresh_at if pushed is not None else None,
        was_sent=remote is not None,
        retired=done.retired,
    )
