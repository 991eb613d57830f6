"""Spans: a search, and whole spans with their events and links from rows."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from exporter import columns
from exporter.otlp import export
from exporter.otlp import records as r
from queries import answers, cursors, dimensions, selecting, stored
from queries.database import Connection
from queries.dimensions import Resource, Scope
from queries.filters import Kept, Match
from queries.pages import Row, Selection, Source
from queries.params import SpanSearch
from queries.selecting import Series
from queries.semantics import beginnings, detect, path
from queries.values import KINDS, STATUSES
from sql import query

SOURCE = Source(
    r.SPANS, columns.SPANS, query("reading_spans", "match-spans"), ("start_time_unix_nano", "trace_id", "span_id")
)
_INT64_MAX = (1 << 63) - 1


class Span(Struct):
    """A span with everything that was sent of it, and what it is filed under."""

    record: r.Span
    attributes: stored.Attributes
    events: list[r.Event]
    links: list[r.Link]
    status: r.Status
    resource: Resource
    scope: Scope
    filed_unix_nano: int
    sent_unix_nano: int | None
    adjusted_count: answers.Count

    @property
    def duration_nano(self) -> int:
        """From the start as sent to the end; 0 where the end lies before it."""
        return min(max(0, self.record.end_time_unix_nano - self.record.start_time_unix_nano), _INT64_MAX)

    @property
    def key(self) -> cursors.Key:
        """What spans are ordered by."""
        span_id = int.from_bytes(self.record.span_id, "big", signed=True)
        return self.filed_unix_nano, self.record.trace_id, span_id

    @property
    def semantic_type(self) -> str | None:
        """The semantic convention that its attributes follow."""
        return detect(self.attributes)

    def to_json(self) -> answers.Span:
        """The span as the API shows it."""
        return answers.Span(*self.shown())

    def shown(self) -> tuple[Any, ...]:
        """The fields of answers.Span."""
        record = self.record
        return (
            record.trace_id.hex(),
            record.span_id.hex(),
            stored.hex_or_null(record.parent_span_id),
            record.name,
            name_of(KINDS, record.kind),
            self.filed_unix_nano,
            record.end_time_unix_nano,
            self.duration_nano,
            self.sent_unix_nano,
            name_of(STATUSES, self.status.code),
            self.status.message or None,
            self.resource.service_name,
            self.resource.service_namespace,
            self.semantic_type,
            stored.plain(self.attributes),
            [_event(event) for event in self.events],
            [_link(link) for link in self.links],
            self.resource.id,
            self.scope.id,
            self.scope.record.name or None,
            self.scope.record.version or None,
            record.trace_state or None,
            self.adjusted_count,
            record.flags,
            record.dropped_attributes_count,
            record.dropped_events_count,
            record.dropped_links_count,
        )

    def to_otlp(self) -> export.Json:
        """The span as it was sent."""
        return export.span(self.record, stored.key_values(self.attributes), self.events, self.links, self.status)


def name_of(names: Sequence[str], number: int) -> str | int:
    """The name of an enum's number; the number where the protocol has no name for it."""
    return names[number] if 0 <= number < len(names) else number


def _event(event: r.Event) -> answers.Event:
    attributes = stored.plain({a.key: a.value for a in event.attributes})
    return answers.Event(event.time_unix_nano, event.name, attributes, event.dropped_attributes_count)


def _link(link: r.Link) -> answers.Link:
    return answers.Link(
        stored.hex_or_null(link.trace_id),
        stored.hex_or_null(link.span_id),
        link.trace_state or None,
        stored.plain({a.key: a.value for a in link.attributes}),
        link.dropped_attributes_count,
        link.flags,
    )


async def select(connection: Connection, asked: SpanSearch) -> Selection:
    """Which spans a search asks for."""
    series = Series(
        r.SPANS, query("reading_dimensions", "match-span-series"), (stored.escaped(asked.name), asked.kind or None)
    )
    values = (
        asked.trace_id,
        None if asked.span_id is None else int.from_bytes(asked.span_id, "big", signed=True),
        asked.status,
        asked.min_duration,
        asked.max_duration,
    )
    selection = await selecting.select(connection, asked, series, values, narrow=asked.trace_id is not None)
    return _of_types(selection, asked.semantic_type) if asked.semantic_type else selection


