"""Last lines: how much is shown of what, how to go on, and what to try where nothing was found."""

import os
import subprocess
from typing import Any

import pytest
from msgspec import Struct

from queries import answers
from queries.answers_attributes import Attribute, AttributeList
from queries.answers_services import Operation, OperationList
from queries.params import ALL_TIME
from queries.text import draw
from queries.text_cells import Style
from queries.text_closing import closing
from tests.queries.shapes import PAGE, TRACE_ID, line, make, numbers, trace

ANY = answers.TimeWindow(*ALL_TIME)
TWO_DAYS = answers.TimeWindow(0, 2 * 86_400 * 10**9 + 7)


def said(kind: type[Struct], records: list[Any], width: int = 100, **given: Any) -> list[str]:
    """The last lines of a page."""
    return closing(make(kind, **({**PAGE, **given})), records, Style(width, "never"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"total": 1}, "1 trace from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)"),
        ({"total": 1234}, "1 of 1,234 traces from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)"),
        ({"total": 1, "total_relation": "gte", "window": ANY}, "1 of 1 or more traces of all time"),
        ({"total": 1, "window": TWO_DAYS}, "1 trace from 1970-01-01 00:00:00 to 1970-01-03 00:00:00 UTC (2d)"),
    ],
)
def test_how_much_is_shown(given: dict[str, Any], expected: str) -> None:
    assert said(answers.TraceList, [trace()], **given) == ["", expected]


def test_of_series_it_is_points_that_are_counted() -> None:
    series = [line(numbers(1, 2)), line(numbers(3))]
    assert said(answers.PointList, series, total=9)[1].startswith("3 of 9 data points in 2 series from ")


def test_of_an_aggregation_it_is_lines_that_are_counted() -> None:
    class Lines(answers.PointList):
        aggregation: str

    assert said(Lines, [line(numbers(1, 2))], total=9, aggregation="p95")[1].startswith("1 of 9 series from ")


@pytest.mark.parametrize(
    ("kind", "record", "field", "value", "begins"),
    [
        (answers.ServiceList, answers.Service, "adjusted", True, "Adjusted for sampling: "),
        (OperationList, Operation, "complete", False, "Not complete: "),
        (AttributeList, Attribute, "sampled", True, "Of records only the newest "),
    ],
)
def test_what_limits_an_answer_is_said_and_nothing_else(
    kind: type[Struct], record: type[Struct], field: str, value: bool, begins: str
) -> None:
    usual = {"adjusted": False, "complete": True, "sampled": False}
    records = {kind.records: [make(record)], "total": 1}  # type: ignore[attr-defined]

    def drawn(**given: bool) -> list[str]:
        fields = {name: found for name, found in (usual | given).items() if name in kind.__struct_fields__}
        return draw(make(kind, **PAGE | records | fields), Style(100, "never")).splitlines()

    *before, last = drawn(**{field: value})
    assert last.startswith(begins)
    assert drawn() == before


def test_nothing_was_found() -> None:
    assert said(answers.TraceList, [], 80) == [
        "No traces from 2026-09-21 13:13:20 to 14:13:20 UTC (1h). Try a longer window",
        "(since=24h) or fewer filters; /api/services?since=24h&format=text says what has",
        "sent here, and when.",
    ]
    assert said(answers.PointList, [], window=ANY) == [
        "No series of all time. Try fewer filters; /api/metrics?format=text lists the metrics that there are."
    ]
    assert "senders POST OTLP to /v1/traces" in " ".join(said(answers.ServiceList, []))
    assert said(answers.TraceList, [], total=7) == [
        "No more traces from 2026-09-21 13:13:20 to 14:13:20 UTC (1h): there are 7 in all, leave out offset",
        "and cursor.",
    ]
    page = {"total": 0, "total_relation": "eq", "has_more": False, "next_cursor": None}
    spans = make(answers.TraceSpans, trace_id=TRACE_ID, **page)
    assert closing(spans, [], Style(200, "never"))[0].startswith("No spans. Try fewer filters; /api/services?")


@pytest.mark.parametrize("width", [40, 80, 100, 120])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_shell_reads_the_cursor_as_it_is(width: int, quote: str) -> None:
    cursor = "Zm9v_-" * 15
    lines = said(answers.TraceList, [trace()], width, total=2, next_cursor=cursor)
    begin = next(place for place, text in enumerate(lines) if text.startswith("-Gd"))
    assert all(len(text) <= width for text in lines)
    command = "\n".join(
        [f"printf '%s|' {quote}/api/traces?limit=1&format=text{quote} " + lines[begin], *lines[begin + 1 :]]
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=dict(os.environ), check=True)
    assert done.stdout == f"/api/traces?limit=1&format=text|-Gd|cursor={cursor}|"
