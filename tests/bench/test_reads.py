"""Questions are of what is stored, and an answer that is wrong or empty is shown instead of timed."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bench.attributes import common, promoted_and_many, rare, unpromoted
from bench.client import Answer, Asker
from bench.questions import ASKS, Sample, Unsampled, questions, take_sample
from bench.reads import Read, ask_all
from exporter import promotion

BEGAN = 1_790_000_000_000_000_000


class Answering(Asker):
    """Answers from a list, and remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def get(self, path: str) -> Answer:
        self.asked.append(path)
        return self._answers[(len(self.asked) - 1) % len(self._answers)]


def answer(content: object, status: int = 200, latency_s: float = 0.01) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(content).encode(), latency_s)


def span(number: int) -> Mapping[str, Any]:
    """The `number`th of 1,000 spans: every tenth is an HTTP one, one in a thousand failed, a URL is never the same."""
    attributes = {"http.url": f"http://shop/{number}", "app.product.id": f"p{number % 100}", "thread.ok": True}
    attributes["http.method"] = "GET" if number % 10 == 0 else "POST"
    attributes["http.route"] = "/failed" if number == 77 else "/"
    return {"start_time_unix_nano": BEGAN + number * 1_000_000, "attributes": attributes}


SPANS = [span(number) for number in range(1_000)]
TRACES = [
    {
        "trace_id": f"{number:032x}",
        "duration_nanos": number * 1_000,
        "start_time_unix_nano": BEGAN + number,
        "status": "error" if number % 40 == 0 else "ok",
    }
    for number in range(1_000)
]


def sample(services: int = 15) -> Sample:
    """1,000 spans of a second."""
    names = [f"service-{number}" for number in range(services)]
    return Sample(BEGAN, BEGAN + 1_000_000_000, 1_000_000.0, SPANS, TRACES, names)


def test_attributes_are_of_their_kind() -> None:
    promoted = promotion.load()
    assert {(found.key, found.value) for found in rare(SPANS, promoted)} == {("http.route", "/failed")}
    assert next((found.key, found.value) for found in common(SPANS)) == ("http.method", "GET")
    assert {found.key for found in promoted_and_many(SPANS, promoted)} == {"http.url"}
    assert {found.key for found in unpromoted(SPANS, promoted)} == {"app.product.id"}


def test_each_question_is_asked_with_various_arguments() -> None:
    asked = {question.title: question.paths for question in questions(sample(), promotion.load())}
    assert len(asked) == 9
    assert {len(paths) for paths in asked.values()} == {ASKS}
    assert len(set(asked["a trace by its id"])) == ASKS
    assert len(set(asked["newest 50 traces of a service"])) == 15
    assert len(set(asked["newest 50 traces with an error"])) == 25
    slow = [parse_qs(urlsplit(path).query) for path in asked["newest 50 slow traces"]]
    assert all(900_000 <= int(query["min_duration"][0]) <= 999_000 for query in slow)


def test_a_window_holds_100_000_records_around_a_span_that_is_stored() -> None:
    title = "newest 50 spans by an attribute: not promoted, among 100,000"
    paths = next(question.paths for question in questions(sample(), promotion.load()) if question.title == title)
    for path in paths:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        start, end = int(query["start_time"]), int(query["end_time"])
        assert end - start == 100_000_000
        number = int(query["attr.app.product.id"].removeprefix("p"))
        assert any(start <= BEGAN + (number + 100 * i) * 1_000_000 < end for i in range(10))


def test_a_kind_of_which_there_is_nothing_is_not_asked_for() -> None:
    bare = Sample(BEGAN, BEGAN + 1, 1.0, [{"start_time_unix_nano": BEGAN, "attributes": {}}], TRACES, ["a"])
    empty = [question for question in questions(bare, promotion.load()) if not question.paths]
    assert len(empty) == 4
    reads = asyncio.run(ask_all(Answering(answer({})), empty))
    assert {read.cell() for read in reads} == {"nothing in the sample to ask for"}
    assert not any(read.is_fast() for read in reads)


def test_what_is_not_answered_well_stands_in_the_cell() -> None:
    error = answer({"error": {"message": "there is no parameter 'attr.a' | here"}}, 400)
    full, empty, broken = answer({"spans": [1]}), answer({"spans": []}), Answer(502, b"gone", 0.01)
    asked = [question for question in questions(sample(), promotion.load()) if question.member == "spans"][:4]
    told = []
    for question, answers in zip(asked, ([full], [full, error], [empty], [broken]), strict=True):
        told.append(asyncio.run(ask_all(Answering(*answers), [question]))[0].told())
    assert told == [
        "10 / 10 / 10",
        "25 of 50 answered 400: there is no parameter 'attr.a' / here; 10 / 10 / 10",
        "50 of 50 answered with nothing",
        "50 of 50 answered 502: gone",
    ]


def test_a_miss_of_the_target_stands_out() -> None:
    assert Read("", [0.0021, 0.0192]).cell() == "19 / 19 / 19"
    assert Read("", [0.001] * 90 + [0.021] * 10).cell() == "1.0 / **21** / 21"


def test_a_sample_that_cannot_be_had_ends_the_run() -> None:
    with pytest.raises(Unsampled, match=r"/api/spans.* was answered 500"):
        asyncio.run(take_sample(Answering(answer({"error": {}}, 500)), BEGAN, BEGAN + 1, 1))
    nothing = answer({"spans": [], "traces": [], "services": []})
    with pytest.raises(Unsampled, match="answered with no spans"):
        asyncio.run(take_sample(Answering(nothing), BEGAN, BEGAN + 1, 1))
