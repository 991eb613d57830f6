"""The forms of an answer: JSON, its records as JSON lines, text for a terminal, an OTLP export request; and errors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse

from exporter.otlp import export
from exporter.otlp.export_protobuf import to_protobuf
from queries.dimensions import Resource, Scope
from queries.params import JSON, NDJSON, OTLP, SSE, TEXT
from queries.text import draw
from queries.text_cells import Style

JSON_TYPE, NDJSON_TYPE, TEXT_TYPE = "application/json", "application/x-ndjson", "text/plain; charset=utf-8"
PROTOBUF_TYPE, SSE_TYPE = "application/x-protobuf", "text/event-stream"
_ACCEPTED = {
    "application/json": JSON,
    "application/x-ndjson": NDJSON,
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
    "text/plain": TEXT,
    SSE_TYPE: SSE,
    PROTOBUF_TYPE: OTLP,
}
"""Media type of an Accept header -> the form that it asks for."""
_LINES = 50
"""Records that are sent at a time."""


class Form(NamedTuple):
    """The form of an answer: one of json, ndjson, text, otlp, possibly as protobuf, or sse."""

    name: str
    is_protobuf: bool = False


class Placed(Protocol):
    """A record that has a resource and a scope."""

    @property
    def resource(self) -> Resource:
        """Its resource."""

    @property
    def scope(self) -> Scope:
        """Its scope."""


R = TypeVar("R", bound=Placed)
ToOtlp = Callable[[], tuple[str, export.Json]]
"""Makes a signal's name and one export request of it."""


def chosen(given: str | None, accept: str, allowed: Sequence[str]) -> Form:
    """The form that a request asks for by its parameter, else by its Accept header, else JSON."""
    accepted = [_ACCEPTED[media_type] for media_type in _preferred(accept) if media_type in _ACCEPTED]
    name = given or next((form for form in accepted if form in allowed), JSON)
    return Form(name, name == OTLP and next((form for form in accepted if form in (OTLP, JSON)), JSON) == OTLP)


def _preferred(accept: str) -> list[str]:
    """The media types of an Accept header, the preferred ones first."""
    weighed: list[tuple[float, str]] = []
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        weighed.append((float(quality) if quality.replace(".", "", 1).isdigit() else 0.0, media_type))
    return [media_type for quality, media_type in sorted(weighed, key=lambda pair: -pair[0]) if quality > 0]


def media_type(form: str) -> str:
    """What a form's answer is called."""
    return next(name for name, found in _ACCEPTED.items() if found == form)


def answer(form: Form, content: Struct, style: Style, headers: dict[str, str], otlp: ToOtlp | None) -> Response:
    """The response in this form; `otlp` makes the export request of the same records."""
    if form.name == OTLP and otlp is not None:
        signal, request = otlp()
        if form.is_protobuf:
            return Response(to_protobuf(signal, request), 200, headers, PROTOBUF_TYPE)
        return respond(request, headers)
    if form.name == NDJSON:
        return StreamingResponse(_lines(records_of(content)), 200, headers, NDJSON_TYPE)
    if form.name == TEXT:
        return Response(draw(content, style), 200, headers, TEXT_TYPE)
    return respond(content, headers)


def records_of(content: Struct) -> Sequence[Any]:
    """The records of an answer: its list of that name."""
    found: Sequence[Any] = getattr(content, type(content).records)  # type: ignore[attr-defined]
    return found


def _lines(records: Sequence[Any]) -> Iterator[bytes]:
    for begin in range(0, len(records), _LINES):
        yield msgspec.json.Encoder().encode_lines(records[begin : begin + _LINES])


def respond(content: object, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """A JSON response."""
    return Response(msgspec.json.encode(content) + b"\n", status, headers, JSON_TYPE)


def link(http: HttpRequest, cursor: str | None, below: str = "") -> dict[str, str]:
    """The Link header to the next page: this request, or one `below` it, with that cursor."""
    if cursor is None:
        return {}
    given = [(name, value) for name, value in http.query_params.multi_items() if name not in ("cursor", "offset")]
    return {"link": f'<{http.url.path}{below}?{urlencode([*given, ("cursor", cursor)])}>; rel="next"'}


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
