"""What docs/api.md asks each endpoint; one without an entry here is not documented, which fails."""

from types import MappingProxyType
from typing import Final, NamedTuple

from tests.docs.records import CHARGE_SPAN, DECLINED


class Example(NamedTuple):
    """A path and query below /api that is asked, and what it shows; of one that `streams`, or `varies` from machine to
    machine, the answer is left out."""

    asked: str
    about: str = ""
    streams: bool = False
    most_lines: int = 40
    varies: bool = False


EXAMPLES: Final = MappingProxyType(
    {
        "/traces": (
            Example("/traces?since=15m&status=error", "What has failed in the last quarter of an hour:"),
            Example("/traces?since=15m&min_duration=20ms&format=text"),
        ),
        "/traces/{trace_id}": (
            Example(f"/traces/{DECLINED}?format=text", "To read it in a terminal:"),
            Example(f"/traces/{DECLINED}"),
            Example(f"/traces/{DECLINED}?format=otlp", "As it was sent, to give it to another backend:"),
        ),
        "/traces/{trace_id}/spans": (Example(f"/traces/{DECLINED}/spans?semantic_type=db", "Its database work:"),),
        "/spans": (
            Example("/spans?since=15m&event.exception.type=CardDeclined", "Spans with such an exception:"),
            Example(
                "/spans?since=15m&attr.http.response.status_code__gte=400&format=text", "What answered 4xx or 5xx:"
            ),
        ),
        "/logs": (
            Example("/logs?since=15m&severity=warn&format=text"),
            Example("/logs?since=15m&service=checkout&q=declined"),
        ),
        "/logs/tail": (
            Example("/logs/tail?severity=error", "One line for each, as it is committed. Ctrl-C ends it:", True),
        ),
        "/logs/trace/{trace_id}": (Example(f"/logs/trace/{DECLINED}?format=text"),),
        "/logs/trace/{trace_id}/spans": (Example(f"/logs/trace/{DECLINED}/spans"),),
        "/logs/trace/{trace_id}/span/{span_id}": (Example(f"/logs/trace/{DECLINED}/span/{CHARGE_SPAN}"),),
        "/spans/tail": (
            Example("/spans/tail?service=checkout&status=error", "One line for each, as it is committed:", True),
        ),
        "/metrics": (Example("/metrics?format=text"), Example("/metrics?name=orders.waiting")),
        "/metrics/series": (
            Example("/metrics/series?name=http.server.request.duration&since=15m&format=text"),
            Example("/metrics/series?name=http.server.request.duration&since=15m&attr.http.route=/api/checkout"),
            Example(
                "/metrics/series?name=http.server.request.duration&since=15m&aggregation=p95&step=5m&group_by=http.route",
                "How long requests took, by route, every five minutes:",
            ),
        ),
        "/metrics/exemplars": (
            Example(
                "/metrics/exemplars?name=http.server.request.duration&since=15m&limit=5&format=text",
                "From a metric to traces that it was measured in:",
            ),
            Example("/metrics/exemplars?since=15m&attr.http.route=/api/checkout&limit=1"),
        ),
        "/traces/{trace_id}/exemplars": (
            Example(f"/traces/{DECLINED}/exemplars?format=text", "From a trace to the metrics that point at it:"),
        ),
        "/metrics/labels": (
            Example("/metrics/labels?name=http.server.request.duration", "The same, whatever characters the name has:"),
        ),
        "/metrics/{name:path}/labels": (
            Example("/metrics/http.server.request.duration/labels?format=text"),
            Example("/metrics/http.server.request.duration/labels?attribute=http.route"),
        ),
        "/services": (Example("/services?since=15m"),),
        "/services/graph": (
            Example("/services/graph?since=15m&format=text", "Who calls whom, how often and how fast:"),
            Example("/services/graph?since=15m&service=checkout"),
        ),
        "/services/{service:path}/operations": (
            Example("/services/checkout/operations?since=15m&format=text"),
            Example("/services/checkout/operations?since=15m&kind=server"),
            Example(
                "/services/checkout/operations?since=15m&adjusted=true&format=text",
                "How many there were, not how many a sampler let through:",
            ),
        ),
        "/attributes": (Example("/attributes?signal=logs&format=text"), Example("/attributes?signal=resource")),
        "/attributes/{key:path}/values": (Example("/attributes/http.route/values?signal=spans"),),
        "/config": (Example("/config", "Attribute lists, the overrides file and every setting, without secrets:"),),
        "/storage": (
            Example(
                "/storage?format=text&limit=10&budget=50GiB",
                "[storage.md](storage.md) shows what that looks like.",
                varies=True,
            ),
        ),
        "/openapi.json": (
            Example("/openapi.json", "For Swagger UI, Postman and generators of clients:", most_lines=10),
        ),
    }
)
"""The path of an endpoint, as its routes have it -> its examples."""
