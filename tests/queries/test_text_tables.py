"""Tables: what gives way where room is short, and records of types that nobody has thought of yet."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from msgspec import Struct

from queries import answers
from queries.text import draw
from queries.text_cells import Cell, Style, columns_of
from queries.text_tables import Column, Rest, table, title, with_details
from tests.queries.shapes import PAGE, TRACE_ID, WINDOW, log


class Operation(Struct):
    """An operation of a service."""

    service_name: str
    name: str
    kind: answers.Name
    span_count: int
    error_count: int
    p50_duration_nanos: int | None
    p95_duration_nanos: float | None
    error_ratio: float
    first_time_unix_nano: int
    last_seen: datetime


class OperationList(answers.WindowedPage):
    """A list of them."""

    records: ClassVar[str] = "operations"
    service: str
    operations: list[Operation]


class Node(Struct):
    """Who is there."""

    service_name: str


class Edge(Struct):
    """Who calls whom."""

    call_count: int
    client_service_name: str
    server_service_name: str
    server_service_namespace: str | None
    protocols: list[str]
    is_internal: bool
    attributes: dict[str, Any]


class Graph(Struct):
    """An answer that is no page."""

    records: ClassVar[str] = "edges"
    window: answers.TimeWindow
    nodes: list[Node]
    edges: list[Edge]
    whole: bool
    step: int


class Values(answers.Page):
    """A list of texts, which a field has that is not called as the records are."""

    records: ClassVar[str] = "found"
    metric_name: str
    attribute: str
    values: list[str]

    @property
    def found(self) -> list[str]:
        """The texts."""
        return self.values


class SpanLogs(Struct):
    """Log records of a span."""

    span_id: str | None
    span_name: str | None
    log_count: int
    logs: list[answers.Log]


class LogsBySpan(Struct):
    """Log records in groups."""

    records: ClassVar[str] = "spans"
    trace_id: str
    spans: list[SpanLogs]
    total_logs: int


SEEN = datetime(2026, 9, 21, 14, tzinfo=UTC)
OPERATIONS = OperationList(
    service="cart",
    operations=[
        Operation("cart", "GET /cart/{id}", "server", 12345, 3, 1_234_567, 9.8e7, 0.00024, 1_790_000_000 * 10**9, SEEN),
        Operation("cart", "HGET", "client", 5, 0, None, float("inf"), 0.0, 0, SEEN),
    ],
    **PAGE | {"total": 2},
)
GRAPH = Graph(
    WINDOW,
    [Node("frontend"), Node("cart")],
    [
        Edge(1200, "frontend", "cart", "production", ["grpc", "http"], True, {"a": 1, "b": "x y"}),
        Edge(99, "cart", "redis", None, [], False, {}),
    ],
    False,
    30 * 10**9,
)
VALUES = Values(
    metric_name="took",
    attribute="http.method",
    values=["GET", "a\nb"],
    **{name: PAGE[name] for name in answers.Page.__struct_fields__} | {"total": 2},
)
GROUPED = LogsBySpan(
    TRACE_ID,
    [
        SpanLogs("00ab00ab00ab00ab", "GET /cart", 2, [log(1, "hello"), log(2, "no", severity_number=17)]),
        SpanLogs(None, None, 1, [log(3, "of no span")]),
    ],
    3,
)
DRAWN: list[tuple[Struct, int, str]] = [
    (
        OPERATIONS,
        80,
        """\
service cart
SERVICE NAME           KIND    SPANS ERRORS P50 DURATION P95 DURATION
cart    GET /cart/{id} server 12,345      3       1.23ms       98.0ms
cart    HGET           client      5      0            -            ∞

2 operations from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        OPERATIONS,
        120,
        """\
service cart
SERVICE  NAME            KIND     SPANS  ERRORS  P50 DURATION  P95 DURATION  ERROR RATIO  FIRST
cart     GET /cart/{id}  server  12,345       3        1.23ms        98.0ms      0.00024  2026-09-21 14:13:20Z
cart     HGET            client       5       0             -             ∞            0  1970-01-01 00:00:00Z

2 operations from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        GRAPH,
        80,
        """\
