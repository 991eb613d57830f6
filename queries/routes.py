"""START HERE on the read side: every endpoint, and the one table from error to HTTP status."""

import difflib
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from exporter.errors import Unavailable
from queries.asking import Endpoint, Host
from queries.endpoints import attributes, config, exemplars, logs, metrics, openapi, services, storage, tails, traces
from queries.errors import NotFound, QueryError, QueryTimeout, shape
from queries.formats import respond
from queries.tails import Tails

_DATA: tuple[Endpoint, ...] = (
    *traces.ENDPOINTS,
    *logs.ENDPOINTS,
    *tails.ENDPOINTS,
    *metrics.ENDPOINTS,
    *exemplars.ENDPOINTS,
    *services.ENDPOINTS,
    *attributes.ENDPOINTS,
    *config.ENDPOINTS,
    *storage.ENDPOINTS,
)
ENDPOINTS = (*_DATA, openapi.describing(_DATA))
Answer = Callable[[Tails, HttpRequest], Awaitable[Response]]

log = logging.getLogger("postel")
_RETRY = {"retry-after": "1"}


def routes(reading: Tails, host: Host) -> list[Route]:
    """The routes, to be mounted under /api and /api/v2, of what this server reads and knows."""
    return [
        *(Route(found.path, _answering(partial(found.answer, host=host), reading)) for found in ENDPOINTS),
        Route("/{path:path}", _answering(_unknown, reading)),
    ]


def _answering(answer: Answer, reading: Tails) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def answered(http: HttpRequest) -> Response:
        try:
            return await answer(reading, http)
        except QueryError as error:
            return respond(error.body(), status=error.status)
        except QueryTimeout as error:
            hint = "narrow it: a shorter window (since=15m), a service, a smaller limit"
            return respond(shape("timeout", str(error), hint=hint), _RETRY, 503)
        except Unavailable as error:
            return respond(shape("unavailable", str(error), hint="try again"), _RETRY, 503)
        except Exception:
            # What was asked stays out of the log.
            log.exception("a question could not be answered")
            return respond(shape("internal", "internal error; it is logged"), status=500)

    return answered


async def _unknown(_reading: Tails, http: HttpRequest) -> Response:
    path = "/" + http.path_params["path"].rstrip("/")
    known = [endpoint.path.replace(":path}", "}") for endpoint in ENDPOINTS]
    near = difflib.get_close_matches(path, known, 1, 0.5) or known
    raise NotFound(f"there is no {http.url.path}", hint=f"try {', '.join('/api' + found for found in near)}")
