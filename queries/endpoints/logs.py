"""Log records: a search."""

from starlette.responses import Response

from exporter.otlp import export
from exporter.otlp import records as r
from queries import answers, cursors, logs, pages, params
from queries.asking import NOT_COUNTED, Ask, Endpoint
from queries.formats import export_request
from queries.pages import Request


async def search_logs(ask: Ask[params.LogSearch]) -> Response:
    """Log records, newest first."""
    request = Request.of("logs", ask.given, ask.given.window_of_trace(), cursors.BY_ID)
    async with ask.database.reading() as connection:
        selection = await logs.select(connection, ask.given)
        rows = await pages.find(connection, logs.SOURCE, selection, request)
        found = await logs.load(connection, rows[: request.limit])
        total = NOT_COUNTED
        if ask.counts:
            total = await pages.total_of(connection, logs.SOURCE, selection, request, rows)

    def to_otlp() -> tuple[str, export.Json]:
        return r.LOGS, export_request(r.LOGS, found, lambda part: [log.to_otlp() for log in part])

    keys = [logs.SOURCE.key_of(row) for row in rows]
    shown = [log.to_json() for log in found]
    return ask.page("logs", request, keys, total, lambda page: answers.LogList(shown, **page), to_otlp)


ENDPOINTS = (Endpoint("/logs", params.LogSearch, answers.LogList, search_logs),)
