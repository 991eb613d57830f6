"""A body's records in slices: so many are decoded before others have a turn, and what they miss is stored together.

Source: docs/architecture.md, "A request".
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any

from msgspec import structs

from exporter.batch import Signal, unstorable
from exporter.dimensions import Known
from exporter.errors import BadData
from exporter.offload import compute
from exporter.otlp.records import METRICS, ScopeRecords
from exporter.place import RECORD, Intake, Part

SLICE = 2000
"""Records of a slice: a dozen milliseconds."""

NOWHERE: Known = (0, b"")
"""In place of a resource or scope that is not stored."""


async def slices(signal: Signal, intake: Intake, body: bytes, is_long: bool) -> AsyncIterator[list[ScopeRecords[Any]]]:
    """The records of a body by resource and scope, together about SLICE records at a time."""
    groups = iter(await compute(is_long, signal.records, intake.codec, body))
    while some := await compute(is_long, _take, intake, groups):
        yield some


def _take(intake: Intake, groups: Iterator[ScopeRecords[Any]]) -> list[ScopeRecords[Any]]:
    refusals = intake.codec.findings.refusals
    taken: list[ScopeRecords[Any]] = []
    size, placed = 0, len(refusals)
    for group in groups:
        for refusal in refusals[placed:]:
            refusal.context = intake.context(group)
        placed = len(refusals)
        taken.append(group)
        size += len(group.records) or 1
        if size >= SLICE:
            break
    return taken


def parts(
    signal: Signal,
    intake: Intake,
    groups: Sequence[ScopeRecords[Any]],
    places: Sequence[tuple[Known, Known] | BadData],
    position: int,
) -> Iterator[tuple[int, list[Part]]]:
    """(how many, records) of slices of about SLICE records, the first of which is at `position`. A group whose resource
    or scope PostgreSQL does not take is refused."""
    chunk: list[Part] = []
    size = 0
    for group, place in zip(groups, places, strict=True):
        first, position = position, position + len(group.records) * RECORD
        if isinstance(place, BadData):
            for record in group.records:
                refuse(signal, intake, Part([], [], group, NOWHERE, NOWHERE), record, place)
            continue
        for count, records, ordinals in _cut(signal, group.records, first):
            chunk.append(Part(records, ordinals, group, *place))
            size += count
            if size >= SLICE:
                yield size, chunk
                chunk, size = [], 0
    if chunk:
        yield size, chunk


def _cut(signal: Signal, records: Sequence[Any], position: int) -> Iterator[tuple[int, Sequence[Any], Sequence[int]]]:
    """(how many, records, ordinals) of the records of a group, the first of which is at `position`; a metric counts as
    its points, and one of many is cut."""
    if signal.name != METRICS:
        yield len(records), records, range(position, position + len(records) * RECORD, RECORD)
        return
    size, together, ordinals = 0, [], []
    for ordinal, metric in enumerate(records):
        points = metric.data_points
        for start in range(0, len(points) or 1, SLICE):
            some = points[start : start + SLICE]
            together.append(metric if len(points) <= SLICE else structs.replace(metric, data_points=some))
            ordinals.append(position + ordinal * RECORD + start)
            size += len(some) or 1
            if size >= SLICE:
                yield size, together, ordinals
                size, together, ordinals = 0, [], []
    if together:
        yield size, together, ordinals


def refuse(signal: Signal, intake: Intake, part: Part, record: Any, error: BadData) -> None:
    """Refuse a record with which PostgreSQL does not take something."""
    original = partial(signal.original, intake.codec, record, None)
    intake.refuse(part, *unstorable(error), original, signal.count(record))
