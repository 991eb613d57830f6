"""The views of teams: each sees what its namespaces sent, whatever it asks and however it asks."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from exporter import cli
from sql import scripts
from tests.exporter.sending import (
    HOUR,
    NOW,
    SECOND,
    any_value,
    gauge,
    log,
    logs,
    metrics,
    point,
    run,
    send,
    span,
    spans,
)
from tests.roles import Deployment, deployment
from tests.sql.rows import ask

WITHOUT_TEAMS = {
    "v_otel_ingest_ledger": "bodies have no namespace: one may hold records of several",
    "v_otel_storage": "a partition has records of all",
}
"""Public views that teams do not have, and why."""
TEAM_VIEWS = [
    name.removesuffix(".sql") for name, _ in scripts("views") if name.removesuffix(".sql") not in WITHOUT_TEAMS
]
SECRET = "zanzibar"
"""Stands in all that the other team sent, and in nothing else."""
PAY, OTHER = (
    {"service.name": "pay", "service.namespace": "payments"},
    {
        "service.name": f"s-{SECRET}",
        "service.namespace": f"n-{SECRET}",
        "host": SECRET,
    },
)
NOBODY = {"service.name": "lonely"}
SHARED, FOREIGN, OWN, LATER = 1, 2, 3, 90
"""Traces: of both, of the others alone, of the payments team alone, of both with an hour of the others alone."""


def bodies() -> list[tuple[str, bytes]]:
    """Three teams' telemetry: the others' root calls payments, and both their metrics have exemplars."""
    found = []
    for number, (resource, word) in enumerate(((PAY, "ours"), (OTHER, SECRET), (NOBODY, "nobody's"))):
        told = {"word": word, f"key-{word}": 1}
        made = span(FOREIGN if word == SECRET else OWN + number, 10, has=told, name=f"op-{word}", trace_state=word)
        made.events.add(name=word, time_unix_nano=NOW)
        made.links.add(trace_id=made.trace_id, span_id=b"\1" * 8, trace_state=word)
        made.status.message = word
        found.append(spans(made, resource=resource, scope=f"lib-{word}"))
        found.append(logs(log(f"said {word}", has=told, event_name=word, severity_text=word), resource=resource))
        number_point = point(number, has=told)
        number_point.exemplars.add(time_unix_nano=NOW, as_int=7, trace_id=made.trace_id, span_id=made.span_id)
        number_point.exemplars[0].filtered_attributes.add(key="word", value=any_value(word))
        found.append(metrics(gauge(f"gauge-{word}", number_point, unit=word), resource=resource))
    root = span(SHARED, 1, name=f"root-{SECRET}", end_time_unix_nano=NOW + 9 * SECOND)
    root.status.code = Status.STATUS_CODE_ERROR
    child = span(SHARED, 2, NOW + SECOND, parent_span_id=(1).to_bytes(8, "big"), name="charge")
    late = span(SHARED, 3, NOW + HOUR + 1, parent_span_id=(1).to_bytes(8, "big"), name="settle")
    alone = span(LATER, 1, name=f"root-{SECRET}")
    later = span(LATER, 2, NOW + HOUR + 2, parent_span_id=(1).to_bytes(8, "big"), name="refund")
    return [*found, spans(root, alone, resource=OTHER), spans(child, late, later, resource=PAY)]


class Teams:
    """A deployment with telemetry of three teams, and roles of teams."""

    def __init__(self, made: Deployment) -> None:
        self.made = made
        self.payments, self.stranger, self.member = made.role(), made.role(), made.role()
        made.run(f"GRANT {self.payments} TO {self.member}")
        self.grant(self.payments, "payments")

    def grant(self, role: str, *namespaces: str) -> int:
        """What `postel grant` returns."""
        flags = [f"--namespace={name}" for name in namespaces] or ["--none"]
        return cli.main(["grant", role, *flags, "--database-url", self.made.owner])

    def ask(self, role: str, statement: str, *arguments: object, given: str = "") -> list[dict[str, Any]]:
        """The rows that a role gets."""
        return ask(self.made.as_role(role), statement, *arguments, given=f"SET search_path = otel_team; {given}")


@pytest.fixture(scope="module")
def teams(server_url: str, template: str) -> Iterator[Teams]:
    """Three teams' telemetry, of which one team may see its own."""
    with deployment(server_url, template) as made:

        async def session(running: Any) -> None:
            for body in bodies():
                assert (await send(running, *body)).rejected == 0

        made.create()
        run(made.writer, session)
        yield Teams(made)


