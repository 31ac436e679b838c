"""The composition root: everything is built and wired here, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from server import operations
from server.accounts import routes as accounts_routes
from server.adjustments import routes as adjustments_routes
from server.audience import routes as audience_routes
from server.audit import routes as audit_routes
from server.bonuses import routes as bonuses_routes
from server.claims import routes as claims_routes
from server.clock import Clock, SystemClock
from server.consents import routes as consents_routes
from server.consents.store import seed_wordings
from server.context import Tools
from server.db.engine import DB
from server.desk import routes as desk_routes
from server.duplicates import routes as duplicates_routes
from server.edge import Edge, Metrics
from server.email_changes import routes as email_changes_routes
from server.errors import NotFound, Refused, RegularsError
from server.expiry import routes as expiry_routes
from server.gauges import WorkGauges
from server.http import options_handlers
from server.ledger import routes as ledger_routes
from server.links import routes as links_routes
from server.logs import get_logger
from server.memberships import routes as memberships_routes
from server.merges import routes as merges_routes
from server.messages import routes as messages_routes
from server.openapi import routes as openapi_routes
from server.orders import routes as orders_routes
from server.passwords import Passwords
from server.privacy import routes as privacy_routes
from server.private_files import secret_key_bytes
from server.problems import problem_response
from server.programmes import routes as programmes_routes
from server.refunds import routes as refunds_routes
from server.reports import routes as reports_routes
from server.rewards import routes as rewards_routes
from server.sessions import routes as sessions_routes
from server.settings import Settings
from server.sharing import routes as sharing_routes
from server.staff import routes as staff_routes
from server.tokens import Tokens
from shared.problems import Code

log = get_logger()

_ROUTES: tuple[ModuleType, ...] = (
    operations,
    openapi_routes,
    accounts_routes,
    sessions_routes,
    consents_routes,
    programmes_routes,
    bonuses_routes,
    memberships_routes,
    ledger_routes,
    rewards_routes,
    orders_routes,
    refunds_routes,
    links_routes,
    sharing_routes,
    merges_routes,
    privacy_routes,
    claims_routes,
    duplicates_routes,
    staff_routes,
    audience_routes,
    messages_routes,
    audit_routes,
    desk_routes,
    email_changes_routes,
    adjustments_routes,
    expiry_routes,
    reports_routes,
)


def create_tools(settings: Settings, *, clock: Clock | None = None, tokens: Tokens | None = None) -> Tools:
    """Build what requests, jobs and commands share.

    Args:
        clock: Source of the time; the machine's unless given.
        tokens: Source of secrets; random and the settings' key unless given.
    """
    return Tools(
        settings=settings,
        clock=clock or SystemClock(),
        tokens=tokens or Tokens(secret_key_bytes(settings)),
        passwords=Passwords(
            time_cost=settings.argon2_time_cost,
            memory_kib=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
            threads=settings.argon2_threads,
        ),
    )


def create_app(settings: Settings, *, clock: Clock | None = None, tokens: Tokens | None = None) -> ASGIApp:
    """Return the service as an ASGI app; its lifespan opens the database that `settings.database_url` names.

    Args:
        settings: Checked settings with a database address.
        clock: Source of the time; the machine's unless given.
        tokens: Source of secrets; random unless given.
    """
    return equip(create_routes(), settings, clock=clock, tokens=tokens)


def create_routes() -> Litestar:
    """Return the routes of all domains with nothing behind them yet; this is what takes time when an app is made."""
    return Litestar(
        # First, as Litestar adds an OPTIONS of its own to a path that has none yet.
        route_handlers=[*options_handlers(), *route_handlers()],
        lifespan=[_lifespan],
        exception_handlers={Exception: _to_problem},
        openapi_config=None,
        # Its default would take the root logger from `server.logs`, which redacts what libraries log.
        logging_config=None,
        request_max_body_size=None,
        debug=False,
    )


def equip(routes: Litestar, settings: Settings, *, clock: Clock | None = None, tokens: Tokens | None = None) -> Edge:
    """Put a service behind routes that are not running, in place of the one they had; the rest is as for `create_app`."""
    metrics = Metrics()
    tools = create_tools(settings, clock=clock, tokens=tokens)
    routes.state = State({"tools": tools, "metrics": metrics, "gauges": WorkGauges(metrics.registry)})
    return Edge(routes, settings=settings, metrics=metrics)


@asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    tools: Tools = app.state.tools
    settings = tools.settings
    assert settings.database_url is not None, "the caller starts the embedded PostgreSQL and sets its address"
    await DB.open(settings.database_url, size=settings.database_pool_size, wait_seconds=settings.database_wait_seconds)
    try:
        await seed_wordings(tools.clock.now())
        async with _worker(tools):
            yield
    finally:
        tools.passwords.close()
        await DB.close()


@asynccontextmanager
async def _worker(tools: Tools) -> AsyncIterator[None]:
    """Run jobs beside the requests, if this process is to; the last request has ended when it stops."""
    if not tools.settings.run_worker:
        yield
        return
    # Imported here, as its libraries take a third of a second that commands and tests need not wait for.
    from server.worker import run_worker

    stop = asyncio.Event()
    working = asyncio.create_task(run_worker(tools, stop), name="worker")
    try:
        yield
    finally:
        stop.set()
        await working


def route_handlers() -> list[HTTPRouteHandler]:
    """Return the routes of all domains."""
    return [value for module in _ROUTES for value in vars(module).values() if isinstance(value, HTTPRouteHandler)]


def _to_problem(request: Request[None, None, State], error: Exception) -> Response[bytes]:
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    match error:
        case RegularsError():
            known: Exception = error
        case MethodNotAllowedException():
            known = Refused(Code.METHOD_NOT_ALLOWED)
        case HTTPException() if error.status_code == 404:
            known = NotFound()
        case HTTPException() if error.status_code < 500:
            known = Refused(Code.INVALID_REQUEST)
        case _:
            log.error("request_failed", request_id=request_id, exc_info=error)
            known = error
    response = problem_response(known, request_id)
    if isinstance(error, MethodNotAllowedException) and error.headers:
        response.headers["Allow"] = error.headers["allow"]
    return response
