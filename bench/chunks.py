"""Chunks of spans that bound what lies on the disk: made, sent, deleted; and whether there is room for more of them."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from bench.corpus import RECORDS_PER_BODY, SPANS, Slice, make_slices, read_slice
from bench.figures import GIB

ASSUMED_BYTES = 500
"""A span with indexes, until it is measured."""

_BODY_BYTES = 100
"""A span in a compressed body on the disk."""
_RESERVE_BYTES = 3 * GIB
"""WAL, which may grow beyond max_wal_size for a while, temporary files, and what others need."""
_UNEVEN = 1.1
"""Indexes do not grow evenly."""
_SLICE = 50_000


class Chunks:
    """Makes the bodies of chunk after chunk: the shop goes on where the last chunk ended."""

    def __init__(self, folder: Path, chunk: int, spans: int, visits_per_second: float) -> None:
        """`chunk` spans at a time, `spans` in all."""
        self._folder, self._chunk, self._visits_per_second = folder, chunk, visits_per_second
        self._number = 0
        # So that the last span of all is of about now.
        self.start_unix_nano = self.end_unix_nano = time.time_ns() - lasts_nano(spans, visits_per_second)

    async def make(self) -> list[bytes]:
        """The next chunk; on the disk it is there only meanwhile."""
        folder = self._folder / "chunk"
        slices = dict(self._slices(folder))
        try:
            await asyncio.to_thread(make_slices, slices)
            return [body for part in slices for body in await asyncio.to_thread(read_slice, part)]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _slices(self, folder: Path) -> Iterator[tuple[Path, Slice]]:
        # As many processes as there are cores have something to do also where a chunk is small.
        most = max(RECORDS_PER_BODY, self._chunk // (os.cpu_count() or 1) // RECORDS_PER_BODY * RECORDS_PER_BODY)
        left = self._chunk
        while left:
            part = Slice(
                signal=SPANS,
                records=min(_SLICE, most, left),
                start_unix_nano=self.end_unix_nano,
                number=self._number,
                visits_per_second=self._visits_per_second,
            )
            yield folder / f"{self._number:06}", part
            self._number += 1
            self.end_unix_nano = part.end_unix_nano
            left -= part.records


def lasts_nano(spans: int, visits_per_second: float) -> int:
    """How long the shop takes to make so many spans."""
    return Slice(signal=SPANS, records=spans, start_unix_nano=0, visits_per_second=visits_per_second).end_unix_nano


def shortage(free_bytes: int, spans: int, bytes_a_span: float, chunk: int) -> str:
    """Why so many more spans do not fit onto the disk, given what one takes; empty where they do.

    Takes the bytes that are free now; `chunk` is how many spans lie there as bodies besides.
    """
    needed = int(spans * bytes_a_span * _UNEVEN) + chunk * _BODY_BYTES + _RESERVE_BYTES
    if free_bytes >= needed:
        return ""
    return (
        f"{spans:,} more spans of {bytes_a_span:,.0f} bytes take {needed / GIB:,.1f} GiB with bodies, WAL and reserve,"
        f" {free_bytes / GIB:,.1f} GiB are free"
    )
