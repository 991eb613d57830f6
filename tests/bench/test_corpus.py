"""The JSON bodies are the first of the same requests, in OTLP's own JSON."""

import gzip
from pathlib import Path

import msgspec
import pytest

from bench import corpus as made
from bench.corpus import make_corpus, read_bodies
from tests.bench.reading import records


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
