"""Waterfalls: exactly what small traces look like, and that large ones stay small."""

import time

import pytest

from queries import answers
from queries.text import draw
from queries.text_cells import Style
from queries.text_waterfall import Axis
from tests.queries.shapes import MS, T0, TRACE_ID, make, span, whole

ODD = whole(
    span(1, 0, 120, name="POST /checkout"),
    span(
        2,
        5,
        80,
        parent=1,
        depth=1,
        name="charge",
        service_name="支払い",
        status="error",
        status_message="card declined",
        events=[
            answers.Event(T0 + 20 * MS, "retry", {"attempt": 2}, 0),
            answers.Event(
                T0 + 84 * MS,
                "exception",
                {
                    "exception.stacktrace": "at charge.py:7",
                    "exception.type": "Declined",
                    "exception.message": "no funds\n(12 €)",
                },
                0,
            ),
        ],
    ),
    span(3, 6, 0, parent=2, depth=2, name="zero"),
    span(4, -2, 30, parent=1, depth=1, name="early"),
    span(5, 90, 50, parent=1, depth=1, name="late", links=[make(answers.Link, trace_id="ab" * 16, span_id="cd" * 8)]),
    span(6, 1, 1, parent=1, depth=1, name="clock", sent_time_unix_nano=0),
    span(9, 10, 20, parent=99, name="orphan \x1b[31m"),
)
"""An error with events, a span of no length, clocks that differ or stand still, and a parent that is missing."""

DRAWN = {
    80: """\
Trace 5b8efff798038103d269b633813fc60c
2026-09-21 14:13:20.123 UTC, 140ms, 7 spans of 2 services, 1 with an error

                              0                        71.0ms              142ms
shop POST /checkout     120ms ██████████████████████████████████████████▌
├ ✗ 支払い charge      80.0ms   ████████████████████████████
│ │ ✗ card declined
│ │ • +22.0ms retry attempt=2
│ │ • +86.0ms Declined: no funds\\n(12 €)
│ └ shop zero               0    ▌
├ ◂ shop early         30.0ms ██████████▌
├ shop late            50.0ms                                 █████████████████▌
│   → linked to span cdcdcdcdcdcdcdcd of trace abababababababababababababababab
└ shop clock           1.00ms sent as 1970-01-01 00:00:00
┄ shop orphan \\x1b[31m 20.0ms     ███████▌

┄ its parent is not stored
◂ begins before its parent: the clocks of two machines differ
Attributes: /api/traces/5b8efff798038103d269b633813fc60c/spans?format=text
Logs: /api/logs?trace_id=5b8efff798038103d269b633813fc60c&format=text
""",
    100: """\
Trace 5b8efff798038103d269b633813fc60c
2026-09-21 14:13:20.123 UTC, 140ms, 7 spans of 2 services, 1 with an error

                              0                                  71.0ms                        142ms
shop POST /checkout     120ms  ███████████████████████████████████████████████████████████
├ ✗ 支払い charge      80.0ms    ███████████████████████████████████████▌
│ │ ✗ card declined
│ │ • +22.0ms retry attempt=2
│ │ • +86.0ms Declined: no funds\\n(12 €)
│ └ shop zero               0     ▌
├ ◂ shop early         30.0ms ███████████████
├ shop late            50.0ms                                              ████████████████████████▌
│   → linked to span cdcdcdcdcdcdcdcd of trace abababababababababababababababab
└ shop clock           1.00ms sent as 1970-01-01 00:00:00
┄ shop orphan \\x1b[31m 20.0ms       ██████████

┄ its parent is not stored
◂ begins before its parent: the clocks of two machines differ
Attributes: /api/traces/5b8efff798038103d269b633813fc60c/spans?format=text
Logs: /api/logs?trace_id=5b8efff798038103d269b633813fc60c&format=text
""",
    120: """\
Trace 5b8efff798038103d269b633813fc60c
2026-09-21 14:13:20.123 UTC, 140ms, 7 spans of 2 services, 1 with an error

                              0                                            71.0ms                                  142ms
shop POST /checkout     120ms  ████████████████████████████████████████████████████████████████████████████
├ ✗ 支払い charge      80.0ms     ██████████████████████████████████████████████████▌
│ │ ✗ card declined
│ │ • +22.0ms retry attempt=2
│ │ • +86.0ms Declined: no funds\\n(12 €)
│ └ shop zero               0      ▌
├ ◂ shop early         30.0ms ███████████████████
├ shop late            50.0ms                                                           ███████████████████████████████▌
│   → linked to span cdcdcdcdcdcdcdcd of trace abababababababababababababababab
└ shop clock           1.00ms sent as 1970-01-01 00:00:00
┄ shop orphan \\x1b[31m 20.0ms        █████████████

┄ its parent is not stored
◂ begins before its parent: the clocks of two machines differ
Attributes: /api/traces/5b8efff798038103d269b633813fc60c/spans?format=text
Logs: /api/logs?trace_id=5b8efff798038103d269b633813fc60c&format=text
""",
}


