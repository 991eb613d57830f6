"""Lists of traces, spans, log records and metrics: exactly what small ones look like."""

from datetime import UTC, datetime

import pytest
from msgspec import Struct
from msgspec.structs import replace

from queries import answers, answers_metrics
from queries.text import draw
from queries.text_cells import Style
from queries.text_records import kind, severity
from tests.queries.shapes import MS, T0, TRACE_ID, lines_of, log, make, span, trace

TRACES = lines_of(
    answers.TraceList,
    [
        trace(),
        trace(
            trace_id="ab" * 16,
            duration_nanos=2_000_000_000,
            error_count=3,
            service_name="frontend-proxy-of-the-shop",
            root_span_name="POST /api/checkout/{id}/with/a/long/name",
        ),
        trace(trace_id="cd" * 16, has_root=False),
    ],
    total=1234,
    next_cursor="Zm9v" * 22,
)
LOGS = lines_of(
    answers.LogList,
    [
        log(5, "x" * 200, severity_number=24),
        log(4, None, severity_number=0, severity_text="notice", event_name="session.start"),
        log(3, {"user": "größe", "items": [1, None]}, severity_number=13, trace_id=TRACE_ID),
        log(2, "Traceback:\n  File x.py, line 3\nKeyError: 7", severity_number=17, service_name="支払い"),
        log(0, "hello", attributes={"code.lineno": 3, "error.type": "E", "user": "a b"}),
    ],
    total=10_000,
    total_relation="gte",
)
FAILED = {"status": "error", "status_message": "boom", "attributes": {"http.route": "/cart", "http.status_code": 500}}
SPANS = lines_of(answers.SpanList, [span(1, 0, 1, **FAILED), span(2, 1, 2, trace_id="ab" * 16)])
OF_A_TRACE = make(answers.TraceSpans, trace_id=TRACE_ID, total=2, spans=[span(1, 0, 1, **FAILED), span(2, 1, 2)])
EXEMPLARS = [
    make(
        answers_metrics.MetricExemplar,
        metric_name="http.server.request.duration",
        unit="s",
        service_name="shop",
        attributes={"http.route": "/cart"},
        filtered_attributes={"error.type": "E"},
        time_unix_nano=T0 + number * 1000 * MS,
        value=value,
        trace_id=TRACE_ID,
        span_id=f"{number:016x}",
    )
    for number, value in enumerate((0.25, "NaN"))
]
OF_TRACES = lines_of(answers_metrics.ExemplarList, [EXEMPLARS[0], replace(EXEMPLARS[1], trace_id=None)])
POINTING = make(answers_metrics.TraceExemplars, trace_id=TRACE_ID, total=2, exemplars=EXEMPLARS)
METRICS = lines_of(
    answers.MetricList,
    [
        make(
            answers.Metric,
            name="http.server.request.duration",
            type="exponential_histogram",
            unit="s",
            description="Duration of HTTP server requests",
            aggregation_temporality="delta",
            series_count=1200,
            last_seen=datetime(2026, 9, 21, 14, 13, tzinfo=UTC),
        ),
        make(
            answers.Metric,
            name="requests",
            type="sum",
            is_monotonic=True,
            aggregation_temporality="cumulative",
            series_count=1,
            last_seen=datetime(2026, 9, 21, 14, 13, tzinfo=UTC),
        ),
    ],
)