def test_every_public_view_is_there_for_teams_or_says_why_not(teams: Teams) -> None:
    views = """SELECT relname AS name, reloptions FROM pg_class
    WHERE relkind = 'v' AND relnamespace = $1::text::regnamespace"""
    public = {row["name"] for row in ask(teams.made.url, views, "public") if row["name"].startswith("v_otel_")}
    theirs = {row["name"]: row["reloptions"] for row in ask(teams.made.url, views, "otel_team")}
    assert set(theirs) == public - set(WITHOUT_TEAMS)
    assert all(options == ["security_barrier=true"] for options in theirs.values())
    columns = """SELECT array_agg((attname, atttypid, attnum) ORDER BY attnum)::text AS all FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0"""
    for view in theirs:
        assert ask(teams.made.url, columns, view) == ask(teams.made.url, columns, f"otel_team.{view}"), view


@pytest.mark.parametrize("view", TEAM_VIEWS)
def test_a_team_sees_its_own(teams: Teams, view: str) -> None:
    rows = teams.ask(teams.payments, f"SELECT * FROM {view}")
    assert rows and {row["service_namespace"] for row in rows} == {"payments"}
    assert SECRET not in str(rows) and "lonely" not in str(rows)
    assert teams.ask(teams.member, f"SELECT * FROM {view}") == rows, "as a member of the team's role"


@pytest.mark.parametrize("view", TEAM_VIEWS)
def test_without_a_grant_there_is_nothing(teams: Teams, view: str) -> None:
    for role in (teams.stranger, f"{teams.made.prefix}_writer"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            teams.ask(role, f"SELECT * FROM otel_team.{view}")
        # Nor by a right that was given by hand.
        given = f"GRANT USAGE ON SCHEMA otel_team TO {role}; GRANT SELECT ON otel_team.{view} TO {role};"
        teams.made.run(given)
        assert teams.ask(role, f"SELECT * FROM {view}") == []
        teams.made.run(given.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))


def test_a_trace_is_told_by_the_spans_of_the_team(teams: Teams) -> None:
    statement = f"SELECT * FROM v_otel_traces WHERE trace_key = '{SHARED:032x}'"
    (whole,) = ask(teams.made.url, statement)
    assert (whole["span_count"], whole["error_count"], whole["root_span_name"]) == (3, 1, f"root-{SECRET}")
    (own,) = teams.ask(teams.payments, statement)
    assert (own["span_count"], own["error_count"], own["status"], own["services"]) == (2, 0, "ok", ["pay"])
    assert (own["root_span_name"], own["has_root"], own["root_span_id"]) == ("charge", False, f"{2:016x}")
    assert (own["start_time_unix_nano"], own["end_time_unix_nano"]) == (NOW, NOW + HOUR + 1 + SECOND)


def test_a_trace_whose_first_hour_is_others_is_there(teams: Teams) -> None:
    (own,) = teams.ask(teams.payments, f"SELECT * FROM v_otel_traces WHERE trace_key = '{LATER:032x}'")
    assert (own["root_span_name"], own["span_count"], own["start_time_unix_nano"]) == ("refund", 1, NOW)


def test_who_sees_all_of_a_trace_sees_it_as_it_is(teams: Teams) -> None:
    role = teams.made.role()
    teams.grant(role, "payments", f"n-{SECRET}", "")
    order = "SELECT * FROM v_otel_traces ORDER BY trace_key"
    assert teams.ask(role, order) == ask(teams.made.url, order)
    for view in TEAM_VIEWS:
        counted = f"SELECT count(*) AS n FROM {view}"
        assert teams.ask(role, counted) == ask(teams.made.url, counted)


