"""Three roles: all is the owner's, a whole server runs as the writer, and neither it nor the reader may do more."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import pytest

from exporter import cli, grant, maintenance, migrations, roles
from exporter.database import Database
from exporter.errors import ConfigurationError, NotPermitted
from exporter.maintenance import maintain
from exporter.minutes import AT_ONCE, Minutes
from exporter.partitions import Partitions
from exporter.quarantine import Quarantine
from exporter.settings import load
from exporter.sidecar import Sidecar
from tests.docs import records, shown
from tests.docs.examples import EXAMPLES
from tests.exporter.conftest import violations
from tests.exporter.sending import DAY, NOW, log, logs, run, send, send_until_stored, sent, span, spans
from tests.house.source import ROOT
from tests.roles import Deployment, deployment
from tests.running import Server, serving
from tests.sql.rows import ask

FOREIGN = """
SELECT c.oid::regclass::text AS object FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'otel_team')
WHERE c.relowner::regrole::text <> $1
UNION ALL
SELECT f.oid::regprocedure::text FROM pg_proc AS f
WHERE f.pronamespace IN ('public'::regnamespace, to_regnamespace('otel_team')) AND f.proowner::regrole::text <> $1
UNION ALL
SELECT nspname FROM pg_namespace WHERE nspname = 'otel_team' AND nspowner::regrole::text <> $1
"""
"""Tables, partitions, indexes, sequences, views, functions and the schema that are not the owner's."""

UNDECIDED = """
SELECT relname::text AS object FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
    AND relname NOT IN (SELECT object FROM otel_privileges WHERE NOT is_function)
UNION ALL
SELECT proname::text FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND provolatile <> 'i'
    AND proname NOT IN (SELECT object FROM otel_privileges WHERE is_function)
"""

RIGHTS_OF_ALL = """
SELECT c.oid::regclass::text AS object FROM pg_class AS c CROSS JOIN aclexplode(relacl) AS a
WHERE a.grantee = 0 AND c.relnamespace IN ('public'::regnamespace, 'otel_team'::regnamespace)
UNION ALL
SELECT f.oid::regprocedure::text
FROM pg_proc AS f CROSS JOIN aclexplode(coalesce(proacl, acldefault('f', proowner))) AS a
WHERE a.grantee = 0 AND f.pronamespace = 'public'::regnamespace AND f.provolatile <> 'i'
UNION ALL
SELECT nspname::text FROM pg_namespace CROSS JOIN aclexplode(nspacl) AS a
WHERE a.grantee = 0 AND (nspname = 'otel_team' OR nspname = 'public' AND a.privilege_type = 'CREATE')
"""


@pytest.fixture
def made(server_url: str, template: str) -> Iterator[Deployment]:
    """A database with its roles."""
    with deployment(server_url, template) as found:
        found.create()
        yield found


@pytest.fixture
def unmade(server_url: str, template: str) -> Iterator[Deployment]:
    """A migrated database that has no roles yet."""
    with deployment(server_url, template) as found:
        yield found


def sqlstate(url: str, statement: str) -> str:
    """What a statement fails with, "" where it does not."""
    try:
        ask(url, statement)
    except asyncpg.PostgresError as error:
        return str(error.sqlstate)
    return ""


def day_old_span(number: int) -> tuple[str, bytes]:
    """A span in a partition of its own."""
    return spans(span(number, 1, start=NOW - number * DAY))


def test_everything_is_the_owners(unmade: Deployment) -> None:
    sent(unmade.url, day_old_span(3), logs(log("x")))
    # As a database that was made by PostgreSQL 14 has it.
    unmade.run("GRANT CREATE ON SCHEMA public TO PUBLIC")
    for _ in range(2):
        unmade.create()
        assert ask(unmade.url, FOREIGN, f"{unmade.prefix}_owner") == []
        assert ask(unmade.url, RIGHTS_OF_ALL) == []
        assert ask(unmade.url, "SELECT * FROM otel_due_privileges") == []
    sent(unmade.writer, day_old_span(5))
    assert ask(unmade.url, FOREIGN, f"{unmade.prefix}_owner") == [], "a partition that the writer had made"


def test_there_is_a_decision_about_every_object(made: Deployment) -> None:
    undecided = ask(made.url, UNDECIDED)
    assert undecided == [], "decide in sql/grants/1_otel_privileges.sql what writer and reader may do with these"
    made.run("CREATE TABLE otel_new ()", "CREATE FUNCTION otel_new() RETURNS int LANGUAGE sql RETURN 1")
    assert [row["object"] for row in ask(made.url, UNDECIDED)] == ["otel_new", "otel_new"]


def test_every_decision_is_about_something(made: Deployment) -> None:
    stale = """SELECT object FROM otel_privileges
    WHERE CASE WHEN is_function THEN NOT EXISTS (SELECT FROM pg_proc WHERE proname = object)
        ELSE to_regclass(object) IS NULL END"""
    assert ask(made.url, stale) == []


