"""What is asked at full size: the questions about spans, and with them those about logs and metrics."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from random import Random
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from bench.client import Asker
from bench.questions import (
    ASKS,
    PAGE,
    Question,
    Sample,
    Unsampled,
    drawn,
    end_after,
    listed,
    path_of,
    question,
    span_questions,
)
from exporter.promotion import Promotion

LISTS_MS, BODY_MS = 20, 100
"""Targets, p95."""
FEWER_ASKS = 10
"""Of what may run into the time-out each time."""

_MOMENTS, _LOGS = 30, 200
_SERIES, _SERIES_METRICS = 60, 4
_RARE_SHARE = 0.002
_DAY_NANO = 86_400 * 10**9
_NUMBERS = ("gauge", "sum")
_LONGEST_WORD, _SHORTEST_WORD = 40, 5


class Metric(Struct, frozen=True):
    """A metric with the attribute keys of its series."""

    name: str
    type: str
    series: int
    keys: Sequence[str]


class Records(Struct, frozen=True):
    """Some of what is stored besides spans: log records as the API shows them, and every metric."""

    logs: Sequence[Mapping[str, Any]]
    metrics: Sequence[Metric]


class Target(Struct, frozen=True):
    """A question with the p95 that its answers are to stay below, in ms; None where there is no target."""

    question: Question
    p95_ms: int | None


async def take_records(asker: Asker, start_unix_nano: int, end_unix_nano: int) -> Records:
    """Log records before moments spread over the whole time, and the metrics. Raises Unsampled where there are none."""
    lasts_nano = end_unix_nano - start_unix_nano
    logs: list[dict[str, Any]] = []
    for number in range(_MOMENTS):
        moment = start_unix_nano + lasts_nano * (number + 1) // _MOMENTS
        logs += await listed(asker, "logs", {"limit": _LOGS, "end_time": moment})
    metrics = []
    for found in await listed(asker, "metrics", {"limit": 1_000}):
        parameters = {"name": found["name"], "end_time": end_unix_nano, "limit": 1_000}
        series = await listed(asker, "series", parameters, "metrics/series")
        keys = sorted({key for line in series for key in line["attributes"]})
        metrics.append(Metric(found["name"], found["type"], found["series_count"], keys))
    if not logs or not metrics:
        raise Unsampled("the API lists no logs or no metrics")
    return Records(logs, metrics)


def targets(sample: Sample, records: Records, promotion: Promotion) -> Iterator[Target]:
    """Every question with its target, with arguments that are drawn the same way each time."""
    rng = Random(7)
    for each in (
        *span_questions(rng, sample, promotion),
        *_log_questions(rng, sample, records.logs),
        *_metric_questions(rng, sample, records.metrics),
    ):
        yield Target(each, LISTS_MS)
    yield from _body_questions(rng, sample, records.logs)


def _log_questions(rng: Random, sample: Sample, logs: Sequence[Mapping[str, Any]]) -> Iterator[Question]:
    newest: dict[str, object] = {"limit": PAGE, "end_time": sample.end_unix_nano}
    services = [{"service": name} | newest for name in drawn(rng, sorted({log["service_name"] for log in logs}))]
    yield question("newest 50 logs of a service", "logs", services, "match-logs-of-service")
    # The lowest is everything.
    names = sorted({(log["severity_number"], log["severity_text"].lower()) for log in logs})[1:]
    severities = [{"severity": name} | newest for _, name in drawn(rng, names)]
    yield question("newest 50 logs by minimum severity", "logs", severities, "match-logs-by-severity")
    ids = drawn(rng, [log["trace_id"] for log in logs if log["trace_id"]])
    of_trace = [{"trace_id": trace_id, "limit": PAGE} for trace_id in ids]
    yield question("logs of a trace", "logs", of_trace, "match-logs-of-trace")
    paths = [f"/api/logs/trace/{trace_id}/spans" for trace_id in ids]
    yield Question("logs of a trace, by span", "spans", paths, "find-logs-by-span", _total_logs)
    by_attribute = [
        newest | {f"attr.{key}": value} | end_after(log["time_unix_nano"], sample)
        for key, value, log in _attributes(rng, logs)
    ]
    yield question(
        "newest 50 logs by an attribute, of each key in turn", "logs", by_attribute, "match-logs-by-attribute"
    )


def _attributes(rng: Random, logs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str | int, Mapping[str, Any]]]:
    """A key, one of its values, and a log record that has it; key after key."""
    having: dict[str, list[Mapping[str, Any]]] = {}
    for log in logs:
        for key, value in log["attributes"].items():
            if isinstance(value, str | int) and not isinstance(value, bool):
                having.setdefault(key, []).append(log)
    for key in islice(cycle(sorted(having)), ASKS if having else 0):
        log = rng.choice(having[key])
        yield key, log["attributes"][key], log


def _metric_questions(rng: Random, sample: Sample, metrics: Sequence[Metric]) -> Iterator[Question]:
    hour = {"end_time": sample.end_unix_nano}
    labelled = drawn(rng, [metric for metric in metrics if metric.keys])
    keys = [path_of(f"metrics/{quote(metric.name)}/labels", hour) for metric in labelled]
    yield Question("labels of a metric", "labels", keys, "list-label-keys")
    values = [
        path_of(f"metrics/{quote(metric.name)}/labels", {"attribute": rng.choice(metric.keys)} | hour)
        for metric in labelled
    ]
    yield Question("values of a label", "values", values, "list-label-values")
    numbers = [metric for metric in metrics if metric.type in _NUMBERS and metric.keys]
    nearest = sorted(numbers, key=lambda metric: abs(metric.series - _SERIES))[:_SERIES_METRICS]
    series = [
        {"name": metric.name, "aggregation": "avg", "group_by": rng.choice(metric.keys), "step": "1m"} | hour
        for metric in drawn(rng, nearest)
    ]
    counts = sorted({metric.series for metric in nearest})
    size = " to ".join(str(count) for count in (*counts[:1], *counts[1:][-1:]))
    title = f"1 h of {size} series, group_by, step=1m"
    paths = [path_of("metrics/series", parameters) for parameters in series]
    yield Question(title, "series", paths, "average-points", _data_points)


def _body_questions(rng: Random, sample: Sample, logs: Sequence[Mapping[str, Any]]) -> Iterator[Target]:
    """Words of bodies as they come, and rare ones, for which the whole window has to be looked through."""
    words = [(word, log) for log in logs if isinstance(log["body"], str) for word in _words(log["body"])]
    counts: dict[str, int] = {}
    for word, _ in words:
        counts[word] = counts.get(word, 0) + 1
    rare = [(word, log) for word, log in words if counts[word] <= _RARE_SHARE * len(logs)]
    for kind, found in (("a word of a body", words), ("a rare word", rare)):
        hours = [_search(word) | end_after(log["time_unix_nano"], sample) for word, log in drawn(rng, found)]
        yield Target(question(f"newest 50 logs with {kind}, 1 h", "logs", hours, "match-logs-by-body"), BODY_MS)
        beyond = drawn(rng, found)[:FEWER_ASKS]
        days = [_search(word) | _day_of(log["time_unix_nano"], sample) for word, log in beyond]
        whole = [_search(word) | {"start_time": 0, "end_time": sample.end_unix_nano} for word, _ in beyond]
        for window, asks in (("24 h", days), ("everything", whole)):
            yield Target(question(f"newest 50 logs with {kind}, {window}", "logs", asks, "match-logs-by-body"), None)


def _day_of(time_unix_nano: int, sample: Sample) -> dict[str, int]:
    end = end_after(time_unix_nano, sample, _DAY_NANO)
    return end | {"start_time": max(0, end["end_time"] - _DAY_NANO)}


def _total_logs(answer: Mapping[str, Any]) -> int:
    return int(answer["total_logs"])


def _data_points(answer: Mapping[str, Any]) -> int:
    return sum(len(line["data_points"]) for line in answer["series"])


def _search(word: str) -> dict[str, object]:
    return {"q": word, "limit": PAGE}


def _words(body: str) -> list[str]:
    return [word for word in body.split() if _SHORTEST_WORD <= len(word) <= _LONGEST_WORD]