def test_services_without_a_namespace_can_be_granted(teams: Teams) -> None:
    role = teams.made.role()
    teams.grant(role, "")
    assert {row["service_name"] for row in teams.ask(role, "SELECT * FROM v_otel_logs_enriched")} == {"lonely"}


def test_what_is_granted_can_be_taken_back(teams: Teams, capsys: pytest.CaptureFixture[str]) -> None:
    role = teams.made.role()
    assert teams.grant(role, "payments", "") == 0
    assert f"{role} sees '', 'payments' in the views of schema otel_team" in capsys.readouterr().out
    assert teams.grant(role, "payments") == 0
    seen = "SELECT DISTINCT service_namespace AS n FROM v_otel_logs_enriched"
    assert teams.ask(role, seen) == [{"n": "payments"}]
    assert teams.grant(role) == 0
    assert "sees nothing" in capsys.readouterr().out
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        teams.ask(role, "SELECT * FROM otel_team.v_otel_logs_enriched")
    teams.made.run(f"DROP ROLE {role}")
    assert teams.grant(role) == 0, "a role that is gone"


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("nobody_of_that_name", 'there is no role "nobody_of_that_name": CREATE ROLE nobody_of_that_name LOGIN'),
        ("{prefix}_reader", "which sees everything: grant namespaces to a role that has none of them"),
        ("postgres", "which sees everything"),
    ],
)
def test_who_cannot_be_granted_namespaces(
    teams: Teams, capsys: pytest.CaptureFixture[str], role: str, said: str
) -> None:
    assert teams.grant(role.format(prefix=teams.made.prefix), "payments") == 1
    assert said in capsys.readouterr().err


def test_grants_need_the_roles(server_url: str, template: str, capsys: pytest.CaptureFixture[str]) -> None:
    with deployment(server_url, template) as made:
        assert cli.main(["grant", "postgres", "--none", "--database-url", made.url]) == 1
    expected = "postel grant: there are no views for teams: run `postel migrate --create-roles` first\n"
    assert capsys.readouterr().err == expected


LEAK = """
CREATE FUNCTION {schema}.leak(value {kind}) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
$$ BEGIN RAISE NOTICE 'leaked %', value; RETURN true; END $$;
"""


def heard(teams: Teams, view: str, condition: str, schema: str) -> list[str]:
    """What a function that tells its argument is given."""
    told: list[str] = []

    async def session() -> None:
        connection = await asyncpg.connect(teams.made.as_role(teams.payments))
        try:
            connection.add_log_listener(lambda _, message: told.append(str(message)))
            for kind in ("text", "bigint"):
                await connection.execute(f"CREATE OR REPLACE {LEAK[8:].format(schema=schema, kind=kind)}")
            for plan in ("on", "off"):
                await connection.execute(f"SET enable_hashjoin = {plan}; SET enable_mergejoin = {plan}")
                await connection.fetch(f"SELECT * FROM otel_team.{view} AS v WHERE {condition}")
        finally:
            await connection.close()

    asyncio.run(session())
    return told


@pytest.mark.parametrize("schema", ["pg_temp", "theirs"])
@pytest.mark.parametrize("view", TEAM_VIEWS)
def test_a_function_that_tells_its_argument_is_given_no_row_of_others(teams: Teams, view: str, schema: str) -> None:
    if schema == "theirs":
        teams.made.run(f"CREATE SCHEMA IF NOT EXISTS theirs AUTHORIZATION {teams.payments}")
    told = heard(teams, view, f"{schema}.leak(v::text)", schema)
    assert any("pay" in line for line in told), "it was called"
    for column in ("service_name", "service_namespace"):
        told += heard(teams, view, f"{schema}.leak(v.{column})", schema)
    told += heard(teams, view, f"{schema}.leak(v.trace_key::text)", schema) if "metrics" not in view else []
    assert SECRET not in str(told) and "lonely" not in str(told) and f"{FOREIGN:032x}" not in str(told)