def test_functions_with_rights_of_the_owner_have_a_fixed_path(made: Deployment) -> None:
    definers = ask(made.url, "SELECT proconfig FROM pg_proc WHERE prosecdef AND proname LIKE 'otel%'")
    assert len(definers) >= 2
    assert all("search_path=public, pg_temp" in row["proconfig"] for row in definers)
    # Tables of a temporary schema are not taken for ours.
    temporary = "CREATE TEMP TABLE otel_partitions AS SELECT * FROM public.otel_partitions; "
    call = f"SELECT otel_create_partitions('spans', ARRAY[{NOW + 9 * DAY}]::bigint[], {DAY}) AS n"
    assert ask(made.writer, call, given=temporary)[0]["n"] > 0
    assert len(ask(made.url, f"SELECT FROM otel_partitions WHERE lower_unix_nano > {NOW + 8 * DAY}")) > 0


def test_a_whole_server_runs_as_the_writer_and_all_is_read_as_the_reader(made: Deployment) -> None:
    with serving(made.writer) as writing, serving(made.reader, ready=False) as reading:
        records.send(writing, shown.asked_at())
        asked = [e.asked for examples in EXAMPLES.values() for e in examples if not e.streams]
        for path in asked:
            answers = [_answer(server, path.replace("since=15m", "since=48h")) for server in (writing, reading)]
            assert answers[0] == answers[1], path
        for server in (writing, reading):
            assert server.get("/api/logs/tail", since="48h", limit="1").status_code in (200, 400)
        assert "permission denied" in reading.get("/readyz").text
        assert writing.get("/readyz").text == "ready\n"
        assert writing.get("/metrics").status_code == 200
    assert asyncio.run(violations(made.url)) == []


def _answer(server: Server, path: str) -> str:
    """An answer without the times in it, as some are those of the question, and what is counted by them."""
    where, _, asked = path.partition("?")
    answer = server.get(f"/api{where}", **dict(parse_qsl(asked)))
    assert answer.status_code == 200, (path, answer.text)
    return re.sub(r"\d{4}-\d\d-\d\d[T ][0-9:.]+Z?|\b\d{19}\b|\d+\.\d+", "", answer.text)


def test_the_jobs_of_a_server_run_as_the_writer(made: Deployment) -> None:
    async def session(running: Sidecar) -> None:
        await send(running, *day_old_span(1))
        await send(running, *spans(*(span(200, i + 1, has={"n": f"value {i}"}) for i in range(400))))
        await send(running, *logs(log("x", at=NOW - 3 * DAY), log("y", span_id=b"short")))
        await running._share_verdicts(await running.ready())

    run(made.writer, session)
    made.run(
        "UPDATE otel_ingest_ledger SET committed_at = committed_at - INTERVAL '1 day'",
        "UPDATE otel_minutes_watermark SET committed_until = '-infinity'",
        "INSERT INTO otel_rejected_records (signal, reason, message, count, received_at) "
        "VALUES ('logs', 'x', '', 1, now() - INTERVAL '999 days')",
        "INSERT INTO otel_resources_dim (dropped_attributes_count, resource_hash, schema_url, attributes, last_seen) "
        "VALUES (0, 'old', '', '{}', '2000-01-01')",
    )

    async def jobs() -> None:
        kept = {f"POSTEL_RETENTION_{name}": age for name, age in (("SPANS", "30d"), ("LOGS", "2d"), ("METRICS", "30d"))}
        settings = load(environ=kept)
        database = Database(made.writer, 1, 60.0)
        partitions = Partitions(database, settings.intervals, settings.partitions_ahead)
        dropped = await maintain(database, partitions, settings)
        assert any(name.startswith("otel_logs_fact_p") for name in dropped)
        assert await Minutes(database, partitions, AT_ONCE).roll_up() > 0
        await Quarantine(1 << 20, 86_400.0).prune(database)
        await database.close()

    asyncio.run(jobs())
    left = "SELECT (SELECT count(*) FROM {}) AS n"
    assert ask(made.url, left.format("otel_rejected_records WHERE reason = 'x'"))[0]["n"] == 0
    assert ask(made.url, left.format("otel_resources_dim WHERE resource_hash = 'old'"))[0]["n"] == 0
    assert ask(made.url, left.format("otel_ingest_ledger"))[0]["n"] == 0
    assert ask(made.url, left.format("otel_operation_minutes"))[0]["n"] > 0


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("writer", "CREATE TABLE mine ()"),
        ("writer", "CREATE SCHEMA mine"),
        ("writer", "TRUNCATE otel_spans_fact"),
        ("writer", "UPDATE otel_spans_fact SET flags = 1"),
        ("writer", "DELETE FROM attribute_keys"),
        ("writer", "ALTER TABLE otel_traces ADD COLUMN mine int"),
        ("writer", "INSERT INTO postel_migrations (version, name, checksum) VALUES (99, '', '')"),
        ("writer", "INSERT INTO otel_namespace_grants (role, namespace) VALUES (current_user, '')"),
        ("writer", "SELECT otel_grant_namespaces(current_user, '{a}')"),
        ("writer", "SELECT otel_apply_privileges()"),
        ("writer", "UPDATE otel_secrets SET digest_key = ''"),
        ("writer", "DROP TABLE otel_logs_fact"),
        ("reader", "SELECT otel_create_partitions('spans', '{0}', 1)"),
        ("reader", "SELECT otel_drop_partitions('spans', 9223372036854775807)"),
        ("reader", "SELECT * FROM otel_secrets"),
        ("reader", "SELECT * FROM otel_rejected_records"),
        ("reader", "SELECT * FROM otel_namespace_grants"),
    ],
)
def test_neither_may_do_more(shared_roles: Deployment, role: str, statement: str) -> None:
    assert sqlstate(getattr(shared_roles, role), statement) == "42501"


