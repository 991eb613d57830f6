"""What operations, edges and counts of spans are, in plain Python, and random spans to ask it about."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from exporter.otlp.records import SPANS
from queries.params import Window
from tests.exporter.sending import attributes
from tests.queries.sampling_oracle import adjusted_count, random_trace_state

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
WIDTH = 2 ** (1 / 16)
"""How wide a bucket is."""

Service = tuple[str, str | None]
Key = tuple[int, int]
SERVICES: Sequence[Service] = (
    ("web", "shop"),
    ("web", "lab"),
    ("cart/api", None),
    ("unknown_service", None),
    ("mail", "shop"),
)


class Sent(Struct, frozen=True):
    """A span as it was sent; `pod` is one of its service's resources."""

    service: Service
    pod: int
    trace: int
    id: int
    parent: int | None
    start: int
    end: int
    kind: int
    name: str
    is_error: bool
    links: tuple[Key, ...] = ()
    trace_state: str = ""

    def weight(self, adjusted: bool) -> Fraction:
        """How many spans it counts as."""
        return (adjusted_count(self.trace_state) if adjusted else None) or Fraction(1)

    @property
    def duration(self) -> int:
        """As otel_duration() has it."""
        return min(max(0, self.end - self.start), (1 << 63) - 1)


class Spans:
    """Everything that was sent; `filed` says where a span's time is another one than its own."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.filed: dict[Key, int] = {}

    def time(self, span: Sent) -> int:
        """When a span is filed."""
        return self.filed.get((span.trace, span.id), span.start)

    def within(self, window: Window) -> list[Sent]:
        """The spans of a window."""
        return [span for span in self.sent if window.start <= self.time(span) < window.end]

    def operations(self, service: str, window: Window) -> dict[tuple[str, int], list[Sent]]:
        """The spans behind each operation of a service."""
        found = defaultdict(list)
        for span in self.within(window):
            if span.service[0] == service:
                found[span.name, span.kind].append(span)
        return found

    def counts(self, window: Window, adjusted: bool) -> dict[Service, Fraction]:
        """Spans by service."""
        found = defaultdict[Service, Fraction](Fraction)
        for span in self.within(window):
            found[span.service] += span.weight(adjusted)
        return found

    def edges(self, window: Window) -> dict[tuple[Service, Service, str], list[Sent]]:
        """The server's or consumer's spans behind each edge."""
        by_id = defaultdict(list)
        for span in self.sent:
            by_id[span.trace, span.id].append(span)
        found = defaultdict(list)
        for span in self.within(window):
            if span.kind not in (SERVER, CONSUMER):
                continue
            parent = (span.trace, span.parent)
            clients = list(by_id[parent]) if span.parent else []  # type: ignore[index]
            if span.kind == CONSUMER:
                targets = {link for link in span.links if link != parent}
                clients += [client for link in targets for client in by_id[link] if client.kind == PRODUCER]
            for client in clients:
                ahead = self.time(span) - self.time(client)
                if client.service != span.service and -MINUTE <= ahead <= HOUR:
                    found[client.service, span.service, "call" if span.kind == SERVER else "message"].append(span)
        return found


def assert_calls(found: Any, spans: Sequence[Sent], window: Window, adjusted: bool) -> None:
    """The fields of answers.Calls are those of these spans."""
    calls = sum((span.weight(adjusted) for span in spans), Fraction())
    errors = sum((span.weight(adjusted) for span in spans if span.is_error), Fraction())
    assert (found.calls, found.errors) == (float(calls), float(errors))
    assert adjusted or (isinstance(found.calls, int) and isinstance(found.errors, int))
    assert found.rate == pytest.approx(found.calls * SECOND / (window.end - window.start))
    assert found.error_share == pytest.approx(float(errors / calls))
    for percent in (50, 95, 99):
        exact = _percentile(spans, min(calls, Fraction(max(1, math.ceil(percent * calls / 100)))), adjusted)
        estimate = getattr(found, f"p{percent}_nanos")
        assert exact / WIDTH - 1 <= estimate <= exact * WIDTH + 1, (percent, exact, estimate)


def _percentile(spans: Iterable[Sent], rank: Fraction, adjusted: bool) -> int:
    """How long the call of this rank took, of all that these spans stand for."""
    for span in sorted(spans, key=lambda span: span.duration):
        rank -= span.weight(adjusted)
        if rank <= 0:
            return span.duration
    raise AssertionError("there are not so many")


def random_spans(rng: Random, count: int, begin: int, end: int, sampled: bool) -> list[Sent]:
    """Spans of many small traces: parents that begin after their children or long before, in the same service or
    another, doubled links, ends before starts; `sampled`: with tracestates of every kind."""
    made: list[Sent] = []
    for _ in range(count):
        near = rng.choice(made) if made and rng.random() < 0.75 else None
        trace = near.trace if near else rng.getrandbits(120) + 1
        distance = rng.choice((rng.randrange(-70 * SECOND, 5 * MINUTE), rng.randrange(SECOND), rng.randrange(2 * HOUR)))
        start = near.start + distance if near else rng.randrange(begin, end)
        if rng.random() < 0.03:
            start = rng.choice((0, 1, start - 40 * 24 * HOUR, start + 3 * 24 * HOUR))
        linked = [rng.choice(made) for _ in range(rng.randrange(3)) if made and rng.random() < 0.5]
        linked += [near] if near and rng.random() < 0.2 else []
        links = [(span.trace, span.id) for span in linked for _ in range(rng.randrange(1, 3))]
        made.append(
            Sent(
                service=rng.choice(SERVICES),
                pod=rng.randrange(2),
                trace=trace,
                id=rng.getrandbits(60) + 1,
                parent=near.id if near and rng.random() < 0.9 else rng.choice((None, 77)),
                start=max(0, start),
                end=max(0, start + rng.choice((-5, 0, 1, rng.randrange(SECOND), int(rng.lognormvariate(16, 3))))),
                kind=rng.choice((0, 1, SERVER, SERVER, CLIENT, PRODUCER, CONSUMER, CONSUMER, 9)),
                name=rng.choice(("GET /", "work", "größer\0")),
                is_error=rng.random() < 0.2,
                links=tuple(links),
                trace_state=random_trace_state(rng) if sampled and rng.random() < 0.7 else "",
            )
        )
    return made


def request(spans: Iterable[Sent]) -> tuple[str, bytes]:
    """(signal, body) of spans."""
    message = ExportTraceServiceRequest()
    groups = defaultdict(list)
    for span in spans:
        groups[span.service, span.pod].append(span)
    for ((name, namespace), pod), members in groups.items():
        group = message.resource_spans.add()
        named = {} if name == "unknown_service" else {"service.name": name}
        spaced = {} if namespace is None else {"service.namespace": namespace}
        group.resource.attributes.extend(attributes(named | spaced | {"pod": pod}))
        group.scope_spans.add().spans.extend(map(_proto, members))
    return SPANS, message.SerializeToString()


def _proto(span: Sent) -> ProtoSpan:
    return ProtoSpan(
        trace_id=span.trace.to_bytes(16, "big"),
        span_id=span.id.to_bytes(8, "big"),
        parent_span_id=b"" if span.parent is None else span.parent.to_bytes(8, "big"),
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.end,
        kind=span.kind,  # type: ignore[arg-type]
        name=span.name,
        trace_state=span.trace_state,
        status=Status(code=2 if span.is_error else 0),  # type: ignore[arg-type]
        attributes=attributes({"n": span.id % 3}),
        links=[
            ProtoSpan.Link(trace_id=trace.to_bytes(16, "big"), span_id=id_.to_bytes(8, "big"))
            for trace, id_ in span.links
        ],
    )
