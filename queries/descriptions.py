"""What the words of the API mean, each said once with an example, for its OpenAPI description and for docs/api.md."""

from types import MappingProxyType
from typing import Final, NamedTuple

ABOUT: Final = (
    "What Postel has stored, newest first. Times are unix nanoseconds and ids lower-case hex; integers have up to 64 "
    "bits (a time that was sent out of range is unsigned), so parse them as such. A field without a value is null, "
    "never left out. Lists come in pages: `next_cursor`, or the Link header, leads to the next one. A token "
    "(`Authorization: Bearer`) is needed only where the server has a `read_token_file`."
)
FILTERING: Final = (
    "Filters on attributes, any number, all of which have to hold: `KEY=value`, or with an operator after the key, "
    "`KEY__gte=500`."
)


class Described(NamedTuple):
    """What a word means, and what one types."""

    text: str
    example: str


PARAMETERS: Final = MappingProxyType(
    {
        "start_time": Described(
            "Where the window begins, inclusive: a time before now, RFC 3339, or unix nanoseconds.", "now-15m"
        ),
        "end_time": Described("Where the window ends, exclusive; now, unless given.", "2026-01-31T09:30:00Z"),
        "since": Described(
            "How long the window is, up to `end_time`, in place of `start_time`. Units: ns, us, ms, s, m, h, d, w.",
            "15m",
        ),
        "service": Described(
            "What this service sent; of traces, those in which it has a span; of the graph, what it calls or is called "
            "by. Exact. Repeatable: any of them.",
            "checkout",
        ),
        "namespace": Described(
            "What services of this namespace sent (`service.namespace`). Exact. Repeatable: any of them.", "shop"
        ),
        "root_service": Described("Traces that this service began. Repeatable: any of them.", "frontend"),
        "name": Described(
            "The name of a span, or of a metric; of a trace, that of one of its spans. Exact. Repeatable: any of them.",
            "payment.Charge",
        ),
        "kind": Described("Spans of this kind, by name or number. Repeatable: any of them.", "server"),
        "status": Described(
            "Spans of this status; of traces, `error` = some span has failed, `ok` = none has.", "error"
        ),
        "min_duration": Described("What took at least so long.", "250ms"),
        "max_duration": Described("What took at most so long.", "2s"),
        "semantic_type": Described(
            "Spans of this kind of work, told by what their attributes' keys begin with. Repeatable: any of them.", "db"
        ),
        "trace_id": Described(
            "A trace, by its id in hex.",
            "5b8efff798038103d269b633813fc60c",
        ),
        "span_id": Described("A span, by its id in hex.", "eee19b7ec3c1b174"),
        "severity": Described("Log records of this severity or a worse one, by name or number.", "warn"),
        "event_name": Described("Log records of this event. Repeatable: any of them.", "payment.declined"),
        "q": Described("Log records with this text in their body, in any case.", "declined"),
        "aggregation": Described(
            "One value a step in place of raw points: avg, sum, min, max, count; of counters rate or increase; of "
            "histograms p50, p90, p95 or p99.",
            "rate",
        ),
        "group_by": Described(
            "One line for each value of this: an attribute's key, `resource.KEY` or `service`. Repeatable: for each "
            "combination. Without it there is one line in all.",
            "http.route",
        ),
        "step": Described("How long the steps of an aggregation are.", "1m"),
        "attribute": Described("The values of this label, in place of all keys.", "http.route"),
        "signal": Described("Only of these: records of a signal, resources or scopes.", "spans"),
        "budget": Described("How large all of it may become: tells how many days that takes.", "50GiB"),
        "key": Described("An attribute's key.", "http.route"),
        "limit": Described(
            "How many at most, up to 1000. Without it 100; of a trace 1000 log records, 10000 spans.", "20"
        ),
        "offset": Described(
            "How many to leave out. For a long walk take `cursor`: it neither skips nor repeats.", "100"
        ),
        "cursor": Described("`next_cursor` of the page before, as it is; it holds the window too.", "lKZ0cmFjZXPPGOpz"),
        "count": Described("`total` is counted to the end, however long that takes.", "exact"),
        "adjusted": Described(
            "A span counts for as many as it stands for, where its tracestate tells how it was sampled (`ot=th:`).",
            "true",
        ),
        "format": Described("The form of the answer; without it the Accept header says.", "text"),
        "width": Described("How many columns text may take.", "120"),
        "color": Described("Whether text is coloured.", "always"),
    }
)
"""A parameter means the same on every endpoint, whether it stands in the query or in the path."""

FILTERS: Final = MappingProxyType(
    {
        "attr": Described("an attribute of the record itself", "attr.http.route=/cart"),
        "resource": Described("an attribute of what sent it", "resource.k8s.pod.name=checkout-7d4b9"),
        "scope": Described("an attribute of the instrumentation scope", "scope.library.tier=beta"),
        "event": Described("an attribute of one of the span's events", "event.exception.type=TimeoutError"),
    }
)
"""What a filter on attributes begins with: what the attribute lies on."""

OPERATORS: Final = MappingProxyType(
    {
        "eq": Described("reads like this text: 200 is int 200, double 200.0 and string 200", "attr.http.route=/cart"),
        "ne": Described("is there and reads otherwise", "attr.http.route__ne=/health"),
        "gt": Described("is greater", "attr.http.response.status_code__gt=499"),
        "gte": Described("is greater or equal", "attr.http.response.status_code__gte=500"),
        "lt": Described("is less", "attr.cart.items__lt=3"),
        "lte": Described("is less or equal", "attr.cart.items__lte=3"),
        "in": Described(r"reads like one of these; a comma in one is `\,`", "attr.http.request.method__in=PUT,POST"),
        "like": Described(
            r"fits an SQL pattern: % any text, _ any character, \ before either", "attr.url.path__like=/api/%"
        ),
        "exists": Described("is there, or with false is not", "attr.error.type__exists=true"),
    }
)
"""What follows the key after two underscores; nothing is `eq`."""

FORMS: Final = MappingProxyType(
    {
        "json": Described(
            "one object; what an answer is unless something else is asked for", "Accept: application/json"
        ),
        "ndjson": Described("its records, one JSON object a line", "Accept: application/x-ndjson"),
        "text": Described("for a terminal", "Accept: text/plain"),
        "otlp": Described(
            "an OTLP export request, every field as it was sent: JSON, or protobuf by Accept",
            "Accept: application/x-protobuf",
        ),
        "sse": Described("server-sent events, of a tail", "Accept: text/event-stream"),
    }
)
"""What `format` may be; the example is the header that asks for the same."""

ERRORS: Final = MappingProxyType(
    {
        "bad_request": Described(
            "`parameter` is not known here, or its value cannot be read; `hint` says what to type.", "400"
        ),
        "unauthenticated": Described("The server has a `read_token_file`, and the request no token of it.", "401"),
        "forbidden": Described("The token is one for sending, not for reading.", "403"),
        "not_found": Described("There is no such path, or nothing of that id is stored.", "404"),
        "method_not_allowed": Described("Only GET asks here.", "405"),
        "timeout": Described("The query took longer than `statement_timeout`: narrow it.", "503"),
        "unavailable": Described("The database cannot answer now: try again after `Retry-After` seconds.", "503"),
    }
)
"""`code` of an error; the example is its HTTP status."""