whole no  step 30.0s
CLIENT SERVICE SERVER SERVICE CALLS PROTOCOLS  IS INTERNAL ATTRIBUTES
frontend       cart           1,200 grpc, http yes         a=1 b="x y"
cart           redis             99 -          no          -

SERVICE
frontend
cart

2 edges from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        VALUES,
        80,
        """\
metric took  attribute http.method
GET
a\\nb

2 values
""",
    ),
    (
        GROUPED,
        80,
        """\
trace id 5b8efff798038103d269b633813fc60c  total logs 3
span id 00ab00ab00ab00ab  span GET /cart  logs 2
  Sep 21 UTC   LEVEL SERVICE MESSAGE
  14:13:20.124 INFO  shop    hello
  14:13:20.125 ERROR shop    no

logs 1
  Sep 21 UTC   LEVEL SERVICE MESSAGE
  14:13:20.126 INFO  shop    of no span

2 spans
""",
    ),
]


@pytest.mark.parametrize(("content", "width", "drawn"), DRAWN)
def test_records_of_any_type(content: Struct, width: int, drawn: str) -> None:
    assert draw(content, Style(width, "never")) == drawn


def column(name: str, *texts: str, **given: Any) -> Column:
    """A column of texts."""
    return Column(name, [Cell(text) for text in texts], **given)


def test_columns_are_cut_to_what_they_need_before_any_is_left_out() -> None:
    columns = [
        column("ID", "0123456789abcdef"),
        column("WHERE", "w" * 20, least=8),
        column("COUNT", "7", to_right=True, rank=1),
        column("WHAT", "n" * 90, least=8),
    ]
    assert table(columns, Style(50, "never")) == [
        "ID               WHERE         COUNT WHAT",
        "0123456789abcdef wwwwwwwwwwww…     7 nnnnnnnnnnnn…",
    ]
    assert table(columns, Style(39, "never")) == [
        "ID               WHERE      WHAT",
        "0123456789abcdef wwwwwwwww… nnnnnnnnn…",
    ]
    assert table(columns, Style(25, "never")) == [
        "ID               WH… WH…",
        "0123456789abcdef ww… nn…",
    ]
    assert table(columns, Style(10, "never")) == ["ID       …", "012345678…"]


def test_the_last_column_has_what_the_others_leave() -> None:
    rest = Rest("REST", 10, lambda room: [Cell("r" * room)])
    assert table([column("A", "a" * 30, least=5)], Style(40, "never"), rest) == [
        "A" + " " * 29 + "REST",
        "a" * 28 + "… " + "r" * 10,
    ]


def test_columns_of_nothing_are_left_out() -> None:
    assert table([column("A", "a"), column("B", ""), column("C", "-")], Style(40, "never")) == ["A", "a"]


def test_details_are_added_as_a_whole() -> None:
    assert with_details("text", ["a=12345", "b=1"], 12) == "text  b=1"
    assert with_details("text", ["a=1", "b=1"], 14) == "text  a=1  b=1"
    assert with_details("a longer text", ["a=1"], 8) == "a longe…"
    assert with_details("", ["a=1"], 9) == "a=1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("service_name", "SERVICE"),
        ("service_namespace", "NAMESPACE"),
        ("span_count", "SPANS"),
        ("series_count", "SERIES"),
        ("client_service_name", "CLIENT SERVICE"),
        ("server_service_namespace", "SERVER NAMESPACE"),
        ("start_time_unix_nano", "START"),
        ("duration_nanos", "DURATION"),
        ("name", "NAME"),
        ("high_cardinality", "HIGH CARDINALITY"),
    ],
)
def test_titles(name: str, expected: str) -> None:
    assert title(name) == expected


def test_an_id_is_never_cut() -> None:
    drawn = draw(GROUPED, Style(40, "never")).splitlines()
    assert columns_of(drawn[0]) <= 40 and "00ab00ab00ab00ab" in drawn[2] + drawn[3]
