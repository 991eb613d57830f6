"""START HERE: the ASGI application, its routes, lifespan, and the one table from error to HTTP status.

A body goes `body` -> `ingest` (`otlp` -> `traces|logs|metrics` -> `dimensions`) -> `writer` -> PostgreSQL.
"""

import logging
import random
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from exporter import body, errors
from exporter.access import Access, Tokens
from exporter.app_config import configuration
from exporter.otlp.http import PATHS, Encoding, encoding, status, success
from exporter.settings import Settings
from exporter.sidecar import Sidecar
from queries.asking import Host
from queries.database import ReadDatabase
from queries.errors import shape
from queries.filtered import Filtered
from queries.routes import routes as query_routes
from queries.tails import Tails

log = logging.getLogger("postel")
_STATUS: dict[type[errors.PostelError], tuple[int, int]] = {
    errors.UndecodableBody: (400, 3),
    errors.Unauthenticated: (401, 16),
    errors.Forbidden: (403, 7),
    errors.BodyStalled: (408, 4),
    errors.BodyTooLarge: (413, 8),
    errors.UnsupportedMediaType: (415, 3),
    errors.Unavailable: (503, 14),
}
"""Error -> HTTP status and google.rpc.Code (3 invalid argument, 4 deadline, 7 permission denied, 8 exhausted,
14 unavailable, 16 unauthenticated)."""
_RPC_CODES = {404: 5, 405: 12}

HINTS = """\
curl '{0}/api/services?since=1h&format=text'             # what sends here: OTLP to /v1/traces, /v1/logs, /v1/metrics
curl '{0}/api/traces?since=15m&format=text'              # then /api/traces/TRACE_ID?format=text: its waterfall
curl '{0}/api/logs?since=15m&severity=warn&format=text'  # or logs?trace_id=TRACE_ID; &width=120&color=always
curl '{0}/api/metrics?since=1h&format=text'              # then /api/metrics/series?name=NAME&format=text: its curves
curl '{0}/api/spans?since=15m&format=otlp'               # every field, as it was sent; without a format: JSON
"""


