"""The runbooks name what /metrics shows, all of it and nothing else, and their SQL runs."""

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.exporter.asking import postel
from tests.exporter.sending import span, spans

PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
SUFFIXES = re.compile(r"_(bucket|count|sum|created|total)$")
NAME = re.compile(r"postel_[a-z_]+")


def test_every_metric_is_in_the_table_and_nothing_else(store: str) -> None:
    async def session() -> set[str]:
        async with postel(store) as app:
            assert (await app.post("/v1/traces", spans(span(1, 1))[1])).status_code == 200
            return {f.name for f in text_string_to_metric_families((await app.get("/metrics")).text)}

    table = (PAGES / "README.md").read_text().partition("## Every metric")[2]
    documented = {name.removesuffix("_total") for name in re.findall(r"^\| `(postel_[a-z_]+)", table, re.MULTILINE)}
    assert documented == asyncio.run(session())


def test_pages_name_only_metrics_that_are_there() -> None:
    known = {SUFFIXES.sub("", name) for name in NAME.findall((PAGES / "README.md").read_text())}
    for page in PAGES.glob("*.md"):
        strangers = {name for name in NAME.findall(page.read_text()) if SUFFIXES.sub("", name) not in known}
        assert not strangers, f"{page.name}: {strangers}"


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    alerts = re.findall(
        r"^\| (Postel\w+) \|.*\[([a-z-]+)\]\(\2\.md\) \|$", (PAGES / "README.md").read_text(), re.MULTILINE
    )
    titles = {page.stem: page.read_text().splitlines()[0] for page in PAGES.glob("*.md") if page.stem != "README"}
    assert titles == {page: f"# {alert}" for alert, page in alerts}


STATEMENTS = [
    statement.strip()
    for page in sorted(PAGES.glob("*.md"))
    for block in re.findall(r"```sql\n(.*?)```|`((?:SELECT|DELETE) [^`]*)`", page.read_text(), re.DOTALL)
    for statement in "".join(block).replace("reason = ...", "reason = ''").split(";")
    if statement.strip()
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: " ".join(statement.split())[:50])
def test_statements_run(database_url: str, statement: str) -> None:
    async def session() -> None:
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    assert len(STATEMENTS) >= 5
    asyncio.run(session())
