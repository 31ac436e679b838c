"""What every use case is handed: the tools it may use, who is acting, and the one instant it calls now."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from server.clock import Clock
from server.passwords import Passwords
from server.settings import Settings
from server.tokens import Tokens

ActorKind = Literal["member", "staff", "key", "system"]


class Actor(msgspec.Struct, frozen=True):
    """Who acts: a member, a staff member, an API key, or the program itself."""

    kind: ActorKind
    id: UUID | None = None


SYSTEM = Actor("system")


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """Built once by `create_app` (or a command) and shared by every request and job."""

    settings: Settings
    clock: Clock
    tokens: Tokens
    passwords: Passwords


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one use case.

    `now` is read once, so that everything the call writes bears the same time. `network` is the caller's address with
    the host part cut off (/24, /64).
    """

    tools: Tools
    now: datetime
    actor: Actor = SYSTEM
    request_id: str | None = None
    network: str = ""

    @property
    def settings(self) -> Settings:
        return self.tools.settings

    @property
    def tokens(self) -> Tokens:
        return self.tools.tokens

    def acting_as(self, kind: ActorKind, identity: UUID) -> "Context":
        """Return the same call in the name of somebody else, as when a proven token says who is there."""
        return msgspec.structs.replace(self, actor=Actor(kind, identity))


def system_context(tools: Tools) -> Context:
    """Return the context of work the program does by itself: jobs, commands, sweeps."""
    return Context(tools=tools, now=tools.clock.now())
