"""What is asked of the read API: an on-call engineer's questions, with ids, services and values that are stored.

The arguments come from the API itself, so that the questions depend on no table.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from random import Random
from typing import Any, TypeAlias
from urllib.parse import urlencode

from msgspec import Struct

from bench.attributes import Found, common, promoted_and_many, rare, unpromoted
from bench.client import Asker
from exporter.errors import PostelError
from exporter.promotion import Promotion
from queries.params import DEFAULT_WINDOW_NANO

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
    """One question with its various arguments: paths to GET, and the member of an answer that has to hold something.

    `baseline` names the statement of `jsonb_reading.sql` that answers the same, where there is one; `rows` are how many
    rows of it an answer has, by default one for each of the member's.
    """

    title: str
    member: str
    paths: Sequence[str]
    baseline: str = ""
    rows: Callable[[Mapping[str, Any]], int] | None = None

    def count(self, answer: Mapping[str, Any]) -> int:
        """The rows of an answer; 0 where it has no such member."""
        found = answer.get(self.member) or ()
        return self.rows(answer) if self.rows and found else len(found)


class Sample(Struct):
    """Some of what is stored between two times: spans and traces as the API shows them, and their services."""

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
        spans += await listed(asker, "spans", {"limit": _SPANS, "end_time": moment})
        traces += await listed(asker, "traces", {"limit": _TRACES, "end_time": moment})
    for name, found in (("spans", spans), ("traces", traces)):
        if not found:
            raise Unsampled(f"/api/{name} was answered with no {name} wherever it was asked")
    names = sorted({span["service_name"] for span in spans})
    return Sample(start_unix_nano, end_unix_nano, records / (lasts_nano / 1e9), spans, traces, names)


async def listed(asker: Asker, member: str, parameters: Parameters, place: str = "") -> list[dict[str, Any]]:
    """A list of the API, of `/api/<member>` where no other place is given. Raises Unsampled."""
    path = path_of(place or member, parameters)
    answer = await asker.get(path)
    if answer.status != 200:
        raise Unsampled(f"{path} was answered {answer.status}: {answer.content[:300].decode(errors='replace')}")
    found: list[dict[str, Any]] = json.loads(answer.content)[member]
    return found


def questions(sample: Sample, promotion: Promotion) -> Iterator[Question]:
    """Every question about spans, with arguments that are drawn the same way each time."""
    yield from span_questions(Random(7), sample, promotion)
    yield Question("services", "services", [path_of("services", {"end_time": sample.end_unix_nano})] * ASKS)


def span_questions(rng: Random, sample: Sample, promotion: Promotion) -> Iterator[Question]:
    """Those that J2 can answer too."""
    # The latest hour of what is stored, which is the default window of somebody who asks just then.
    newest = {"limit": PAGE, "end_time": sample.end_unix_nano}
    ids = drawn(rng, [trace["trace_id"] for trace in sample.traces])
    yield Question("a trace by its id", "spans", [f"/api/traces/{trace_id}" for trace_id in ids], "find-trace")
    services = [{"service": name} | newest for name in drawn(rng, sample.services)]
    yield question("newest 50 traces of a service", "traces", services, "match-traces-of-service")
    slow = [{"min_duration": duration} | newest for duration in drawn(rng, _slowest(sample))]
    yield question("newest 50 slow traces", "traces", slow, "match-slow-traces")
    failed = [trace["start_time_unix_nano"] for trace in sample.traces if trace["status"] == "error"]
    errors = [{"status": "error"} | newest | {"end_time": moment + 1} for moment in drawn(rng, failed)]
    yield question("newest 50 traces with an error", "traces", errors, "match-failed-traces")
    by_attribute = "newest 50 spans by an attribute: "
    for kind, found in (
        ("rare", rare(sample.spans, promotion)),
        ("common", common(sample.spans)),
        ("promoted, of many values", promoted_and_many(sample.spans, promotion)),
    ):
        asks = [_attribute(each) | newest | end_after(each.time_unix_nano, sample) for each in drawn(rng, found)]
        yield question(by_attribute + kind, "spans", asks, "match-spans-by-attribute")
    around = [
        _attribute(each) | newest | _around(each.time_unix_nano, sample)
        for each in drawn(rng, unpromoted(sample.spans, promotion))
    ]
    kind = f"not promoted, among {WINDOW_RECORDS:,}"
    yield question(by_attribute + kind, "spans", around, "match-spans-by-attribute")


def question(title: str, member: str, asks: Sequence[Parameters], baseline: str) -> Question:
    """A question of a list, `/api/<member>`, with the parameters of each ask."""
    return Question(title, member, [path_of(member, parameters) for parameters in asks], baseline)


def path_of(place: str, parameters: Parameters) -> str:
    """What to GET of the read API."""
    return f"/api/{place}?{urlencode(parameters)}"


def end_after(time_unix_nano: int, sample: Sample, window_nano: int = DEFAULT_WINDOW_NANO) -> dict[str, int]:
    """Where a window ends that has a time in about its middle, or is the latest; without a beginning it is an hour."""
    return {"end_time": min(sample.end_unix_nano, time_unix_nano + window_nano // 2)}


def drawn(rng: Random, values: Sequence[Any]) -> list[Any]:
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