@pytest.mark.parametrize(
    "condition",
    [
        "1 / (CASE WHEN service_name = 'pay' THEN 1 ELSE 0 END) = 1",
        "(CASE WHEN service_name = 'pay' THEN '1' ELSE service_name END)::int = 1",
        "service_name ~ (CASE WHEN service_name = 'pay' THEN '' ELSE '(' END)",
    ],
)
@pytest.mark.parametrize("view", TEAM_VIEWS)
def test_errors_tell_nothing_of_others(teams: Teams, view: str, condition: str) -> None:
    assert teams.ask(teams.payments, f"SELECT count(*) AS n FROM {view} WHERE {condition}")[0]["n"] > 0
    with pytest.raises(asyncpg.DataError):
        ask(teams.made.url, f"SELECT count(*) FROM {view} WHERE {condition}")


def test_one_role_after_another_in_one_session_and_one_plan(teams: Teams) -> None:
    """What is granted is looked up as who asks now, also where the plan was made for another."""
    both = teams.made.role()
    everyone = teams.made.role()
    teams.grant(everyone, f"n-{SECRET}")
    teams.made.run(f"GRANT {teams.payments}, {everyone} TO {both} WITH INHERIT FALSE")

    async def session() -> list[list[str]]:
        connection = await asyncpg.connect(teams.made.as_role(both))
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        seen = []
        for role in (teams.payments, everyone, teams.payments):
            await connection.execute(f"SET ROLE {role}")
            rows = await connection.fetch("SELECT DISTINCT service_name FROM otel_team.v_otel_logs_enriched")
            seen.append([row[0] for row in rows])
        await connection.execute("RESET ROLE")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT DISTINCT service_name FROM otel_team.v_otel_logs_enriched")
        await connection.close()
        return seen

    assert asyncio.run(session()) == [["pay"], [f"s-{SECRET}"], ["pay"]]


