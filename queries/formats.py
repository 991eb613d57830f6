"""The forms of an answer: plain JSON with its page's frame, or one OTLP/JSON export request; and errors."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from exporter.otlp import export
from queries import cursors
from queries.dimensions import Resource, Scope
from queries.pages import Request, Total


class Placed(Protocol):
    """A record that has a resource and a scope."""

    @property
    def resource(self) -> Resource:
        """Its resource."""

    @property
    def scope(self) -> Scope:
        """Its scope."""


R = TypeVar("R", bound=Placed)


def respond(content: object, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """A JSON response."""
    return Response(msgspec.json.encode(content) + b"\n", status, headers, "application/json")


def link(http: HttpRequest, cursor: str | None) -> dict[str, str]:
    """The Link header to the next page: this request with that cursor."""
    if cursor is None:
        return {}
    given = [(name, value) for name, value in http.query_params.multi_items() if name not in ("cursor", "offset")]
    return {"link": f'<{http.url.path}?{urlencode([*given, ("cursor", cursor)])}>; rel="next"'}


def frame(total: Total, has_more: bool, cursor: str | None) -> dict[str, Any]:
    """What every list says about itself."""
    return {
        "total": total.count,
        "total_relation": total.relation,
        "has_more": has_more,
        "next_cursor": cursor,
    }


def window(request: Request) -> dict[str, Any]:
    """The window that was used, as parameters would give it."""
    return {"window": {"start_time": request.window.start, "end_time": request.window.end}}


def next_cursor(of: str, request: Request, keys: Sequence[cursors.Key]) -> str | None:
    """The cursor after a page, whose records and one more have these keys; None where there is no more."""
    return cursors.encode(of, request.window, keys[request.limit - 1]) if len(keys) > request.limit else None


def export_request(signal: str, records: Iterable[R], to_json: Callable[[list[R]], list[export.Json]]) -> export.Json:
    """One OTLP/JSON export request of records, grouped by resource and scope in the order they first appear."""
    resources: dict[int, tuple[Resource, dict[int, tuple[Scope, list[R]]]]] = {}
    for record in records:
        _, scopes = resources.setdefault(record.resource.id, (record.resource, {}))
        scopes.setdefault(record.scope.id, (record.scope, []))[1].append(record)
    return export.request(
        signal,
        (
            (
                resource.record,
                resource.schema_url,
                [(scope.record, scope.schema_url, to_json(found)) for scope, found in scopes.values()],
            )
            for resource, scopes in resources.values()
        ),
    )
