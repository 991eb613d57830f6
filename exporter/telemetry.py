"""Postel's own telemetry: counters at /metrics, and one JSON line an event in the log, never a payload value.

Source: docs/operate.md, "Health and own telemetry".
"""

import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.batch import Batch, Outcome
from exporter.otlp.records import LOGS, METRICS, SPANS

# When a counter was made is of no use to anybody here, and doubles what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_MAX_AGENTS = 100
_MAX_AGENT_LENGTH = 64
_NOT_IN_AN_AGENT = re.compile(r"[^A-Za-z0-9._-]")


Metric: TypeAlias = GaugeMetricFamily | CounterMetricFamily
GAUGE, COUNTER = GaugeMetricFamily, CounterMetricFamily
Read: TypeAlias = Callable[[], Mapping[Sequence[str], float]]
"""Values by the texts of their labels."""


class _Watched(Collector):
    """A metric that somebody else keeps."""

    def __init__(self, kind: type[Metric], name: str, text: str, labels: Sequence[str], read: Read) -> None:
        self._new, self._read = partial(kind, name, text, labels=labels), read

    def collect(self) -> Iterable[Metric]:
        """The values of now."""
        family = self._new()
        for labels, value in self._read().items():
            family.add_metric(labels, value)
        yield family


class Telemetry:
    """The counters of one server; `exposition` is what /metrics answers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        make = {"registry": self._registry, "namespace": "postel"}
        self.received = Counter(
            "received_records",
            "Records of bodies that were answered: accepted + deduplicated + dropped + rejected.",
            ["signal"],
            **make,  # type: ignore[arg-type]
        )
        self.dropped = Counter("dropped_records", "Records dropped by configuration.", ["signal"], **make)  # type: ignore[arg-type]
        self.accepted = Counter("accepted_records", "Records stored.", ["signal"], **make)  # type: ignore[arg-type]
        self.deduplicated = Counter(
            "deduplicated_records",
            "Records that were stored already.",
            ["signal"],
            **make,  # type: ignore[arg-type]
        )
        self.rejected = Counter("rejected_records", "Records refused.", ["signal", "reason"], **make)  # type: ignore[arg-type]
        self.sanitised = Counter(
            "sanitised_values",
            "Values stored in another form than sent; of those that repeat byte for byte mostly the first alone.",
            ["signal", "reason"],
            **make,  # type: ignore[arg-type]
        )
        self.requests = Counter("http_requests", "Requests by path and status.", ["path", "status"], **make)  # type: ignore[arg-type]
        self.senders = Counter("senders", "Bodies taken in, by who sent them.", ["user_agent"], **make)  # type: ignore[arg-type]
        self._agents: set[str] = set()
        self.acknowledgement = Histogram(
            "acknowledgement_seconds",
            "From the body's arrival to the commit.",
            ["signal"],
            buckets=_BUCKETS,
            **make,  # type: ignore[arg-type]
        )
        self.commit = Histogram(
            "commit_seconds",
            "From a group's first statement to its COMMIT.",
            buckets=_BUCKETS,
            **make,  # type: ignore[arg-type]
        )
        self.failures = Counter(
            "write_failures",
            "Attempts to store a group that failed, by what PostgreSQL or its driver said.",
            ["error"],
            **make,  # type: ignore[arg-type]
        )
        self.in_flight = Gauge("in_flight_bytes", "Reserved by requests under way.", **make)  # type: ignore[arg-type]
        for signal in (SPANS, LOGS, METRICS):
            # Counted from nothing: rates are right from the first record on.
            for counter in (self.received, self.accepted, self.deduplicated, self.dropped):
                counter.labels(signal)

    def watch(
        self, kind: type[Metric], name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Show a gauge or counter whose values by `label` ("": there is one) are read when somebody asks for them."""

        def labelled() -> Mapping[Sequence[str], float]:
            return {(text,) if label else (): value for text, value in read().items()}

        self.watch_all(kind, name, text, [label] if label else [], labelled)

    def watch_all(self, kind: type[Metric], name: str, text: str, labels: Sequence[str], read: Read) -> None:
        """The same of several labels, of which each value has as many."""
        self._registry.register(_Watched(kind, f"postel_{name}", text, labels, read))

    def count(self, batch: Batch, outcome: Outcome, sanitised: dict[str, int]) -> None:
        """Count what became of one request's records."""
        signal = batch.signal.name
        self.received.labels(signal).inc(batch.received)
        self.accepted.labels(signal).inc(outcome.stored)
        self.deduplicated.labels(signal).inc(outcome.deduplicated)
        unknown = outcome.rejected
        for refusal in batch.refusals + batch.found:
            self.rejected.labels(signal, refusal.reason).inc(refusal.count)
            unknown -= refusal.count
        if unknown > 0:
            # The answer to an earlier attempt tells how many: hardly anything else is refused this late.
            self.rejected.labels(signal, "conflict").inc(unknown)
        for reason, count in sanitised.items():
            self.sanitised.labels(signal, reason).inc(count)

    def count_sender(self, user_agent: str) -> None:
        """Count a body that was taken in under the product of its User-Agent, without version and comment.

        Anybody may send any User-Agent: after 100 different ones each new one is `other`.
        """
        agent = (
            _NOT_IN_AN_AGENT.sub("_", re.split("[/(]", user_agent, maxsplit=1)[0].strip()[:_MAX_AGENT_LENGTH]) or "none"
        )
        if agent not in self._agents and len(self._agents) >= _MAX_AGENTS:
            agent = "other"
        else:
            self._agents.add(agent)
        self.senders.labels(agent).inc()

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One event as one line of JSON."""
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            # The kind of an exception, not its text: a text may quote what was sent.
            event["error"] = record.exc_info[0].__name__
        return msgspec.json.encode(event).decode()


def log_to_stderr() -> None:
    """Send Postel's and the server's log to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("postel").setLevel(logging.INFO)