DRAWN: list[tuple[Struct, int, str]] = [
    (
        TRACES,
        80,
        """\
Sep 21 UTC   TOOK ERR SERVICE      ROOT SPAN    TRACE ID
14:13:20   12.3ms     shop         GET /cart    5b8efff798038103d269b633813fc60c
14:13:20    2.00s  ✗3 frontend-pr… POST /api/c… abababababababababababababababab
14:13:20   12.3ms     shop         ┄ GET /cart  cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
┄ the earliest span: the root is not stored

3 of 1,234 traces from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
Next page: the same command, followed by
-Gd cursor=Zm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9v\\
Zm9vZm9vZm9vZm9vZm9v
""",
    ),
    (
        TRACES,
        100,
        """\
Sep 21 UTC      TOOK  SPANS  ERR  SERVICE          ROOT SPAN        TRACE ID
14:13:20.123  12.3ms     15       shop             GET /cart        5b8efff798038103d269b633813fc60c
14:13:20.123   2.00s     15   ✗3  frontend-proxy…  POST /api/chec…  abababababababababababababababab
14:13:20.123  12.3ms     15       shop             ┄ GET /cart      cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
┄ the earliest span: the root is not stored

3 of 1,234 traces from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
Next page: the same command, followed by
-Gd cursor=Zm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9v
""",
    ),
    (
        TRACES,
        120,
        """\
Sep 21 UTC      TOOK  SPANS  ERR  SERVICE                    ROOT SPAN                  TRACE ID
14:13:20.123  12.3ms     15       shop                       GET /cart                  5b8efff798038103d269b633813fc60c
14:13:20.123   2.00s     15   ✗3  frontend-proxy-of-the-sh…  POST /api/checkout/{id}/…  abababababababababababababababab
14:13:20.123  12.3ms     15       shop                       ┄ GET /cart                cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
┄ the earliest span: the root is not stored

3 of 1,234 traces from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
Next page: the same command, followed by
-Gd cursor=Zm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9vZm9v
""",
    ),
    (
        LOGS,
        80,
        """\
Sep 21 UTC   LEVEL  SERVICE MESSAGE
14:13:20.128 FATAL4 shop    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
14:13:20.127 notice shop    session.start
14:13:20.126 WARN   shop    {"user":"größe","items":[1,null]}
14:13:20.125 ERROR  支払い  Traceback:\\n  File x.py, line 3\\nKeyError: 7
14:13:20.123 INFO   shop    hello  error.type=E  user="a b"  code.lineno=3

5 of 10,000 or more logs from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        LOGS,
        100,
        """\
Sep 21 UTC    LEVEL   SERVICE  MESSAGE
14:13:20.128  FATAL4  shop     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
14:13:20.127  notice  shop     session.start
14:13:20.126  WARN    shop     {"user":"größe","items":[1,null]}
14:13:20.125  ERROR   支払い   Traceback:\\n  File x.py, line 3\\nKeyError: 7
14:13:20.123  INFO    shop     hello  error.type=E  user="a b"  code.lineno=3

5 of 10,000 or more logs from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        LOGS,
        120,
        """\
Sep 21 UTC    LEVEL   SERVICE  MESSAGE
14:13:20.128  FATAL4  shop     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
14:13:20.127  notice  shop     session.start
14:13:20.126  WARN    shop     {"user":"größe","items":[1,null]}  trace_id=5b8efff798038103d269b633813fc60c
14:13:20.125  ERROR   支払い   Traceback:\\n  File x.py, line 3\\nKeyError: 7
14:13:20.123  INFO    shop     hello  error.type=E  user="a b"  code.lineno=3

5 of 10,000 or more logs from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        SPANS,
        80,
        """\
Sep 21 UTC   TOOK ERR SERVICE TRACE ID                         NAME
14:13:20   1.00ms ✗   shop    5b8efff798038103d269b633813fc60c work  boom
14:13:20   2.00ms     shop    abababababababababababababababab work

2 spans from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        SPANS,
        120,
        """\
Sep 21 UTC      TOOK  ERR  KIND    SERVICE  TRACE ID                          NAME
14:13:20.123  1.00ms  ✗    server  shop     5b8efff798038103d269b633813fc60c  work  boom  http.status_code=500
14:13:20.124  2.00ms       server  shop     abababababababababababababababab  work

2 spans from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        OF_A_TRACE,
        100,
        """\
Trace 5b8efff798038103d269b633813fc60c
Sep 21 UTC      TOOK  ERR  KIND    SERVICE  SPAN ID           NAME
14:13:20.123  1.00ms  ✗    server  shop     0000000000000001  work  boom  http.status_code=500
14:13:20.124  2.00ms       server  shop     0000000000000002  work

2 spans
""",
    ),
    (
        METRICS,
        80,
        """\
METRIC                       TYPE                UNIT SERIES DESCRIPTION
http.server.request.duration exp histogram delta s     1,200 Duration of HTTP s…
requests                     counter                       1

2 metrics from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        METRICS,
        120,
        """\
METRIC                        TYPE                 UNIT  SERIES  LAST SEEN          DESCRIPTION
http.server.request.duration  exp histogram delta  s      1,200  2026-09-21 14:13Z  Duration of HTTP server requests
requests                      counter                         1  2026-09-21 14:13Z

2 metrics from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        OF_TRACES,
        80,
        """\
Sep 21 UTC METRIC              VALUE TRACE ID                         ATTRIBUTES
14:13:20   http.server.reques… 250ms 5b8efff798038103d269b633813fc60c
14:13:21   http.server.reques…   NaN

2 exemplars from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    ),
    (
        POINTING,
        100,
        """\
Trace 5b8efff798038103d269b633813fc60c
Sep 21 UTC    METRIC                        VALUE  SERVICE  SPAN ID           ATTRIBUTES
14:13:20.123  http.server.request.duration  250ms  shop     0000000000000000  error.type=E
14:13:21.123  http.server.request.duration    NaN  shop     0000000000000001  error.type=E

2 exemplars
""",
    ),
]