def _of_types(selection: Selection, types: Iterable[str]) -> Selection:
    """Those of the spans that are of one of these types; a key that tells may lie in a series or on a row."""
    found: list[Selection] = []
    for semantic_type in dict.fromkeys(types):
        own, earlier = beginnings(semantic_type)
        series = Match(query("reading_dimensions", "match-span-series-of-type"), (own, earlier))
        kept = Kept("keep-of-type", {"earlier": path(earlier), "own": path(own)}, series)
        found += [replace(part, kept=[*part.kept, kept], others=()) for part in selection.parts]
    return replace(found[0], others=found[1:]) if found else selection


async def load(connection: Connection, rows: Sequence[Row]) -> list[Span]:
    """Whole spans of rows, in their order."""
    if not rows:
        return []
    resources = await dimensions.resources(connection, (row["resource_id"] for row in rows))
    series = await dimensions.span_series(connection, (row["series_id"] for row in rows))
    events = await _children(connection, "find-span-events", columns.SPAN_EVENTS, rows)
    links = await _children(connection, "find-span-links", columns.SPAN_LINKS, rows)
    return [
        _span(
            row,
            resources[row["resource_id"]],
            series[row["series_id"]],
            [_stored_event(child) for child in events.get(_key(row), ())],
            [_stored_link(child) for child in links.get(_key(row), ())],
        )
        for row in rows
    ]


def _key(row: Row) -> tuple[bytes, int, int]:
    return row["trace_id"], row["span_id"], row["start_time_unix_nano"]


async def _children(
    connection: Connection, name: str, table: columns.Table, rows: Sequence[Row]
) -> dict[tuple[bytes, int, int], list[Row]]:
    statement = query("reading_spans", name).replace("__columns__", ", ".join(table.columns))
    keys = [list(column) for column in zip(*map(_key, rows), strict=True)]
    found: dict[tuple[bytes, int, int], list[Row]] = {}
    for child in await connection.fetch(statement, *keys, min(keys[2]), max(keys[2])):
        found.setdefault(_key(child), []).append(child)
    return found


def _span(
    row: Row, resource: Resource, series: dimensions.SpanSeries, events: list[r.Event], links: list[r.Link]
) -> Span:
    filed, sent = row["start_time_unix_nano"], row["sent_start_time_unix_nano"]
    record = r.Span(
        row["trace_id"],
        stored.span_id(row["span_id"]),
        stored.span_id(row["parent_span_id"]),
        filed if sent is None else stored.unsigned(sent),
        stored.unsigned(row["end_time_unix_nano"]),
        series.name,
        series.kind,
        (),
        (),
        (),
        b"",
        stored.text(row["trace_state"]),
        stored.unsigned32(row["flags"]),
        row["dropped_attributes_count"] or 0,
        row["dropped_events_count"] or 0,
        row["dropped_links_count"] or 0,
    )
    return Span(
        record,
        series.attributes | stored.attributes(row["attributes"]),
        events,
        links,
        r.Status(row["status_code_id"] or 0, stored.text(row["status_message"])),
        resource,
        series.scope,
        filed,
        None if sent is None else stored.unsigned(sent),
        1 if row["adjusted_count"] is None else float(row["adjusted_count"]),
    )


def _stored_event(row: Row) -> r.Event:
    return r.Event(
        stored.unsigned(row["time_unix_nano"]),
        stored.text(row["name"]),
        stored.key_values(stored.attributes(row["attributes"])),
        row["dropped_attributes_count"] or 0,
    )


def _stored_link(row: Row) -> r.Link:
    return r.Link(
        row["linked_trace_id"],
        row["linked_span_id"],
        stored.text(row["trace_state"]),
        stored.key_values(stored.attributes(row["attributes"])),
        row["dropped_attributes_count"] or 0,
        stored.unsigned32(row["flags"]),
    )
