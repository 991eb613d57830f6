"""Records with an attribute in every place where it can lie, and what a database holds, without the ids it gave."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import asyncpg
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from exporter.database import Database
from exporter.minutes import Minutes, Pace
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.partitions import SIGNALS, Partitions
from tests.exporter.sending import HOUR, NOW, SECOND, attributes, log, span

KEY, SECRET, OTHER = "user.id", "u-5ecre7-42", "other"
PLACES = ("record", "child", "resource", "scope")
Body = tuple[str, bytes]
Has = dict[str, dict[str, Any]]
"""The attributes of each place."""

CONTENTS = {
    "spans": """SELECT to_jsonb(v) - '{resource_id,scope_id,series_id}'::text[] AS row
        FROM v_otel_spans_enriched AS v""",
    "logs": """SELECT to_jsonb(v) - '{resource_id,scope_id,series_id,log_id,trace_key}'::text[] AS row
        FROM v_otel_logs_enriched AS v""",
    "metrics": """SELECT to_jsonb(v) - '{resource_id,scope_id,series_id,metric_id,data_point_id,identity_hash}'::text[]
        AS row FROM v_otel_metrics_enriched AS v""",
    "exemplars": """SELECT to_jsonb(v) - '{resource_id,series_id,metric_id,data_point_id}'::text[] AS row
        FROM v_otel_exemplars AS v""",
    "traces": "SELECT to_jsonb(v) - 'root_resource_id' AS row FROM v_otel_traces AS v",
    "hours": """SELECT to_jsonb(t) - '{root_series_id,root_resource_id,resource_ids,is_split}'::text[]
            || jsonb_build_object('root', s.name, 'resource', r.attributes, 'resources', ARRAY(
                SELECT o.attributes FROM otel_resources_dim AS o WHERE o.resource_id = ANY (t.resource_ids) ORDER BY 1))
            AS row
        FROM otel_traces AS t
        JOIN otel_span_series_dim AS s ON s.series_id = t.root_series_id
        JOIN otel_resources_dim AS r ON r.resource_id = t.root_resource_id""",
    "operations": """SELECT to_jsonb(m) - '{series_id,resource_id}'::text[]
            || jsonb_build_object('name', s.name, 'kind', s.kind_id, 'service', r.service_name) AS row
        FROM otel_operation_minutes AS m JOIN otel_span_series_dim AS s USING (series_id)
        JOIN otel_services AS r ON r.resource_id = m.resource_id""",
    "edges": """SELECT to_jsonb(m) - '{resource_id,client_resource_id}'::text[]
            || jsonb_build_object('server', r.service_name, 'client', c.service_name) AS row
        FROM otel_edge_minutes AS m JOIN otel_services AS r ON r.resource_id = m.resource_id
        JOIN otel_services AS c ON c.resource_id = m.client_resource_id""",
    "log_counts": """SELECT to_jsonb(m) - 'resource_id' || jsonb_build_object('service', r.service_name) AS row
        FROM otel_log_minutes AS m JOIN otel_services AS r ON r.resource_id = m.resource_id""",
}
"""What is stored, by name: rows of JSON."""

TEXTS = """SELECT c.relname AS name FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace IN ('public'::regnamespace, 'pg_catalog'::regnamespace)
    AND c.relname NOT IN ('pg_authid', 'pg_largeobject')"""


def bodies(rng: Random, count: int, value: Any = SECRET) -> tuple[list[Body], list[Body]]:
    """So many bodies that have the value at one place each, and as many of the same traces and services without it."""
    mine = [_body(rng, rng.choice(PLACES), value) for _ in range(count)]
    return mine, [_body(rng, "", value) for _ in range(count)]


def _body(rng: Random, place: str, value: Any) -> Body:
    has = {KEY: value}
    build = rng.choice((_spans, _logs, _metrics))
    return build(rng, {p: has if p == place else {KEY: OTHER} if rng.random() < 0.3 else {} for p in PLACES})


def _resource(rng: Random, has: dict[str, Any]) -> dict[str, Any]:
    return {"service.name": rng.choice(("web", "cart", "mail")), "host.name": rng.choice("ab")} | has


def _spans(rng: Random, has: Has) -> Body:
    request = TracesData()
    for _ in range(rng.randrange(1, 3)):
        group = request.resource_spans.add()
        group.resource.attributes.extend(attributes(_resource(rng, has["resource"])))
        inside = group.scope_spans.add()
        inside.scope.name = "lib"
        inside.scope.attributes.extend(attributes(has["scope"]))
        inside.spans.extend(_span(rng, has) for _ in range(rng.randrange(1, 5)))
    return SPANS, request.SerializeToString()


def _span(rng: Random, has: Has) -> Span:
    start = NOW - rng.randrange(3 * HOUR)
    made = span(
        rng.randrange(1, 40),
        rng.getrandbits(60) + 1,
        start,
        {"n": rng.random(), "route": rng.choice("xyz")} | has["record"],
        name=rng.choice(("GET", "work")),
        kind=rng.randrange(6),
        end_time_unix_nano=start + rng.randrange(2 * SECOND),
        parent_span_id=rng.choice((b"", rng.getrandbits(60).to_bytes(8, "big"))),
    )
    made.status.code = rng.choice((0, 2))  # type: ignore[assignment]
    if has["child"]:
        if rng.random() < 0.5:
            made.events.add(name="e", attributes=attributes(has["child"]))
        else:
            made.links.add(trace_id=b"1" * 16, span_id=b"2" * 8, attributes=attributes(has["child"]))
    return made


def _logs(rng: Random, has: Has) -> Body:
    request = LogsData()
    group = request.resource_logs.add()
    group.resource.attributes.extend(attributes(_resource(rng, has["resource"])))
    inside = group.scope_logs.add()
    inside.scope.attributes.extend(attributes(has["scope"]))
    # A log has no children: what would lie on one lies on the record.
    on_record = max(has["record"], has["child"], key=lambda found: found.get(KEY, OTHER) != OTHER)
    for _ in range(rng.randrange(1, 5)):
        at = NOW - rng.randrange(3 * HOUR)
        inside.log_records.append(log(f"line {rng.random()}", at, {"n": rng.random()} | on_record))
    return LOGS, request.SerializeToString()


def _metrics(rng: Random, has: Has) -> Body:
    request = MetricsData()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(attributes(_resource(rng, has["resource"])))
    inside = group.scope_metrics.add()
    inside.scope.attributes.extend(attributes(has["scope"]))
    for name in ("gauge", "histogram", "summary"):
        metric = inside.metrics.add(name=name)
        _point(rng, metric, has)
    return METRICS, request.SerializeToString()


def _point(rng: Random, metric: Metric, has: Has) -> None:
    common: dict[str, Any] = {
        "time_unix_nano": NOW - rng.randrange(3 * HOUR),
        "attributes": attributes({"route": rng.choice("xyz")} | has["record"]),
    }
    exemplars = [{"filtered_attributes": attributes(has["child"]), "as_int": 1}] if has["child"] else []
    if metric.name == "gauge":
        metric.gauge.data_points.add(**common, as_int=rng.randrange(9), exemplars=exemplars)
    elif metric.name == "histogram":
        metric.histogram.data_points.add(
            **common, count=3, explicit_bounds=[1.0], bucket_counts=[1, 2], exemplars=exemplars
        )
    elif has["child"]:
        # A summary's point has no exemplars.
        metric.gauge.data_points.add(**common, as_int=1, exemplars=exemplars)
    else:
        metric.summary.data_points.add(**common, count=2, sum=1.0)


def contents(url: str) -> dict[str, list[str]]:
    """Everything that is stored, sorted, with minutes that are computed."""

    async def session() -> dict[str, list[str]]:
        database = Database(url, 1, 60.0)
        await Minutes(database, Partitions(database, dict.fromkeys(SIGNALS, 86_400), 2), Pace(0, 0, 0)).roll_up()
        await database.close()
        connection = await asyncpg.connect(url)
        try:
            return {
                name: sorted(row["row"] for row in await connection.fetch(statement))
                for name, statement in CONTENTS.items()
            }
        finally:
            await connection.close()

    return asyncio.run(session())


def tables_with(url: str, texts: Sequence[str]) -> list[str]:
    """Tables any row of which has one of these texts, also those of PostgreSQL itself."""

    async def session() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            names = [row["name"] for row in await connection.fetch(TEXTS)]
            found = []
            for name in names:
                statement = f"SELECT EXISTS (SELECT FROM {name} AS t WHERE t::text LIKE ANY ($1))"
                if await connection.fetchval(statement, [f"%{text}%" for text in texts]):
                    found.append(name)
            return found
        finally:
            await connection.close()

    return asyncio.run(session())
