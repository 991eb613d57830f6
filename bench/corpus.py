"""The bodies that are sent: the shop's telemetry, made and compressed before any clock starts."""

import gzip
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import Struct

from exporter.otlp.message_json import message_to_json
from exporter.shop import POINTS_PER_SCRAPE, Shop
from exporter.shop_visits import Visit

SPANS, LOGS, POINTS = SIGNALS = ("spans", "logs", "points")
RECORDS_PER_BODY = 1_000
VISITS_PER_SECOND = 1_500.0
"""Some 20,000 spans a second: the shop's clock goes about as fast as records are stored, as it does where telemetry is
not generated but happens."""
MOST_JSON = 200_000
"""Of each signal: making these takes three times as long as making the same as protobuf."""

RECORDS_PER_VISIT = {SPANS: 13.5, LOGS: 4.1}
"""About."""

_SEED = 7
_PODS = 10
"""Of each service: 150 resources, about 2,900 metric series."""
_BEGAN_S = 3 * 3_600
_GZIP_LEVEL = 6
_VISITS_PER_SLICE = 1_000_000
"""More than any slice has: the numbers of visits that one slice may use."""
_STREAMS: Mapping[str, Callable[[Shop, int], Iterator[Any]]] = {
    SPANS: Shop.traces,
    LOGS: Shop.logs,
    POINTS: Shop.metrics,
}


class Slice(Struct, frozen=True, kw_only=True):
    """A part of one shop's life: `records` of a signal from `start_unix_nano` on.

    Slices of different numbers have the same services, pods and users and no visit in common, so no id.
    """

    signal: str
    records: int
    start_unix_nano: int
    number: int = 0
    records_per_body: int = RECORDS_PER_BODY
    visits_per_second: float = VISITS_PER_SECOND
    scrape_interval_s: float = 10.0
    json_records: int = 0
    """So many of the first are also written as OTLP/JSON."""

    @property
    def end_unix_nano(self) -> int:
        """About when its last record is made, which is when the next slice may begin."""
        return self.start_unix_nano + int(self.records / self._records_per_s * 1e9)

    @property
    def _records_per_s(self) -> float:
        if self.signal == POINTS:
            return POINTS_PER_SCRAPE * _PODS / self.scrape_interval_s
        return RECORDS_PER_VISIT[self.signal] * self.visits_per_second


class _LaterShop(Shop):
    """A shop that opens with a later visit than its first, at the same moment."""

    def __init__(self, part: Slice) -> None:
        super().__init__(
            _SEED,
            start_unix_nano=part.start_unix_nano,
            pods=_PODS,
            visits_per_second=part.visits_per_second,
            scrape_interval_s=part.scrape_interval_s,
        )
        self._first = part.number * _VISITS_PER_SLICE

    def _play_visit(self, number: int) -> Visit:
        start = self._start + int(number * self._visit_nano)
        return Visit(self._seed, self._first + number, start, self._users, self._pods)


def make_corpus(folder: Path, records: Mapping[str, int], *, with_json: bool = True) -> None:
    """Write signal -> records to `folder`/signal, one gzip'd protobuf request of 1,000 records a file.

    With JSON, the first of the same requests lie in `folder`/signal-json as OTLP/JSON.
    Each signal is a process of its own, as making a record takes longer than storing it.
    """
    start_unix_nano = shop_opens()
    make_slices(
        {
            folder / signal: Slice(
                signal=signal,
                records=number,
                start_unix_nano=start_unix_nano,
                json_records=min(number, MOST_JSON) if with_json else 0,
            )
            for signal, number in records.items()
        }
    )


def shop_opens() -> int:
    """Unix time in ns so long ago that even the longest default stream (points, 287 a second) ends before now."""
    return time.time_ns() - _BEGAN_S * 1_000_000_000


def make_slices(slices: Mapping[Path, Slice]) -> None:
    """Write each slice to its folder, which is made; one gzip'd protobuf request a file, on all cores."""
    # Not forked: the parent runs an event loop with threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(len(slices), os.cpu_count() or 1), mp_context=context) as pool:
        for future in [pool.submit(_make, folder, part) for folder, part in slices.items()]:
            future.result()


def read_bodies(folder: Path, signal: str, *, as_json: bool = False) -> list[bytes]:
    """The compressed bodies of a signal, in the order of their times."""
    return read_slice(_json_folder(folder / signal) if as_json else folder / signal)


def read_slice(folder: Path) -> list[bytes]:
    """The compressed bodies of a slice, in the order of their times."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def _json_folder(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-json")


def _make(folder: Path, part: Slice) -> None:
    folder.mkdir(parents=True)
    if part.json_records:
        _json_folder(folder).mkdir()
    requests = _STREAMS[part.signal](_LaterShop(part), part.records_per_body)
    for number, request in enumerate(islice(requests, part.records // part.records_per_body)):
        name = f"{number:06}.gz"
        _write(folder / name, request.SerializeToString())
        if number < part.json_records // part.records_per_body:
            _write(_json_folder(folder) / name, message_to_json(request))


def _write(path: Path, body: bytes) -> None:
    path.write_bytes(gzip.compress(body, _GZIP_LEVEL, mtime=0))
