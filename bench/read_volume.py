"""What the reads are asked of: spans, logs and points of the same last days, as slices of the shop's life."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from bench.corpus import LOGS, POINTS, RECORDS_PER_BODY, RECORDS_PER_VISIT, SPANS, Slice

SCRAPE_INTERVAL_S = 60.0
"""What SDKs have where nobody says otherwise, OTEL_METRIC_EXPORT_INTERVAL: a minute, so a point a step."""
DAY_S = 86_400.0

_SPANS_PER_SLICE = 50_000
_POINTS_PER_SLICE = 500_000
"""Counters begin anew with each slice, every three hours, as pods do that are deployed."""
_SLICES_PER_CHUNK = 20
_LOGS_ONLY = 500_000
"""The number of the first slice of visits that have logs and no spans."""


class Volume(Struct, frozen=True):
    """Records of each signal, in whole bodies; the days that spans and logs are spread over."""

    spans: int
    logs: int
    points: int
    days: float

    def __getitem__(self, signal: str) -> int:
        return {SPANS: self.spans, LOGS: self.logs, POINTS: self.points}[signal]

    @property
    def records(self) -> int:
        """Of all signals."""
        return self.spans + self.logs + self.points

    @property
    def spans_per_s(self) -> float:
        """How dense the spans are."""
        return self.spans / (self.days * DAY_S)


def chunks(volume: Volume, end_unix_nano: int) -> Iterator[Sequence[Slice]]:
    """All of it in the order of its times, about a million spans with their logs at a time, then points."""
    visits = list(_visits(volume, end_unix_nano))
    points = [[part] for part in _points(volume, end_unix_nano)]
    for parts, size in ((visits, _SLICES_PER_CHUNK), (points, _SLICES_PER_CHUNK // 10)):
        for start in range(0, len(parts), size):
            yield [part for group in parts[start : start + size] for part in group]


def _visits(volume: Volume, end_unix_nano: int) -> Iterator[list[Slice]]:
    """Spans and the logs of the same visits; what is left of the logs is of visits that nobody traced."""
    visits_per_second = volume.spans_per_s / RECORDS_PER_VISIT[SPANS]
    begin = end_unix_nano - int(volume.days * DAY_S * 1e9)
    made = {SPANS: 0, LOGS: 0}
    for number in range(-(-volume.spans // _SPANS_PER_SLICE)):
        at = begin + int(made[SPANS] / volume.spans_per_s * 1e9)
        spans = min(_SPANS_PER_SLICE, volume.spans - made[SPANS])
        made[SPANS] += spans
        logs = _whole(volume.logs * made[SPANS] / volume.spans) - made[LOGS]
        made[LOGS] += logs
        traced = min(logs, _whole(spans * RECORDS_PER_VISIT[LOGS] / RECORDS_PER_VISIT[SPANS]))
        shop = Slice(
            signal=SPANS, records=spans, start_unix_nano=at, number=number, visits_per_second=visits_per_second
        )
        yield [shop, *_logs(shop, traced, logs - traced)]


def _logs(shop: Slice, traced: int, untraced: int) -> Iterator[Slice]:
    if traced:
        yield _slice(shop, LOGS, traced, shop.number, shop.visits_per_second)
    if untraced:
        lasts_s = (shop.end_unix_nano - shop.start_unix_nano) / 1e9
        pace = untraced / RECORDS_PER_VISIT[LOGS] / lasts_s
        yield _slice(shop, LOGS, untraced, _LOGS_ONLY + shop.number, pace)


def _slice(like: Slice, signal: str, records: int, number: int, visits_per_second: float) -> Slice:
    return Slice(
        signal=signal,
        records=records,
        start_unix_nano=like.start_unix_nano,
        number=number,
        visits_per_second=visits_per_second,
    )


def _points(volume: Volume, end_unix_nano: int) -> Iterator[Slice]:
    whole = Slice(signal=POINTS, records=volume.points, start_unix_nano=0, scrape_interval_s=SCRAPE_INTERVAL_S)
    at = end_unix_nano - whole.end_unix_nano
    for number, start in enumerate(range(0, volume.points, _POINTS_PER_SLICE)):
        part = Slice(
            signal=POINTS,
            records=min(_POINTS_PER_SLICE, volume.points - start),
            start_unix_nano=at,
            number=number,
            visits_per_second=volume.spans_per_s / RECORDS_PER_VISIT[SPANS],
            scrape_interval_s=SCRAPE_INTERVAL_S,
        )
        yield part
        at = part.end_unix_nano


def _whole(records: float) -> int:
    """In whole bodies."""
    return int(records) // RECORDS_PER_BODY * RECORDS_PER_BODY
