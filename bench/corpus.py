"""The bodies that both sides are given: the shop's telemetry, made and compressed before any clock starts."""

import gzip
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from exporter.otlp.message_json import message_to_json
from exporter.shop import Shop

SPANS, LOGS, POINTS = SIGNALS = ("spans", "logs", "points")
RECORDS_PER_BODY = 1_000

_SEED = 7
_PODS = 10
"""Of each service: 150 resources, about 2,900 metric series."""
_VISITS_PER_SECOND = 1_500.0
"""Some 20,000 spans a second: the shop's clock goes about as fast as records are stored, as it does where telemetry is
not generated but happens."""
_BEGAN_S = 3 * 3_600
"""So long ago that even the longest default stream (points, 287 a second) ends before now."""
_GZIP_LEVEL = 6
MOST_JSON = 200_000
"""Of each signal: making these takes three times as long as making the same as protobuf."""
_STREAMS: Mapping[str, Callable[[Shop], Iterator[Any]]] = {
    SPANS: lambda shop: shop.traces(RECORDS_PER_BODY),
    LOGS: lambda shop: shop.logs(RECORDS_PER_BODY),
    POINTS: lambda shop: shop.metrics(RECORDS_PER_BODY),
}


def make_corpus(folder: Path, records: Mapping[str, int], *, with_json: bool = True) -> None:
    """Write signal -> records to `folder`/signal, one gzip'd protobuf request of 1,000 records a file.

    With JSON, the first of the same requests lie in `folder`/signal-json as OTLP/JSON.
    Each signal is a process of its own, as making a record takes longer than storing it.
    """
    start_unix_nano = time.time_ns() - _BEGAN_S * 1_000_000_000
    # Not forked: the parent runs an event loop with threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(len(records), os.cpu_count() or 1), mp_context=context) as pool:
        made = [
            pool.submit(_make, folder, name, count, min(count, MOST_JSON) if with_json else 0, start_unix_nano)
            for name, count in records.items()
        ]
        for future in made:
            future.result()


def read_bodies(folder: Path, signal: str, *, as_json: bool = False) -> list[bytes]:
    """The compressed bodies of a signal, in the order of their times."""
    return [path.read_bytes() for path in sorted(_place(folder, signal, as_json).iterdir())]


def _place(folder: Path, signal: str, as_json: bool) -> Path:
    return folder / (f"{signal}-json" if as_json else signal)


def _make(folder: Path, signal: str, records: int, json_records: int, start_unix_nano: int) -> None:
    shop = Shop(_SEED, start_unix_nano=start_unix_nano, pods=_PODS, visits_per_second=_VISITS_PER_SECOND)
    for as_json in (False, True):
        _place(folder, signal, as_json).mkdir()
    for number, request in enumerate(islice(_STREAMS[signal](shop), records // RECORDS_PER_BODY)):
        _write(_place(folder, signal, False) / f"{number:06}.gz", request.SerializeToString())
        if number < json_records // RECORDS_PER_BODY:
            _write(_place(folder, signal, True) / f"{number:06}.gz", message_to_json(request))


def _write(path: Path, body: bytes) -> None:
    path.write_bytes(gzip.compress(body, _GZIP_LEVEL, mtime=0))
