"""Operations: what the spans of a service are called, how often they came, how many failed, how long they took."""

from typing import Any

from exporter.otlp.records import SPANS
from queries import answers_services, services, spans, stored
from queries.database import ReadDatabase
from queries.minutes import Minutes, Tally, shown, statement
from queries.params import OperationSearch, Window
from queries.values import KINDS


async def find(
    database: ReadDatabase, service: str, asked: OperationSearch, window: Window
) -> tuple[list[answers_services.Operation], bool]:
    """The operations of a service, the most called first, and whether all its spans are counted. Raises NotFound."""
    tallies: dict[tuple[str, int], Tally] = {}
    async with database.reading(one_snapshot=True) as connection:
        ids = await services.resources_of(connection, [service], asked.namespace)
        given = ids, stored.escaped(asked.name), asked.kind or None
        minutes = await Minutes.of(connection, SPANS, window)
        rows = await minutes.count(
            connection,
            _statement("count-operations", asked.adjusted),
            lambda part: (*minutes.clipped(part), *given),
        )
        stored_rows = _statement("match-operation-minutes", asked.adjusted)
        rows += await connection.fetch(stored_rows, *minutes.whole, *given, minutes.counted)
    for row in rows:
        tally = tallies.setdefault((stored.text(row["name"]), row["kind_id"]), Tally())
        tally.add(row["errors"], row["buckets"], row["counts"])
    found = [
        answers_services.Operation(name, spans.name_of(KINDS, kind), **rates(tally, window))
        for (name, kind), tally in tallies.items()
    ]
    return sorted(found, key=lambda o: (-o.calls, o.name, str(o.kind))), minutes.is_complete


def _statement(matches: str, adjusted: bool) -> str:
    return statement(matches, "sum-operations", "adjust-operations" if adjusted else None)


def rates(tally: Tally, window: Window) -> dict[str, Any]:
    """The fields of answers_services.Calls."""
    calls = tally.calls
    return {
        "calls": shown(calls),
        "rate": float(calls) / ((window.end - window.start) / 1e9),
        "errors": shown(tally.errors),
        "error_share": float(tally.errors / calls),
        "p50_nanos": tally.percentile(50),
        "p95_nanos": tally.percentile(95),
        "p99_nanos": tally.percentile(99),
    }
