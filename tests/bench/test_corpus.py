"""Slices go on where the last one ended, and the JSON bodies are the first of the same requests, in OTLP's own JSON."""

import gzip
from pathlib import Path

import msgspec
import pytest

from bench import corpus as made
from bench.corpus import Slice, make_corpus, make_slices, read_bodies, read_slice
from tests.bench.reading import records

BEGAN = 1_790_000_000_000_000_000
RECORDS = 3_000


def two_slices(folder: Path, signal: str, records_per_body: int = 1_000) -> list[list[bytes]]:
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


def test_slices_have_no_trace_in_common_and_time_goes_on(tmp_path: Path) -> None:
    first, second = ([span for _, _, span in records("spans", bodies)] for bodies in two_slices(tmp_path, "spans"))
    assert len(first) == len(second) == RECORDS
    assert not {span.trace_id for span in first} & {span.trace_id for span in second}
    # The clock of a slice ends about where the next begins: within a tenth of what the slice lasts.
    ended = max(span.start_time_unix_nano for span in first)
    begins = min(span.start_time_unix_nano for span in second)
    lasts = ended - min(span.start_time_unix_nano for span in first)
    assert abs(begins - ended) < lasts / 4


def test_slices_have_the_same_resources(tmp_path: Path) -> None:
    of_slices = [
        {resource.SerializeToString() for resource, _, _ in records("spans", bodies)}
        for bodies in two_slices(tmp_path, "spans")
    ]
    assert len(of_slices[0] | of_slices[1]) <= 150


@pytest.mark.parametrize(("records_per_body", "expected"), [(1, 3_000), (100, 30), (1_000, 3)])
def test_a_body_has_as_many_records_as_asked_for(tmp_path: Path, records_per_body: int, expected: int) -> None:
    bodies = two_slices(tmp_path, "logs", records_per_body)[0]
    assert len(bodies) == expected
    assert {len(records("logs", [body])) for body in bodies} == {records_per_body}


def test_points_of_the_next_slice_are_later(tmp_path: Path) -> None:
    times = [
        [
            point.time_unix_nano
            for _, _, metric in records("points", bodies)
            for point in getattr(metric, str(metric.WhichOneof("data"))).data_points
        ]
        for bodies in two_slices(tmp_path, "points")
    ]
    assert len(times[0]) == len(times[1]) == RECORDS
    assert min(times[1]) - max(times[0]) > -10_000_000_000


def test_json_is_the_same_requests_with_hex_ids(corpus: Path, bodies: dict[str, list[bytes]]) -> None:
    as_json = [msgspec.json.decode(gzip.decompress(body)) for body in read_bodies(corpus, "spans", as_json=True)]
    found = [
        (span["traceId"], span["spanId"], span["startTimeUnixNano"])
        for body in as_json
        for group in body["resourceSpans"]
        for part in group["scopeSpans"]
        for span in part["spans"]
    ]
    assert found == [
        (span.trace_id.hex(), span.span_id.hex(), str(span.start_time_unix_nano))
        for _, _, span in records("spans", bodies["spans"])
    ]


def test_json_is_made_of_the_first_records_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.corpus.ProcessPoolExecutor", _InThisProcess)
    monkeypatch.setattr(made, "MOST_JSON", 1_000)
    make_corpus(tmp_path, {"points": 3_000})
    assert [len(read_bodies(tmp_path, "points", as_json=as_json)) for as_json in (False, True)] == [3, 1]


class _InThisProcess:
    """Runs at once what a pool would: another process would not know of the patch."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> "_InThisProcess":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, make, *arguments):  # type: ignore[no-untyped-def]
        """What has been done already."""
        make(*arguments)
        return self

    def result(self) -> None:
        """Nothing went wrong."""
