"""How the console reaches the service: over the network, or in the same process without one.

This is the one module of the console that may know the server; it takes a ready application, so it need not.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx

from tui.errors import ServiceNotStarted

Message = dict[str, object]
Application = Callable[..., Awaitable[None]]  # ASGI 3
OpenHttp = Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]]

_CONNECT_SECONDS = 3.0
_START_SECONDS = 120.0  # The first start of a shop makes its database.
_STOP_SECONDS = 30.0


@asynccontextmanager
async def over_network(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client for a service at `base_url`."""
    # How long an answer may take is the client's to say, for each request: letters to many people take longer than a search.
    timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
    async with httpx.AsyncClient(base_url=base_url, timeout=timeout, follow_redirects=False) as http:
        yield http


@asynccontextmanager
async def embedded(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """Start an ASGI application in this process and open a client for it; stop it at the end.

    Raises:
        ServiceNotStarted: It refused to start, or was not ready after two minutes.
    """
    lifespan = _Lifespan(application)
    await lifespan.start()
    try:
        transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield http
    finally:
        await lifespan.stop()


class _Lifespan:
    """Runs an application's start and stop in one task of its own, as its task groups demand."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._requests: asyncio.Queue[Message] = asyncio.Queue()
        self._replies: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="service")
        try:
            reply = await self._ask("lifespan.startup", within_seconds=_START_SECONDS)
        except TimeoutError as error:
            self._task.cancel()
            await self._end()
            raise ServiceNotStarted("It was not ready after two minutes.") from error
        if reply["type"] != "lifespan.startup.complete":
            await self._end()
            raise ServiceNotStarted(str(reply.get("message", "")))

    async def stop(self) -> None:
        assert self._task is not None
        if not self._task.done():
            await self._ask("lifespan.shutdown", within_seconds=_STOP_SECONDS)
        await self._end()

    async def _end(self) -> None:
        assert self._task is not None
        done, _ = await asyncio.wait([self._task], timeout=_STOP_SECONDS)
        for task in done:
            # Its reason has been told by message; asking for it here keeps asyncio from printing it as well.
            task.exception()

    async def _ask(self, kind: str, *, within_seconds: float) -> Message:
        self._requests.put_nowait({"type": kind})
        async with asyncio.timeout(within_seconds):
            return await self._replies.get()

    async def _run(self) -> None:
        scope: Message = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self._application(scope, self._requests.get, self._replies.put)
        finally:
            # An application that fails without a word must not leave us waiting for one.
            self._replies.put_nowait({"type": "lifespan.ended", "message": "It stopped without saying why."})
