"""What is put in order by the clock: mails whose job went missing, and rows that are of no more use to anybody."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.clock import Clock
from server.db.engine import DB
from server.jobs import enqueue
from server.messages.service import JOB as MAIL_JOB
from server.messages.service import SendMail
from shared.limits import HOOK_EVENTS_KEPT, IDEMPOTENCY_KEPT

_MAIL_STUCK_AFTER: Final = timedelta(minutes=10)
_INTENTS_KEPT: Final = timedelta(days=1)
_LINKS_KEPT: Final = timedelta(days=30)
"""A person who uses an old link is told that it is over rather than that it never was."""
_COUNTERS_KEPT: Final = timedelta(days=2)
_JOB_LOG_KEPT: Final = timedelta(days=7)
_MESSAGES_KEPT: Final = timedelta(days=30)
_SESSIONS_KEPT: Final = timedelta(days=90)
_NOTICES_KEPT: Final = timedelta(days=30)
"""After the points of which they told have lapsed, when nobody is told again."""
_SESSION_OVER: Final = "ended_at < $1 or refresh_expires_at < $1"
_CYCLES_KEPT: Final = timedelta(days=90)
_STAGED_KEPT: Final = timedelta(days=30)
"""Far longer than anything is fetched twice; posting is once without them too."""
_ROWS_AT_ONCE: Final = 1000
"""Rows of one statement, so that no lock is held for long."""

# The job's payload names the message in the one way that the job's struct is encoded.
_STUCK_MAILS = """
select message.id from message
where message.state = 'queued' and message.created_at < $1
  and not exists (select from pgqueuer job
                  where job.entrypoint = $2
                    and job.payload = convert_to('{"message_id":"' || message.id::text || '"}', 'UTF8'))
order by message.created_at limit $3
"""


async def requeue_stuck_mails(clock: Clock) -> int:
    """Give mails that wait without a job a new one, and return how many; a job can only go missing by a fault of ours."""
    stuck = await DB.fetch(_STUCK_MAILS, clock.now() - _MAIL_STUCK_AFTER, MAIL_JOB, _ROWS_AT_ONCE)
    for row in stuck:
        message_id: UUID = row["id"]
        await enqueue(MAIL_JOB, SendMail(message_id=message_id), dedupe_key=f"{MAIL_JOB}:{message_id}")
    return len(stuck)


async def delete_outdated(clock: Clock) -> None:
    """Delete sign-up forms, links, idempotency keys, throttle counters, notes of notices and job logs that are over."""
    now = clock.now()
    for table, key, condition, before in _OUTDATED:
        await _delete_in_steps(table, key, condition, now - before)


_OUTDATED: Final = (
    ("signup_intent", "id", "expires_at < $1 or confirmed_at < $1", _INTENTS_KEPT),
    ("one_time_token", "id", "expires_at < $1", _LINKS_KEPT),
    ("idempotency_key", "id", "created_at < $1", IDEMPOTENCY_KEPT),
    (
        "throttle_counter",
        "key",
        "window_started_at < $1 and (blocked_until is null or blocked_until < $1)",
        _COUNTERS_KEPT,
    ),
    ("hook_event", "event_id", "received_at < $1", HOOK_EVENTS_KEPT),
    ("pos_cycle", "id", "started_at < $1", _CYCLES_KEPT),
    ("pos_staged", "id", "state = 'done' and staged_at < $1", _STAGED_KEPT),
    ("expiry_notice", "id", "expires_at < $1", _NOTICES_KEPT),
    ("pgqueuer_log", "id", "created < $1", _JOB_LOG_KEPT),
    ("message", "id", "state <> 'queued' and coalesce(sent_at, created_at) < $1", _MESSAGES_KEPT),
    (
        "refresh_token",
        "token_hash",
        "session in (select id from member_session where " + _SESSION_OVER + ")",  # noqa: S608 - a constant
        _SESSIONS_KEPT,
    ),
    (
        "member_session",
        "id",
        f"({_SESSION_OVER}) and not exists (select from refresh_token t where t.session = member_session.id)",
        _SESSIONS_KEPT,
    ),
    ("pgqueuer_statistics", "id", "created < $1", _JOB_LOG_KEPT),
)


async def _delete_in_steps(table: str, key: str, condition: str, before: datetime) -> None:
    statement = (
        f"delete from {table} where {key} in "  # noqa: S608 - the parts are the constants above
        f"(select {key} from {table} where {condition} limit {_ROWS_AT_ONCE}) returning 1"
    )
    while len(await DB.fetch(statement, before)) == _ROWS_AT_ONCE:
        pass
