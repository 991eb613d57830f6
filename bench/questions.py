"""What is asked of the read API: an on-call engineer's questions, with ids, services and values that are stored.

The arguments come from the API itself, so that the questions depend on no table.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from random import Random
from typing import Any, TypeAlias
from urllib.parse import urlencode

from msgspec import Struct

from bench.attributes import Found, common, promoted_and_many, rare, unpromoted
from bench.client import Asker
from exporter.errors import PostelError
from exporter.promotion import Promotion

ASKS = 50
"""Of each question."""
PAGE = 50
WINDOW_RECORDS = 100_000

_MOMENTS = 30
_SPANS, _TRACES = 200, 100
"""Sampled before each of the moments."""

Parameters: TypeAlias = Mapping[str, object]


class Unsampled(PostelError):
    """The API did not say what is stored."""


class Question(Struct, frozen=True):
    """One question with its various arguments: paths to GET, and the member of an answer that has to hold something."""

    title: str
    member: str
    paths: Sequence[str]


class Sample(Struct):
    """Some of what is stored between two times: spans and traces as the API shows them, and the names of services."""

    start_unix_nano: int
    end_unix_nano: int
    records_per_s: float
    spans: Sequence[Mapping[str, Any]]
    traces: Sequence[Mapping[str, Any]]
    services: Sequence[str]


async def take_sample(asker: Asker, start_unix_nano: int, end_unix_nano: int, records: int) -> Sample:
    """Spans and traces before moments spread over the whole time. Raises Unsampled where there are none."""
    lasts_nano = end_unix_nano - start_unix_nano
    spans: list[dict[str, Any]] = []
    traces: list[dict[str, Any]] = []
    for number in range(_MOMENTS):
        moment = start_unix_nano + lasts_nano * (number + 1) // _MOMENTS
        spans += await _listed(asker, "spans", {"limit": _SPANS, "end_time": moment})
        traces += await _listed(asker, "traces", {"limit": _TRACES, "end_time": moment})
    services = await _listed(asker, "services", {"end_time": end_unix_nano})
    for name, found in (("spans", spans), ("traces", traces), ("services", services)):
        if not found:
            raise Unsampled(f"/api/{name} was answered with no {name} wherever it was asked")
    names = [service["service_name"] for service in services]
    return Sample(start_unix_nano, end_unix_nano, records / (lasts_nano / 1e9), spans, traces, names)


async def _listed(asker: Asker, member: str, parameters: Parameters) -> list[dict[str, Any]]:
    path = f"/api/{member}?{urlencode(parameters)}"
    answer = await asker.get(path)
    if answer.status != 200:
        raise Unsampled(f"{path} was answered {answer.status}: {answer.content[:300].decode(errors='replace')}")
    found: list[dict[str, Any]] = json.loads(answer.content)[member]
    return found


def questions(sample: Sample, promotion: Promotion) -> Iterator[Question]:
    """Every question, with arguments that are drawn the same way each time."""
    rng = Random(7)
    # The latest hour of what is stored, which is the default window of somebody who asks just then.
    newest = {"limit": PAGE, "end_time": sample.end_unix_nano}
    ids = _drawn(rng, [trace["trace_id"] for trace in sample.traces])
    yield Question("a trace by its id", "spans", [f"/api/traces/{trace_id}" for trace_id in ids])
    services = [{"service": name} | newest for name in _drawn(rng, sample.services)]
    yield _question("newest 50 traces of a service", "traces", services)
    slow = [{"min_duration": duration} | newest for duration in _drawn(rng, _slowest(sample))]
    yield _question("newest 50 slow traces", "traces", slow)
    failed = [trace["start_time_unix_nano"] for trace in sample.traces if trace["status"] == "error"]
    errors = [{"status": "error"} | newest | {"end_time": moment + 1} for moment in _drawn(rng, failed)]
    yield _question("newest 50 traces with an error", "traces", errors)
    for kind, found in (
        ("rare", rare(sample.spans, promotion)),
        ("common", common(sample.spans)),
        ("promoted, of many values", promoted_and_many(sample.spans, promotion)),
    ):
        spans = [_attribute(each) | newest for each in _drawn(rng, found)]
        yield _question(f"newest 50 spans by an attribute: {kind}", "spans", spans)
    around = [
        _attribute(each) | newest | _around(each.time_unix_nano, sample)
        for each in _drawn(rng, unpromoted(sample.spans, promotion))
    ]
    yield _question(f"newest 50 spans by an attribute: not promoted, among {WINDOW_RECORDS:,}", "spans", around)
    yield _question("services", "services", [{"end_time": sample.end_unix_nano}] * ASKS)


def _question(title: str, member: str, asks: Sequence[Parameters]) -> Question:
    return Question(title, member, [f"/api/{member}?{urlencode(parameters)}" for parameters in asks])


def _drawn(rng: Random, values: Sequence[Any]) -> list[Any]:
    """So many of the values as are asked for, each again only when all have had their turn."""
    return list(islice(cycle(rng.sample(values, len(values))), ASKS)) if values else []


def _slowest(sample: Sample) -> list[int]:
    """The durations of the slowest tenth of the traces but for the very slowest, so that each has slower ones."""
    durations = sorted(int(trace["duration_nanos"]) for trace in sample.traces)
    return durations[len(durations) * 9 // 10 : len(durations) * 999 // 1000 or 1]


def _attribute(found: Found) -> dict[str, object]:
    return {f"attr.{found.key}": found.value}


def _around(time_unix_nano: int, sample: Sample) -> dict[str, object]:
    """A window of so many records that has a span of that time about in its middle."""
    half_nano = int(WINDOW_RECORDS / sample.records_per_s / 2 * 1e9)
    return {"start_time": time_unix_nano - half_nano, "end_time": time_unix_nano + half_nano}
