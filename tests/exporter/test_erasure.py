"""What lists have stored a hash of is found by the value that was sent."""

from pathlib import Path
from typing import Any

import pytest

from exporter import promotion
from exporter.otlp.anyvalue import to_text
from exporter.promotion import Promotion
from tests.exporter.sending import NOW, attributes, gauge, log, logs, metrics, point, sent, span, spans
from tests.exporter.test_erase import erase
from tests.sql.rows import ask

KEY = "user.id"
LEFT = """SELECT (SELECT count(*) FROM otel_spans_fact)::int AS spans,
(SELECT count(*) FROM otel_logs_fact)::int AS logs,
(SELECT count(*) FROM otel_metrics_data_points_number)::int AS points,
(SELECT count(*) FROM otel_rejected_records)::int AS refused"""


@pytest.fixture
def hashing(tmp_path: Path) -> Promotion:
    """Lists that hash the key wherever it lies."""
    path = tmp_path / "overrides.yaml"
    path.write_text(f"drop: {{hash: [{KEY}]}}")
    return promotion.load(overrides=path)


@pytest.mark.parametrize(
    ("text", "values", "others"),
    [
        ("u-42", ["u-42"], ["u-43", "U-42", ""]),
        ("42", [42, "42", 42.0], [43, "042", True, 42.5]),
        ("42.0", [42, "42.0", 42.0], [43, 42.5]),
        ("0", [0, -0.0, 0.0, "0"], [False, "00"]),
        ("true", [True, "true"], [1, "True"]),
        ("YWI=", [b"ab", "YWI="], ["ab"]),
        ("a\0b", ["a\0b"], ["ab"]),
        ("1e999", ["1e999"], [0, "x"]),
    ],
)
def test_a_hashed_value_is_known_by_what_was_sent(
    text: str, values: list[Any], others: list[Any], store: str, hashing: Promotion
) -> None:
    def bodies(first: int, values: list[Any]) -> list[tuple[str, bytes]]:
        made = [spans(span(1, first + i, has={KEY: v})) for i, v in enumerate(values)]
        for i, v in enumerate(values, 50):
            about = span(1, first + i)
            about.events.add(name="e", attributes=attributes({KEY: v}))
            made += [
                spans(about),
                logs(log(f"{first} {i}", has={KEY: v})),
                logs(log(f"{first} {i}"), resource={KEY: v}),
            ]
            made.append(metrics(gauge(f"g{first} {i}", point(1, has={KEY: v}))))
            made.append(spans(span(0, first + i, has={KEY: v})))
        return made

    outcomes = sent(store, *bodies(1, values), *bodies(500, others), lists=hashing)
    assert sum(outcome.rejected for outcome in outcomes) == len(values) + len(others), "spans without a trace"
    for row in ask(
        store, "SELECT attributes ->> 'user.id' AS id FROM v_otel_logs_enriched WHERE attributes ? 'user.id'"
    ):
        assert row["id"] not in [to_text(value) for value in values], "it is hashed"
    assert erase(store, "--attr", f"{KEY}={text}") == 0
    kept = len(others)
    assert ask(store, LEFT) == [{"spans": 2 * kept, "logs": 2 * kept, "points": kept, "refused": kept}]
    assert ask(store, "SELECT DISTINCT min(start_time_unix_nano) AS at FROM otel_spans_fact") == [{"at": NOW}]