@pytest.mark.parametrize("width", DRAWN)
def test_an_odd_trace(width: int) -> None:
    assert draw(ODD, Style(width, "never")) == DRAWN[width]


def test_colours_are_for_services_and_errors() -> None:
    failed = whole(span(1, 0, 1, status="error"), span(2, 0, 1, parent=1, depth=1))
    drawn = draw(failed, Style(80, "always")).splitlines()
    assert drawn[0] == f"\x1b[1mTrace {TRACE_ID}\x1b[0m"
    assert drawn[4].startswith("\x1b[31m✗ \x1b[0m\x1b[36mshop\x1b[0m work 1.00ms \x1b[31m█")
    assert drawn[5].startswith("└ \x1b[36mshop\x1b[0m work 1.00ms █")
    assert "\x1b" not in draw(failed, Style(80, "never"))


def test_the_first_spans_of_a_trace_that_is_too_long() -> None:
    drawn = draw(whole(span(1, 0, 1), span_count=12_345, has_more=True), Style(100, "never"))
    assert (
        f"These are the earliest 1 of 12,345 spans; the others:\n/api/spans?trace_id={TRACE_ID}&format=text\n"
    ) in drawn


def test_of_many_events_exceptions_are_kept() -> None:
    events = [answers.Event(T0 + n * MS, f"event {n}", {}, 0) for n in range(20)]
    events[17].attributes["exception.type"] = "Late"
    drawn = draw(whole(span(1, 0, 20, events=events)), Style(80, "never"))
    assert [text.strip() for text in drawn.splitlines() if "•" in text] == [
        *(f"• +{values} event {n}" for n, values in enumerate(["0", "1.00ms", "2.00ms", "3.00ms", "4.00ms", "5.00ms"])),
        "• +6.00ms event 6",
        "• +17.0ms event 17: Late",
        "• 12 more events",
    ]


def test_events_of_another_day_have_their_time() -> None:
    events = [
        answers.Event(0, "zero", {}, 0),
        answers.Event((1 << 64) - 1, "max", {}, 0),
        answers.Event(T0 - MS, "a", {}, 0),
    ]
    drawn = draw(whole(span(1, 0, 20, events=events)), Style(80, "never"))
    assert [text.strip() for text in drawn.splitlines() if "•" in text] == [
        "• 1970-01-01 00:00:00.000 UTC zero",
        "• -1.00ms a",
        "• 2554-07-21 23:34:33.709 UTC max",
    ]


def test_a_message_is_not_said_twice() -> None:
    event = answers.Event(T0, "exception", {"exception.message": "gone"}, 0)
    drawn = draw(whole(span(1, 0, 1, status="error", status_message="gone", events=[event])), Style(80, "never"))
    assert drawn.count("gone") == 1


def test_deep_trees_keep_room_for_names() -> None:
    chain = [span(n, n, 200 - n, parent=n - 1 if n else None, depth=n, name=f"level {n}") for n in range(200)]
    rows = draw(whole(*chain), Style(80, "never")).splitlines()[4:204]
    assert rows[1].startswith("└ shop level 1 ")
    assert rows[150].startswith("…" + " " * 30 + "└ shop level… ")


def test_ten_thousand_spans_take_no_longer_than_they_should() -> None:
    spans = [span(n, n / 10, 5, parent=n - 1 if n else None, depth=n, name="x" * 80) for n in range(10_000)]
    begin = time.process_time()
    assert len(draw(whole(*spans), Style(100, "always")).splitlines()) == 10_007
    assert time.process_time() - begin < 3


def test_depths_that_make_no_tree() -> None:
    drawn = draw(whole(span(1, 0, 1, depth=7), span(2, 0, 1, depth=99), span(3, 0, 1, depth=-5)), Style(60, "never"))
    assert [row[:11] for row in drawn.splitlines()[4:7]] == ["shop work  ", "└ shop work", "shop work  "]


@pytest.mark.parametrize(
    ("start", "end", "bar"),
    [
        (0, 100, "██████████"),
        (0, 0, "▌"),
        (50, 50, "     ▌"),
        (100, 100, "         ▌"),
        (96, 100, "         ▌"),
        (10, 35, " ██▌"),
        (-50, 20, "██"),
        (90, 900, "         █"),
        (200, 300, "         ▌"),
    ],
)
def test_bars(start: int, end: int, bar: str) -> None:
    assert Axis(0, 100, 10).bar(start, end) == bar


def test_an_axis_of_no_length() -> None:
    assert Axis(7, 7, 4).bar(7, 7) == "▌"
    assert Axis(7, 7, 12).title() == "0     0    0"
