"""Questions to the views are asked in three ways, and nothing of it stays."""

import asyncio

from bench.teams import QUESTIONS, WAYS, measure
from tests.exporter.sending import log, logs, sent, span, spans
from tests.roles import deployment
from tests.sql.catalogue import catalogue


def test_all_are_asked_and_nothing_stays(server_url: str, template: str) -> None:
    with deployment(server_url, template) as made:
        made.create()
        sent(made.url, spans(span(1, 1)), logs(log("x")))
        before = catalogue(made.url)
        measured = asyncio.run(measure(made.url))
        assert tuple(measured) == QUESTIONS and len(QUESTIONS) == 8
        assert all(tuple(ways) == tuple(WAYS) and min(ways.values()) > 0 for ways in measured.values())
        assert catalogue(made.url) == before
