"""The graph of services: which calls which or sends it messages, how often, with what result, how fast."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from exporter.otlp.records import SPANS
from queries import answers_services, dimensions, services, stored
from queries.database import Connection, ReadDatabase
from queries.minutes import MINUTE_NANO, Minutes, Tally, shown, statement
from queries.operations import rates
from queries.pages import Row
from queries.params import GraphSearch, Window

CALL, MESSAGE = "call", "message"


class _Service(NamedTuple):
    name: str
    namespace: str | None


_Edge = tuple[_Service, _Service, str]


async def find(
    database: ReadDatabase, asked: GraphSearch, window: Window
) -> tuple[list[answers_services.Node], list[answers_services.Edge], bool]:
    """Nodes by name, edges with the busiest first, and whether all spans are counted. Raises NotFound."""
    async with database.reading(one_snapshot=True) as connection:
        ids = await services.resources_of(connection, asked.service, asked.namespace)
        # A client's span may begin an hour before the server's, or a minute after it, as otel_count_edges() has it.
        minutes = await Minutes.of(connection, SPANS, window, 60 * MINUTE_NANO, MINUTE_NANO)
        rows = await minutes.count(
            connection,
            _statement("count-edges", asked.adjusted),
            lambda part: (*part, ids, *minutes.window, minutes.anew),
        )
        stored_rows = _statement("match-edge-minutes", asked.adjusted)
        rows += await connection.fetch(stored_rows, *minutes.whole, ids, minutes.counted)
        counts = await services.count(connection, SPANS, window, adjusted=asked.adjusted)
        named = await _named(connection, {*(counts or ()), *(ids or ())})
    tallies = _tallies(rows)
    ends = {end for edge in tallies for end in edge[:2]}
    nodes = ends | {named[id_] for id_ in (ids if ids is not None else counts or ())}
    spans = None if counts is None else _sums((named[id_], number) for id_, (number, _) in counts.items())
    return (
        [
            answers_services.Node(*node, None if spans is None else shown(spans.get(node, 0)))
            for node in sorted(nodes, key=_order)
        ],
        _shown(tallies, window),
        minutes.is_complete,
    )


def _statement(matches: str, adjusted: bool) -> str:
    return statement(matches, "sum-edges", "adjust-edges" if adjusted else None)


async def _named(connection: Connection, ids: Iterable[int]) -> dict[int, _Service]:
    found = await dimensions.services(connection, ids)
    return {id_: _Service(service.name, service.namespace) for id_, service in found.items()}


def _sums(counts: Iterable[tuple[_Service, int | Decimal]]) -> dict[_Service, int | Decimal]:
    found: dict[_Service, int | Decimal] = {}
    for service, number in counts:
        found[service] = found.get(service, 0) + number
    return found


def _tallies(rows: Iterable[Row]) -> dict[_Edge, Tally]:
    found: dict[_Edge, Tally] = {}
    for row in rows:
        client, server = (
            _Service(stored.text(row[f"{side}_name"]), stored.text(row[f"{side}_namespace"]) or None)
            for side in ("client", "server")
        )
        edge = client, server, MESSAGE if row["is_message"] else CALL
        found.setdefault(edge, Tally()).add(row["errors"], row["buckets"], row["counts"])
    return found


def _shown(tallies: dict[_Edge, Tally], window: Window) -> list[answers_services.Edge]:
    edges = [
        answers_services.Edge(*client, *server, kind, **rates(tally, window))
        for (client, server, kind), tally in tallies.items()
    ]
    return sorted(edges, key=lambda edge: (-edge.calls, edge.client_service_name, edge.server_service_name, edge.kind))


def _order(service: _Service) -> tuple[str, str]:
    return service.name, service.namespace or ""