@pytest.fixture(scope="module")
def shared_roles(server_url: str, template: str) -> Iterator[Deployment]:
    """A database with its roles that nobody writes to."""
    with deployment(server_url, template) as found:
        found.create()
        yield found


def test_the_reader_only_reads_and_both_have_time_outs(shared_roles: Deployment) -> None:
    show = """SELECT current_setting('statement_timeout') AS statement, current_setting('default_transaction_read_only')
        AS read_only, current_setting('idle_in_transaction_session_timeout') AS idle"""
    assert ask(shared_roles.reader, show) == [{"statement": "8s", "read_only": "on", "idle": "8s"}]
    assert ask(shared_roles.writer, show) == [{"statement": "8s", "read_only": "off", "idle": "8s"}]
    assert sqlstate(shared_roles.reader, "CREATE TEMP TABLE mine ()") == "25006"
    # What an administrator chose stays.
    shared_roles.run(f"ALTER ROLE {shared_roles.prefix}_reader SET statement_timeout = '1min'")
    shared_roles.create()
    assert ask(shared_roles.reader, show)[0]["statement"] == "1min"


def test_maintain_as_the_owner_makes_what_only_the_owner_may(made: Deployment, capsys: Any) -> None:
    many = spans(*(span(200, i + 1, has={"user.id": f"value {i}"}) for i in range(400)))
    sent(made.writer, many)
    settings = load(environ={"POSTEL_DATABASE_URL": made.owner})
    asyncio.run(maintenance.run_once(settings))
    assert "dropped: none" in capsys.readouterr().out
    asyncio.run(maintenance.run_once(load(environ={"POSTEL_DATABASE_URL": made.writer})))
    assert "indexes on promoted keys are left to who owns the schema" in capsys.readouterr().out
    assert ask(made.reader, "SELECT key, is_complete FROM otel_row_indexes") == [
        {"key": "user.id", "is_complete": True}
    ]


def test_a_server_of_the_old_owner_goes_on(server_url: str) -> None:
    """It is no superuser, and has the database to itself; the administrator makes the roles meanwhile."""
    with deployment(server_url, None) as made:
        old = made.role()
        made.run(f"ALTER DATABASE {made.name} OWNER TO {old}")
        bodies = [spans(*(span(n * 1000 + i + 1, 1, start=NOW - n % 9 * DAY) for i in range(50))) for n in range(60)]

        async def session(running: Sidecar) -> None:
            creating = asyncio.create_task(roles.create(made.url, made.prefix, 8.0))
            for body in bodies:
                await send_until_stored(running, *body)
                await asyncio.sleep(0.02)
            await creating
            await send_until_stored(running, *day_old_span(20))

        run(made.as_role(old), session)
        asyncio.run(migrations.migrate(made.as_role(old)))
        assert ask(made.url, FOREIGN, f"{made.prefix}_owner") == []
        assert ask(made.url, "SELECT count(*) AS n FROM otel_spans_fact") == [{"n": 3001}]
        assert asyncio.run(violations(made.url)) == []
        sent(made.writer, day_old_span(21))