def create_app(sidecar: Sidecar, tokens: Tokens) -> Starlette:
    """The application around a sidecar, which it starts, for those who bring one of the tokens."""
    reading = ReadDatabase(sidecar.database_url, sidecar.settings)
    sidecar.databases.append(reading)
    tails = Tails(reading, sidecar.settings.dedup_window)
    sidecar.ending.append(tails.close)
    sidecar.filtered = filtered = Filtered()
    host = Host(
        lambda: sidecar.promotion.promoted,
        partial(configuration, sidecar),
        filtered,
        lambda owner, key: key in sidecar.promotion.dropped(owner),
    )
    reads = query_routes(tails, host)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        sidecar.start()
        yield
        tails.close()
        await reading.close()

    def take(signal: str) -> Any:
        async def endpoint(request: Request) -> Response:
            return await _take(sidecar, signal, request)

        return endpoint

    async def readyz(_request: Request) -> Response:
        obstacle = await sidecar.readiness()
        return PlainTextResponse(f"{obstacle or 'ready'}\n", 503 if obstacle else 200)

    async def metrics(_request: Request) -> Response:
        return Response(sidecar.telemetry.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app = Starlette(
        routes=[
            *(Route(path, take(signal), methods=["POST"]) for signal, path in PATHS.items()),
            Route("/", _hints),
            Route("/healthz", _healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Mount("/api/v2", routes=reads),
            Mount("/api", routes=reads),
        ],
        middleware=[
            *_cors(sidecar.settings),
            Middleware(Access, tokens=tokens, refuse=_unauthorised),
            Middleware(GZipMiddleware, minimum_size=4096, compresslevel=1),
        ],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
    # Any other path is a 404, also one with a slash too many: not every sender posts its body again after a redirect.
    app.router.redirect_slashes = False
    return app


async def _hints(request: Request) -> Response:
    return PlainTextResponse(HINTS.format(str(request.base_url).rstrip("/")))


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _take(sidecar: Sidecar, signal: str, request: Request) -> Response:
    """Take in one body: the answer is given after its records are committed."""
    answer_in: Encoding | None = None
    try:
        answer_in = encoding(request.headers.get("content-type", ""))
        content = await _stored(sidecar, signal, answer_in, request)
        response = Response(content, media_type=answer_in.value)
    except ClientDisconnect:
        response = Response(status_code=400)
    except (errors.RequestError, errors.Unavailable) as error:
        response = _refusal(answer_in, error)
    except Exception:
        # Nobody's telemetry is lost to a defect of ours: the sender keeps it.
        log.exception("a body could not be taken in")
        response = _refusal(answer_in, errors.StorageUnavailable("internal error; it is logged"))
    sidecar.telemetry.requests.labels(request.url.path, str(response.status_code)).inc()
    return response


async def _stored(sidecar: Sidecar, signal: str, answer_in: Encoding, request: Request) -> bytes:
    settings, telemetry = sidecar.settings, sidecar.telemetry
    async with sidecar.admission.visit(_client(request, settings)) as visit:
        ingest = sidecar.ingest
        content, digested = await body.read(request, settings, visit, partial(ingest.digest, signal, answer_in))
        started = time.monotonic()
        outcome = await ingest.take(signal, answer_in, content, digested, visit)
    telemetry.acknowledgement.labels(signal).observe(time.monotonic() - started)
    telemetry.count_sender(request.headers.get("user-agent", ""))
    return success(answer_in, signal, outcome.rejected, outcome.message)


def _client(request: Request, settings: Settings) -> Hashable:
    """Who sends, as far as taking turns goes: a gateway's address may stand for many, whom their tokens tell apart."""
    address = request.client.host if request.client else ""
    return address if settings.ingest_token_file is None else (address, request.headers.get("authorization"))


def _refusal(answer_in: Encoding | None, error: errors.PostelError) -> Response:
    http, rpc = next(found for kind, found in _STATUS.items() if isinstance(error, kind))
    headers = {"Retry-After": str(random.randint(1, 5))} if http == 503 else {}
    return _status_response(answer_in, http, rpc, str(error), headers)


def _status_response(
    answer_in: Encoding | None, http: int, rpc: int, message: str, headers: dict[str, str]
) -> Response:
    media_type = (answer_in or Encoding.PROTOBUF).value
    return Response(status(answer_in, rpc, message), http, headers, media_type=media_type)


def _cors(settings: Settings) -> list[Middleware]:
    if settings.cors_origins is None:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Link", "Retry-After"],
            max_age=7200,
        )
    ]


def _unauthorised(request: Request, error: errors.PostelError) -> Response:
    http, rpc = _STATUS[type(error)]
    headers = {"WWW-Authenticate": "Bearer"} if http == 401 else {}
    if request.url.path.startswith("/v1/"):
        return _status_response(_encoding_of(request), http, rpc, str(error), headers)
    code = "unauthenticated" if http == 401 else "forbidden"
    shown = shape(code, str(error), hint="Authorization: Bearer TOKEN, a token of read_token_file")
    return JSONResponse(shown, http, headers)


def _encoding_of(request: Request) -> Encoding | None:
    try:
        return encoding(request.headers.get("content-type", ""))
    except errors.UnsupportedMediaType:
        return None


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if not request.url.path.startswith("/api"):
        message = f"{error.detail}: POST to {', '.join(PATHS.values())}"
        code = _RPC_CODES.get(error.status_code, 2)
        return _status_response(_encoding_of(request), error.status_code, code, message, headers)
    reason = error.detail.lower().replace(" ", "_")
    shown = shape(reason, f"{error.detail}: {request.url.path}", hint="GET / says what to ask")
    return JSONResponse(shown, error.status_code, headers)
