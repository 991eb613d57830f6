"""/api/config: what is in force and where it comes from, and no secret of it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.app_config import without_password
from tests.exporter.asking import NOWHERE, postel
from tests.exporter.test_access import bearer

PASSWORD = "hunter2"


def answers(settings: dict[str, str], *headers: dict[str, str], **parameters: str) -> list[httpx.Response]:
    """What /api/config answers, without a database, to requests with these headers."""

    async def session() -> list[httpx.Response]:
        async with postel(NOWHERE, settings, ready=False) as server:
            return [
                await server.client.get("/api/config", headers=sent, params=parameters) for sent in headers or ({},)
            ]

    return asyncio.run(session())


def settings_of(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    return {setting["key"]: setting for setting in answer.json()["settings"]}


def test_where_each_setting_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text("writers: 3\nretention:\n  logs: 14d\n  rules: [{match: {severity_below: info}, keep: 2d}]\n")
    (answer,) = answers({"CONFIG": str(file), "MAX_BODY_BYTES": "10MiB"})
    found = settings_of(answer)
    assert found["writers"] == {"key": "writers", "value": "3", "origin": f"{file}:1"}
    assert found["retention.rules"] == {
        "key": "retention.rules",
        "value": "[{match.severity_below: info, keep: 2d}]",
        "origin": f"{file}:4",
    }
    assert found["retention.logs"] == {"key": "retention.logs", "value": "14d", "origin": f"{file}:3"}
    assert found["max_body_bytes"] == {"key": "max_body_bytes", "value": "10MiB", "origin": "POSTEL_MAX_BODY_BYTES"}
    assert found["readers"] == {"key": "readers", "value": "1", "origin": None}
    assert answer.json()["started"][:10] == answer.json()["lists_since"][:10]
    assert abs(answer.json()["started_unix_nano"] - answer.json()["lists_since_unix_nano"]) < 10**9


def test_lists_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_text(
        "promote: {span_links: {bool: [b], int: [a, b]}}\ndrop: {span_links: [z, 'x.*', y], hash: [b, 'a*'], "
        "log_body: [secret, 'p\\S+', key: k]}\n"
    )
    (answer,) = answers({"ATTRIBUTE_OVERRIDES": str(file)})
    content = answer.json()
    assert content["overrides"] == {"file": str(file), "state": "in_force", "problems": []}
    lists = {found["owner"]: found for found in content["lists"]}
    assert list(lists) == ["resource", "scope", "logs", "spans", "span_events", "span_links", "metrics"]
    assert lists["span_links"] == {
        "owner": "span_links",
        "promoted": {"string": ["a", "b", "messaging.message.id"], "int": [], "double": [], "bool": [], "bytes": []},
        "dropped": ["y", "z", "x.*"],
    }
    assert "service.name" in lists["resource"]["promoted"]["string"]
    assert content["redaction"] == {"hashed": ["b", "a*"], "log_body_members": ["k"], "log_body_expressions": 2}


def test_no_secret_of_the_settings(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(PASSWORD)
    url = f"postgresql://admin:{PASSWORD}@db.example:5432/postel?password={PASSWORD}"
    given = {"DATABASE_URL": url, "READ_TOKEN_FILE": str(token), "INGEST_TOKEN_FILE": str(token)}
    for form in ("json", "text"):
        refused, answer = answers(given, {}, bearer(PASSWORD), format=form, width="400")
        assert refused.status_code == 401
        assert answer.status_code == 200
        assert PASSWORD not in answer.text and "admin" not in answer.text
        assert "postgresql://db.example:5432/postel" in answer.text and str(token) in answer.text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("none", "none"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgres://u:p@h:5432,g:5433/d?sslmode=require", "postgres://h:5432,g:5433/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d"),
        ("postgresql://u:p@[::1]:5432/d", "postgresql://[::1]:5432/d"),
        ("postgresql://u:p@s@h/d", "postgresql://…"),
        ("postgresql://u:p/s@h/d", "postgresql://…"),
        ("postgresql://u:p?s@h/d", "postgresql://…"),
        ("postgresql://u:p#s@h/d", "postgresql://…"),
        ("postgresql://h/d?password=a@bcd", "postgresql://…"),
    ],
)
def test_a_url_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_as_text(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_text("drop: {spans: [password]}\n")
    (answer,) = answers({"ATTRIBUTE_OVERRIDES": str(file)}, format="text", width="200")
    lines = answer.text.splitlines()
    assert lines[0].startswith("attribute lists since ") and lines[0].endswith(f"overrides {file} (in_force)")
    assert "spans dropped: password" in lines
    assert any(line.split() == ["attribute_overrides", str(file), "POSTEL_ATTRIBUTE_OVERRIDES"] for line in lines)
