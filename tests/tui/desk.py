"""Helpers of the console's tests: a console over a service in this process, and waiting for what it shows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace as change

import httpx
from textual import events
from textual.pilot import Pilot

from tests.tui.fake import NOW, PASSWORD, FakeService
from tui.app import Console, Options
from tui.transport import Application, embedded
from tui.widgets.bars import StatusLine
from tui.widgets.field import Field

# On a busy machine a few keys take longer than a clerk would wait for an answer.
PATIENCE_SECONDS = 60.0
_ROUNDS_MAX = 20  # A page that moves by itself is never quite still.
OPTIONS = Options(
    terminal="Till 2",
    service_label="test",
    lock_after_minutes=0,
    answer_seconds=PATIENCE_SECONDS,
    typing_pause_seconds=0.02,
    has_bell=False,
    recovers=False,
    now=lambda: NOW,
)


class Till:
    """A running console with its pilot."""

    def __init__(self, console: Console, pilot: Pilot[int]) -> None:
        self.console = console
        self.pilot = pilot

    async def until(
        self, holds: Callable[[], object], what: str = "", within_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until something holds, looking each time the console has settled."""
        deadline = asyncio.get_running_loop().time() + within_seconds
        while True:
            await self.pilot.pause()
            await self._settle()
            if holds():
                return
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"never came: {what or holds}\n{self.screen_text()}")
            await asyncio.sleep(0.01)

    async def _settle(self) -> None:
        """Wait until no message is under way, to the page or the dialog that is in front by then.

        The pilot takes a process for idle that a busy machine gives no time; this does not.
        """
        for _ in range(_ROUNDS_MAX):
            screen = self.console._front()
            if screen is None:
                await asyncio.sleep(0.01)
                continue
            await self.pilot._wait_for_screen()
            pumps = [self.console, *screen.walk_children(with_self=True)]
            if screen is self.console._front() and not any(pump.message_queue_size for pump in pumps):
                return

    async def eventually(self, holds: Callable[[], object]) -> None:
        """Wait until something holds, without waiting for widgets, of which one may be broken."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():  # noqa: ASYNC110 - nothing tells when it does
                await asyncio.sleep(0.01)

    async def shows(self, *texts: str) -> None:
        """Wait until all of these texts are on the screen."""
        await self.until(lambda: all(text in self.screen_text() for text in texts), f"on screen: {texts}")

    async def press(self, *keys: str) -> None:
        """Press keys one by one, as a person does, and wait until none is held back as a possible scan and all has settled."""
        for key in keys:
            await self.pilot.press(key)
            await self.until(lambda: self.console.gate.is_empty, "keys let go")

    async def scan(self, code: str, end: str = "enter") -> None:
        """Send a code as a scanner does: all keys in one burst, closed by Enter."""
        keys = [*(events.Key(character, character) for character in code), events.Key(end, None)]
        for place, key in enumerate(keys):
            # A scanner is as fast on a busy machine, which may stop this very loop for a while.
            key.time = keys[0].time + place / 1000
            self.console.post_message(key)
        await self.until(lambda: self.console.gate.is_empty, "scan taken")
        await self.pilot.pause()

    async def paste(self, text: str) -> None:
        self.console.post_message(events.Paste(text))
        await self.pilot.pause()

    async def fill(self, field_id: str, text: str) -> None:
        """Put text into a field of the page in front, as by pasting: typing takes 50 ms a letter."""
        field = self.console.screen.query_one(f"#{field_id}", Field)
        field.focus()
        field.value = text
        field.cursor_position = len(text)
        await self.pilot.pause()

    async def sign_in(self, login: str = "manager", password: str = PASSWORD) -> None:
        await self.until(lambda: self.console.connection != "starting", "started")
        await self.fill("login", login)
        await self.fill("password", password)
        await self.press("enter")
        await self.until(lambda: self.console.session is not None and self.console.current_mode != "lock", "signed in")

    async def open(self, text: str) -> None:
        """Find a customer and open it."""
        await self.press("f2")
        await self.until(lambda: self.page == "find", "find page")
        await self.fill("search", text)
        await self.press("enter")
        await self.until(
            lambda: self.page == "customer" and getattr(self.console.screen, "detail", None) is not None, "customer"
        )

    @property
    def page(self) -> str:
        return getattr(self.console.screen, "PAGE", type(self.console.screen).__name__)

    @property
    def status(self) -> str:
        line = self.console.screen.query_one(StatusLine)
        return line.words

    def screen_text(self) -> str:
        """Return what is on the screen now, line by line."""
        strips = self.console.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def _reach(application: Application) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """Open a client; what the fake raises is raised in the client, as a broken connection would be."""
    if isinstance(application, FakeService):
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://localhost")
    return embedded(application)


@asynccontextmanager
async def run_console(http: httpx.AsyncClient, options: Options, size: tuple[int, int]) -> AsyncIterator[Till]:
    """Run a console that reaches its service by this client."""

    async def connect() -> httpx.AsyncClient:
        return http

    console = Console(connect, options)
    async with console.run_test(size=size) as pilot:
        yield Till(console, pilot)


@asynccontextmanager
async def open_till(
    application: Application, *, size: tuple[int, int] = (100, 32), **options: object
) -> AsyncIterator[Till]:
    """Run a console over an application in this process."""
    chosen = change(OPTIONS, **options)  # type: ignore[arg-type]
    async with _reach(application) as http, run_console(http, chosen, size) as till:
        yield till


@asynccontextmanager
async def signed_in(
    application: Application, *, login: str = "manager", size: tuple[int, int] = (100, 32), **options: object
) -> AsyncIterator[Till]:
    """Run a console in which somebody has signed in."""
    async with open_till(application, size=size, **options) as till:
        await till.sign_in(login)
        yield till