def test_tables_of_their_own_are_not_taken_for_ours(teams: Teams) -> None:
    given = f"""
    CREATE TEMP TABLE otel_namespace_grants AS SELECT '{teams.payments}'::text AS role, 'n-{SECRET}'::text AS namespace;
    CREATE TEMP VIEW otel_granted_namespaces AS SELECT 'n-{SECRET}'::text AS namespace;
    CREATE TEMP VIEW pg_roles AS SELECT oid, rolname FROM pg_catalog.pg_roles;
    SET search_path = pg_temp, otel_team, public;
    """
    for view in TEAM_VIEWS:
        assert SECRET not in str(teams.ask(teams.payments, f"SELECT * FROM {view}", given=given))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM public.otel_spans_fact",
        "SELECT * FROM public.v_otel_spans_enriched",
        "SELECT * FROM public.otel_services",
        "SELECT * FROM public.otel_resources_dim",
        "SELECT * FROM public.otel_namespace_grants",
        "SELECT * FROM public.otel_granted_namespaces",
        "SELECT * FROM public.v_otel_ingest_ledger",
        "SELECT * FROM public.otel_count_operations(0, 9, NULL)",
        "SELECT * FROM public.otel_body_minutes('spans', '-infinity', 'infinity', 0, 9223372036854775807)",
        "SELECT public.otel_create_partitions('spans', '{0}', 1)",
        "SELECT public.otel_grant_namespaces(current_user::text, '{}')",
        "SELECT last_value FROM public.otel_resources_dim_resource_id_seq",
        "SELECT currval('public.otel_resources_dim_resource_id_seq')",
        "SELECT nextval('public.otel_resources_dim_resource_id_seq')",
        "SELECT count(*) FROM pg_catalog.pg_statistic",
        "SELECT * FROM otel_team.v_otel_logs_enriched FOR UPDATE",
        "CREATE VIEW public.mine AS SELECT 1",
        "CREATE VIEW otel_team.mine AS SELECT 1",
        "SET SESSION AUTHORIZATION postgres",
        "SET ROLE postgres",
    ],
)
def test_nothing_else_is_to_be_had(teams: Teams, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        teams.ask(teams.payments, statement)
    for partition in ask(teams.made.url, "SELECT partition FROM otel_partitions LIMIT 3"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            teams.ask(teams.payments, f"SELECT * FROM public.{partition['partition']}")


def test_statistics_and_plans_show_no_values_of_others(teams: Teams) -> None:
    teams.made.run("ANALYZE")
    assert (
        teams.ask(teams.payments, "SELECT tablename FROM pg_stats WHERE schemaname = ANY('{public, otel_team}')") == []
    )
    assert teams.ask(teams.payments, "SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL") == []
    for view in TEAM_VIEWS:
        plan = teams.ask(teams.payments, f"EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) SELECT * FROM {view}")
        assert SECRET not in str(plan)


def test_how_many_rows_of_others_have_a_value_is_not_told(teams: Teams) -> None:
    """A condition that met rows of others would be counted: who asks often enough has every value."""
    teams.made.run("ANALYZE")

    def plan(view: str, condition: str) -> str:
        question = f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT FROM {view} WHERE {condition}"
        rows = teams.ask(teams.payments, question)
        return "\n".join(row["QUERY PLAN"] for row in rows)

    values = {
        "v_otel_spans_enriched": ("name", "status_message", "scope_name", "service_name"),
        "v_otel_logs_enriched": ("severity_text", "event_name", "service_namespace"),
        "v_otel_metrics_number": ("metric_name", "unit", "service_name", "service_namespace"),
        "v_otel_metrics_enriched": ("metric_name", "unit", "service_name"),
        "v_otel_exemplars": ("metric_name", "unit", "service_namespace"),
        "v_otel_traces": ("root_span_name", "service_name", "service_namespace"),
    }
    assert set(values) == set(TEAM_VIEWS)
    begins = {"name": "op-", "root_span_name": "root-", "metric_name": "gauge-", "scope_name": "lib-"}
    begins |= {"service_name": "s-", "service_namespace": "n-"}
    for view, columns in values.items():
        for column in columns:
            value = begins.get(column, "") + SECRET
            assert ask(teams.made.url, f"SELECT {column} FROM {view} WHERE {column} = '{value}'"), (view, column)
            there, nowhere = (plan(view, f"{column} = '{found}'").replace(found, "?") for found in (value, value[:-1]))
            assert there == nowhere, (view, column)
    there, nowhere = (plan("v_otel_metrics_number", f"value_int {condition}") for condition in ("= 1", "= 5"))
    assert there.replace("= 1", "= 5") == nowhere


def test_what_is_granted_is_looked_up_once_a_query(teams: Teams) -> None:
    for view in TEAM_VIEWS:
        rows = teams.ask(teams.payments, f"EXPLAIN (ANALYZE) SELECT * FROM {view}")
        plan = [row["QUERY PLAN"] for row in rows]
        looked_up = [line for line in plan if "on otel_namespace_grants" in line]
        assert looked_up and all("loops=1)" in line for line in looked_up), (view, plan)


def test_plans_use_indexes_and_leave_other_partitions_alone(teams: Teams) -> None:
    """Conditions of a question go down to the tables where they tell nothing; of traces, the order is there already."""
    ahead = "; ".join(f"SET enable_{way} = off" for way in ("seqscan", "sort", "hashjoin", "mergejoin"))
    inside = f"start_time_unix_nano BETWEEN {NOW} AND {NOW + SECOND}"
    partition = time.strftime("_p%Y%m%dt00", time.gmtime(NOW // SECOND))

    def plan(statement: str) -> str:
        return "\n".join(row["QUERY PLAN"] for row in teams.ask(teams.payments, f"EXPLAIN {statement}", given=ahead))

    for view, condition in (("v_otel_spans_enriched", inside), ("v_otel_logs_enriched", f"time_unix_nano = {NOW}")):
        found = plan(f"SELECT span_id_hex FROM {view} WHERE trace_key = '{SHARED:032x}' AND {condition}")
        assert re.search(r"Index Cond: \(\(?trace_(id|key) = ", found), found
        assert set(re.findall(r"_fact(_p\w+t00) ", found)) == {partition}, found
    found = plan(f"SELECT service_name FROM v_otel_traces WHERE {inside} ORDER BY start_time_unix_nano DESC LIMIT 5")
    assert f"Index Scan Backward using otel_traces{partition}_start_time_unix_nano_idx" in found, found
    assert "Sort Key: t.start_time_unix_nano DESC" in found and found.startswith("Limit"), found