@pytest.mark.parametrize(("content", "width", "drawn"), DRAWN)
def test_lists(content: Struct, width: int, drawn: str) -> None:
    assert draw(content, Style(width, "never")) == drawn


def test_colours_are_for_levels_and_services() -> None:
    drawn = draw(LOGS, Style(60, "always")).splitlines()
    assert drawn[0].startswith("\x1b[1mSep 21 UTC  \x1b[0m \x1b[1mLEVEL ")
    assert drawn[1].startswith("14:13:20.128 \x1b[31mFATAL4\x1b[0m \x1b[36mshop   \x1b[0m xxx")
    assert drawn[2].startswith("14:13:20.127 notice ")
    assert drawn[3].startswith("14:13:20.126 \x1b[33mWARN  \x1b[0m ")
    assert drawn[4].startswith("14:13:20.125 \x1b[31mERROR \x1b[0m ")
    assert drawn[5].startswith("14:13:20.123 INFO   ")


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([("a", "b")], ["trace_id=a"]),
        ([("a", "b"), ("c", "b")], ["trace_id=a", "trace_id=c"]),
        ([("a", "b"), ("a", "c"), ("a", None)], ["span_id=b", "span_id=c", "x"]),
        ([("a", "b"), ("a", "b")], ["x", "x"]),
        ([(None, None)], ["x"]),
    ],
)
def test_a_log_record_shows_the_id_that_others_do_not_have(
    ids: list[tuple[str | None, str | None]], expected: list[str]
) -> None:
    found = [log(0, "x", trace_id=trace_id, span_id=span_id) for trace_id, span_id in ids]
    drawn = draw(lines_of(answers.LogList, found), Style(80, "never")).splitlines()
    assert [row.split()[-1] for row in drawn[1 : len(ids) + 1]] == expected


@pytest.mark.parametrize(
    ("number", "text", "name"),
    [
        (1, None, "TRACE"),
        (4, "x", "TRACE4"),
        (9, "Information", "INFO"),
        (24, None, "FATAL4"),
        (0, None, "-"),
        (0, "notice", "notice"),
        (25, None, "25"),
        (-1, "a\nb", "a\\nb"),
    ],
)
def test_severities(number: int, text: str | None, name: str) -> None:
    assert severity(log(0, "", severity_number=number, severity_text=text)).text == name


@pytest.mark.parametrize(
    ("metric_type", "temporality", "is_monotonic", "expected"),
    [
        ("sum", "cumulative", True, "counter"),
        ("sum", "delta", True, "counter delta"),
        ("sum", "cumulative", False, "sum"),
        ("gauge", None, None, "gauge"),
        ("exponential_histogram", 7, None, "exp histogram 7"),
        (9, None, None, "9"),
    ],
)
def test_kinds_of_metrics(
    metric_type: answers.Name, temporality: answers.Name | None, is_monotonic: bool | None, expected: str
) -> None:
    assert kind(metric_type, temporality, is_monotonic) == expected
