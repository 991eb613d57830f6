"""Slices go on where the last one ended: the same shop, other ids, later times, as many records as were asked for."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.corpus import Slice, make_slices, read_slice

BEGAN = 1_790_000_000_000_000_000
RECORDS = 3_000


def made(folder: Path, signal: str, records_per_body: int = 1_000) -> list[list[bytes]]:
    """The bodies of two slices, the second of which begins where the first ends."""
    first = Slice(signal=signal, records=RECORDS, start_unix_nano=BEGAN, records_per_body=records_per_body)
    second = Slice(
        signal=signal,
        records=RECORDS,
        start_unix_nano=first.end_unix_nano,
        number=1,
        records_per_body=records_per_body,
    )
    make_slices({folder / "0": first, folder / "1": second})
    return [[gzip.decompress(body) for body in read_slice(folder / name)] for name in "01"]


def spans_of(bodies: list[bytes]) -> list[Any]:
    """The spans of requests."""
    requests = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    return [
        span
        for request in requests
        for group in request.resource_spans
        for part in group.scope_spans
        for span in part.spans
    ]


def test_slices_have_no_trace_in_common_and_time_goes_on(tmp_path: Path) -> None:
    first, second = map(spans_of, made(tmp_path, "spans"))
    assert len(first) == len(second) == RECORDS
    assert not {span.trace_id for span in first} & {span.trace_id for span in second}
    # The clock of a slice ends about where the next begins: within a tenth of what the slice lasts.
    ended = max(span.start_time_unix_nano for span in first)
    begins = min(span.start_time_unix_nano for span in second)
    lasts = ended - min(span.start_time_unix_nano for span in first)
    assert abs(begins - ended) < lasts / 4


def test_slices_have_the_same_resources(tmp_path: Path) -> None:
    bodies = made(tmp_path, "spans")
    of_slices = [
        {
            group.resource.SerializeToString()
            for body in part
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
        }
        for part in bodies
    ]
    assert len(of_slices[0] | of_slices[1]) <= 150


@pytest.mark.parametrize(("records_per_body", "expected"), [(1, 3_000), (100, 30), (1_000, 3)])
def test_a_body_has_as_many_records_as_asked_for(tmp_path: Path, records_per_body: int, expected: int) -> None:
    bodies = made(tmp_path, "logs", records_per_body)[0]
    assert len(bodies) == expected
    counts = {
        sum(
            len(part.log_records)
            for group in ExportLogsServiceRequest.FromString(body).resource_logs
            for part in group.scope_logs
        )
        for body in bodies
    }
    assert counts == {records_per_body}


def test_points_of_the_next_slice_are_later(tmp_path: Path) -> None:
    times = [
        [
            point.time_unix_nano
            for body in bodies
            for group in ExportMetricsServiceRequest.FromString(body).resource_metrics
            for part in group.scope_metrics
            for metric in part.metrics
            for point in getattr(metric, str(metric.WhichOneof("data"))).data_points
        ]
        for bodies in made(tmp_path, "points")
    ]
    assert len(times[0]) == len(times[1]) == RECORDS
    assert min(times[1]) - max(times[0]) > -10_000_000_000
