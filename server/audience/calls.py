"""What is said to Mailchimp about one contact, call after call. No database here.

Every step looks at what Mailchimp has now, not at what an earlier try may have done, so each can be cut off anywhere,
even between an effect and its answer, and simply be begun again.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from server.audience.gateway import Mailchimp, MailchimpRefused
from server.audience.rules import (
    CARRIED_SOURCES,
    CLOSED_VALUES,
    MOVED_TAG,
    RETIRED_VALUES,
    Consent,
    Desired,
    MergeValues,
    Move,
    Refusal,
    Remote,
    Snapshot,
    Status,
    Verdict,
    asking_first,
    breaks_own_field,
    contact_hash,
    is_blanked,
    is_gone,
    is_live,
    is_rename_refused,
    judge,
    plan_move,
    status_to_set,
    without_rename,
)
from server.audience.store import Contact, Former, Retired
from server.logs import get_logger

log = get_logger()

_FINAL: Final = frozenset((Verdict.PARK, Verdict.LATER, Verdict.FORGOTTEN))


class Kind(StrEnum):
    """How a claimed contact is handled."""

    SKIP = "skip"  # Nothing to say.
    BULK = "bulk"  # Data only, with others in one call.
    SINGLE = "single"  # Data, to a contact that we retired once.
    OPT_OUT = "opt_out"
    MOVE = "move"
    CLOSE = "close"
    ERASE = "erase"  # Deleted there for good.


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed contact with what is true of it.

    `desired` is None if nothing about the person may be sent; `in_place` is what takes the place of a live former contact
    all the same.
    """

    contact: Contact
    snapshot: Snapshot
    formers: tuple[Former, ...]
    desired: Desired | None
    in_place: Desired | None = None

    @property
    def consent_due(self) -> Consent | None:
        """The latest consent event, unless it was carried out already."""
        consent = self.snapshot.consent
        return consent if consent is not None and consent.event_id != self.contact.pushed_consent else None

    @property
    def was_archived_by_us(self) -> bool:
        """Whether we retired this contact and it is wanted again: only retiring forgets the hash of what was pushed."""
        return self.contact.remote_status == "archived" and self.contact.pushed_hash is None

    @property
    def kind(self) -> Kind:
        if self.contact.state == "erasing":
            return Kind.ERASE
        if self.contact.state == "closing" or is_gone(self.snapshot):
            return Kind.CLOSE
        if self.formers:
            return Kind.MOVE
        due = self.consent_due
        if due is not None and due.state == "opted_out":
            return Kind.OPT_OUT
        if self.desired is None:
            return Kind.SKIP
        if self.was_archived_by_us:
            return Kind.SINGLE
        asks = due is not None and due.state == "opted_in" and due.source not in CARRIED_SOURCES
        return Kind.BULK if asks or contact_hash(self.desired) != self.contact.pushed_hash else Kind.SKIP


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What Mailchimp has after a contact was handled. `remote` is None where it has, and should have, nothing."""

    remote: Remote | None
    pushed: Desired | None
    retired: tuple[Retired, ...] = ()
    is_closed: bool = False


class SetAside(Exception):
    """The new address of a person was refused for good; the old ones are retired all the same."""

    def __init__(self, refusal: Refusal, retired: tuple[Retired, ...]) -> None:
        super().__init__(refusal.title)
        self.refusal = refusal
        self.retired = retired


class NotSettled(Exception):
    """Reading back showed something else than what was written; begin again soon."""


class Conversation:
    """Talks to one audience."""

    def __init__(self, gateway: Mailchimp, *, double_optin: bool) -> None:
        self._gateway = gateway
        self._double_optin = double_optin

    async def carry_out(self, task: Task) -> Outcome:
        """Bring one contact into the state it should be in.

        Raises:
            MailchimpRefused, MailchimpMisconfigured: A step did not succeed.
            SetAside, NotSettled: See there.
        """
        match task.kind:
            case Kind.ERASE:
                await self._gateway.erase_contact(task.contact.email)
                return Outcome(remote=None, pushed=None)
            case Kind.CLOSE:
                return await self._close(task)
            case Kind.MOVE:
                return await self._move(task)
            case Kind.OPT_OUT:
                return Outcome(remote=await self._opt_out(task), pushed=task.desired)
            case Kind.SINGLE | Kind.BULK:
                assert task.desired is not None
                return Outcome(remote=await self._put(task, task.desired), pushed=task.desired)
            case Kind.SKIP:
                return Outcome(remote=None, pushed=task.desired)

    def in_bulk(self, tasks: Sequence[Task]) -> list[Desired]:
        """Return the contacts of a bulk call."""
        return [
            asking_first(task.desired, double_optin=self._double_optin) for task in tasks if task.desired is not None
        ]

    def needs_follow_up(self, task: Task, remote: Remote) -> bool:
        """Return whether a contact's status must still change after its data were written."""
        return self._status_to_set(task, remote) is not None

    def _status_to_set(self, task: Task, remote: Remote) -> Status | None:
        return status_to_set(
            remote,
            task.consent_due,
            was_pushed=task.contact.pushed_at is not None,
            was_archived_by_us=task.was_archived_by_us,
            double_optin=self._double_optin,
        )

    async def _set_status(self, email: str, status: Status, remote: Remote) -> Remote:
        try:
            return await self._gateway.change_contact(email, status=status)
        except MailchimpRefused as error:
            if judge(error.refusal) is not Verdict.COMPLIANCE:
                raise
            if status == "subscribed":
                # This person once left by a link in a mail. A fresh opt-in may ask them, and only they can answer.
                return await self._set_status(email, "pending", remote)
            return await self._gateway.read_contact(email) or remote

    async def _put(self, task: Task, desired: Desired, *, status_if_new: Status | None = None) -> Remote:
        desired = asking_first(desired, double_optin=self._double_optin)
        if status_if_new is not None:
            desired = msgspec.structs.replace(desired, status_if_new=status_if_new)
        remote = await self._gateway.put_contact(desired)
        status = self._status_to_set(task, remote)
        return remote if status is None else await self._set_status(task.contact.email, status, remote)

    async def _opt_out(self, task: Task) -> Remote | None:
        email = task.contact.email
        try:
            remote: Remote | None = await self._gateway.change_contact(email, status="unsubscribed")
        except MailchimpRefused as error:
            if judge(error.refusal) not in (Verdict.UNKNOWN_CONTACT, Verdict.COMPLIANCE):
                raise
            remote = await self._gateway.read_contact(email)
        if task.desired is None or (remote is not None and remote.status == "cleaned"):
            return remote
        return await self._gateway.put_contact(task.desired)

    # Changes of address ----------------------------------------------------------------------------------------------

    async def _move(self, task: Task) -> Outcome:
        old = _of_weight([await self._gateway.read_contact(former.email) for former in task.formers])
        desired = task.desired or (task.in_place if is_live(old) else None)
        try:
            remote = await self._arrive(task, desired, old)
        except MailchimpRefused as error:
            if judge(error.refusal) not in _FINAL or breaks_own_field(error.refusal):
                raise
            raise SetAside(error.refusal, await self._retire_formers(task)) from error
        retired = await self._retire_formers(task)
        if remote is not None and await self._gateway.read_contact(task.contact.email) is None:
            raise NotSettled
        return Outcome(remote=remote, pushed=desired, retired=retired)

    async def _arrive(self, task: Task, desired: Desired | None, old: Remote | None) -> Remote | None:
        """Make the new address the person's contact, by renaming the old one if that is possible."""
        email = task.contact.email
        new = await self._gateway.read_contact(email)
        if desired is None:
            return await self._opt_out(task) if new is not None and _says_no(task) else new
        desired = asking_first(desired, double_optin=self._double_optin)
        plan = plan_move(old, new, desired)
        if plan.move is Move.RENAME and old is not None:
            try:
                await self._gateway.rename_contact(old.email, email)
            except MailchimpRefused as error:
                if not is_rename_refused(error.refusal):
                    raise
                plan = without_rename(old, desired)
        if plan.move is Move.MERGE:
            log.info("audience_contacts_merged", contact_id=str(task.contact.id))
        if plan.lower_to_unsubscribed:
            await self._gateway.change_contact(email, status="unsubscribed")
            return await self._gateway.put_contact(desired)
        return await self._put(task, desired, status_if_new=plan.status_if_new)

    async def _retire_formers(self, task: Task) -> tuple[Retired, ...]:
        opted_out = _says_no(task)
        retired = []
        for former in task.formers:
            status = await self._retire(former.email, RETIRED_VALUES, tag=MOVED_TAG, opted_out=opted_out)
            retired.append(Retired(former=former, remote_status=status))
        return tuple(retired)

    async def _close(self, task: Task) -> Outcome:
        retired = await self._retire_formers(task)
        due = task.consent_due
        opted_out = due is not None and due.state == "opted_out"
        await self._retire(task.contact.email, CLOSED_VALUES, opted_out=opted_out)
        remote = await self._gateway.read_contact(task.contact.email)
        return Outcome(remote=remote, pushed=None, retired=retired, is_closed=True)

    async def _retire(self, email: str, values: MergeValues, *, opted_out: bool, tag: str | None = None) -> str | None:
        """Empty, tag and archive a contact, and return the status it was left in, None if it is not there.

        Who opted out is left in the audience: archived, the contact would no longer be the proof of it. A cleaned one
        takes no edit. Both get no mail.

        Raises:
            NotSettled: The contact is still live afterwards.
        """
        gateway = self._gateway
        remote = await gateway.read_contact(email)
        if remote is None:
            return None
        if remote.status == "cleaned":
            return remote.status
        if opted_out and is_live(remote):
            remote = await gateway.change_contact(email, status="unsubscribed")
        if not is_blanked(remote):
            await self._blank(email, values)
        if tag is not None and remote.status != "archived":
            await gateway.set_tags(email, {tag: True})
        after = await self._archive(email) if is_live(remote) else remote
        if is_live(after):
            raise NotSettled
        return after.status if after is not None else None

    async def _archive(self, email: str) -> Remote | None:
        await self._gateway.archive_contact(email)
        after = await self._gateway.read_contact(email)
        if after is not None and after.status == "pending":
            # One who is waiting to confirm cannot be archived, yet could still confirm at an address that is over.
            await self._gateway.change_contact(email, status="transactional")
            await self._gateway.archive_contact(email)
            after = await self._gateway.read_contact(email)
        return after

    async def _blank(self, email: str, values: MergeValues) -> None:
        try:
            await self._gateway.change_contact(email, values=values)
        except MailchimpRefused as error:
            if judge(error.refusal) is not Verdict.PARK:
                raise
            # Whether an empty text clears a number field is not documented; a zero is always taken.
            await self._gateway.change_contact(email, values={**values, "POINTS": 0})


def _of_weight(olds: Sequence[Remote | None]) -> Remote | None:
    """Return the former contact that decides a move: one that opted out, else a live one, else one that bounced."""
    for statuses in (("unsubscribed",), ("subscribed", "pending", "transactional"), ("cleaned",)):
        for old in olds:
            if old is not None and old.status in statuses:
                return old
    return None


def _says_no(task: Task) -> bool:
    return task.snapshot.consent is not None and task.snapshot.consent.state == "opted_out"