def test_who_may_not_create_roles_is_told_what_to_have_executed(
    server_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with deployment(server_url, None) as made:
        old = made.role()
        made.run(f"ALTER DATABASE {made.name} OWNER TO {old}")
        command = ["migrate", "--create-roles", made.prefix, "--database-url", made.as_role(old)]
        assert cli.main(command) == 1
        said, _, script = capsys.readouterr().err.partition("then run the command again:\n")
        assert said.startswith("postel migrate: 42501 ") and "permission denied to create role" in said
        assert (
            f"CREATE ROLE {made.prefix}_owner LOGIN;\n" in script and f"GRANT {made.prefix}_owner TO {old};" in script
        )
        assert ask(made.url, "SELECT * FROM otel_roles") == []
        made.run(script)
        assert cli.main(command) == 0
        assert capsys.readouterr().out.startswith(f"everything of Postel belongs to {made.prefix}_owner")
        assert ask(made.url, FOREIGN, f"{made.prefix}_owner") == []
        sent(made.writer, logs(log("x")))


def test_a_role_that_may_create_roles_needs_not_be_a_superuser(server_url: str) -> None:
    with deployment(server_url, None) as made:
        admin = made.role("CREATEROLE")
        made.run(f"ALTER DATABASE {made.name} OWNER TO {admin}")
        asyncio.run(migrations.migrate(made.as_role(admin)))
        for _ in range(2):
            asyncio.run(roles.create(made.as_role(admin), made.prefix, 8.0))
        assert ask(made.url, FOREIGN, f"{made.prefix}_owner") == []
        sent(made.writer, logs(log("x")))


def test_what_a_superuser_migrates_later_is_the_owners(made: Deployment) -> None:
    made.run("DROP VIEW v_otel_ingest_ledger")
    asyncio.run(migrations.migrate(made.url))
    assert ask(made.url, FOREIGN, f"{made.prefix}_owner") == []
    assert ask(made.reader, "SELECT * FROM v_otel_ingest_ledger") == []


def test_a_new_table_has_its_rights_with_the_next_migration(made: Deployment) -> None:
    made.run(f"REVOKE SELECT ON otel_traces FROM {made.prefix}_reader", "GRANT TRUNCATE ON otel_traces TO PUBLIC")
    asyncio.run(migrations.migrate(made.owner))
    assert ask(made.reader, "SELECT * FROM otel_traces") == []
    assert ask(made.url, RIGHTS_OF_ALL) == []


def test_other_roles_than_it_has_are_refused(shared_roles: Deployment) -> None:
    with pytest.raises(ConfigurationError, match=f"this database has the roles {shared_roles.prefix}_owner"):
        asyncio.run(roles.create(shared_roles.url, "others", 8.0))
    assert asyncio.run(roles.create(shared_roles.url, None, 8.0))[0] == f"{shared_roles.prefix}_owner"


def test_another_deployment_in_the_database_leaves_the_teams_alone(made: Deployment) -> None:
    """As where search_path is forgotten in a URL."""
    asyncio.run(grant.grant(load(flags={"database_url": made.owner}), (team := made.role()), ["payments"]))
    made.run("CREATE SCHEMA second")
    second = f"{made.url}&options=-csearch_path%3Dsecond"
    asyncio.run(migrations.migrate(second))
    others = f"{made.prefix}_2"
    with pytest.raises(ConfigurationError, match=f"otel_team belongs to {made.prefix}_owner, not to {others}_owner"):
        asyncio.run(roles.create(second, others, 8.0))
    assert ask(made.as_role(team), "SELECT * FROM otel_team.v_otel_logs_enriched") == []
    sent(made.writer, logs(log("x"), resource={"service.name": "a", "service.namespace": "payments"}))
    asyncio.run(migrations.migrate(made.owner))
    asyncio.run(migrations.migrate(second))
    assert len(ask(made.as_role(team), "SELECT * FROM otel_team.v_otel_logs_enriched")) == 1


def test_advisory_locks_can_be_taken_from_teams(made: Deployment) -> None:
    held = "SELECT pg_advisory_lock(hashtext('otel_partitions'))"
    assert sqlstate(made.as_role(team := made.role()), held) == ""
    page = (ROOT / "docs" / "roles.md").read_text()
    (given,) = re.findall(r"```sql\n(REVOKE EXECUTE.*?)```", page, re.DOTALL)
    made.run(given.replace("postel_", f"{made.prefix}_"))
    for function in set(re.findall(r"pg_\w+", given)):
        assert sqlstate(made.as_role(team), f"SELECT {function}(1)") == "42501", function
    asyncio.run(migrations.migrate(made.owner))
    asyncio.run(maintenance.run_once(load(flags={"database_url": made.owner})))
    sent(made.writer, day_old_span(30))


def test_a_prefix_is_a_plain_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["migrate", "--database-url", "postgresql://a/b", "--create-roles", "Not Plain"])
    assert "must be lower-case letters" in capsys.readouterr().err


def test_what_a_role_lacks_is_named(made: Deployment) -> None:
    made.run(f"REVOKE INSERT ON otel_exemplars FROM {made.prefix}_writer")

    async def session() -> None:
        database = Database(made.writer, 1, 5.0)
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO otel_exemplars DEFAULT VALUES")

    with pytest.raises(NotPermitted, match="permission denied for table otel_exemplars"):
        asyncio.run(session())
