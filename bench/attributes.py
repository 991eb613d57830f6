"""Attributes to ask for, from a sample of spans: rare, common, promoted with many values, and not promoted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from exporter.otlp.records import SPANS
from exporter.promotion import Promotion

_COMMON_SHARE, _COMMON_PAIRS = 0.10, 10
_RARE_SHARE = 0.002
_FEW, _MANY = 0.2, 0.5
"""Distinct values by occurrences: at most that many where they are few, at least that many where they are many."""
_FEWEST_OCCURRENCES = 20
"""Of a key, so that one can tell."""


class Found(Struct, frozen=True):
    """One attribute of a span of the sample."""

    key: str
    value: str | int
    time_unix_nano: int


def common(spans: Sequence[Mapping[str, Any]]) -> list[Found]:
    """Those whose share of the spans is nearest to a tenth."""
    distinct = {(found.key, found.value): found for found in _all(spans)}
    counts = _counts(spans)
    nearest = sorted(distinct, key=lambda pair: abs(counts[pair] / len(spans) - _COMMON_SHARE))
    return [distinct[pair] for pair in nearest[:_COMMON_PAIRS]]


def rare(spans: Sequence[Mapping[str, Any]], promotion: Promotion) -> list[Found]:
    """Promoted ones that few spans have, of keys with few values: a status, a route."""
    counts, many = _counts(spans), _spread_of(spans)
    return [
        found
        for found in _all(spans)
        if counts[found.key, found.value] <= _RARE_SHARE * len(spans)
        and many.get(found.key, 1) <= _FEW
        and promotion.is_promoted(SPANS, found.key, found.value)
    ]


def promoted_and_many(spans: Sequence[Mapping[str, Any]], promotion: Promotion) -> list[Found]:
    """Promoted ones of keys whose values hardly repeat: a URL."""
    many = _spread_of(spans)
    return [
        found
        for found in _all(spans)
        if many.get(found.key, 0) >= _MANY and promotion.is_promoted(SPANS, found.key, found.value)
    ]


def unpromoted(spans: Sequence[Mapping[str, Any]], promotion: Promotion) -> list[Found]:
    """Ones that are not promoted, and not common either."""
    counts = _counts(spans)
    return [
        found
        for found in _all(spans)
        if counts[found.key, found.value] < _COMMON_SHARE * len(spans) / 2
        and not promotion.promoted_types(SPANS, found.key)
    ]


def _all(spans: Sequence[Mapping[str, Any]]) -> Iterator[Found]:
    for span in spans:
        for key, value in span["attributes"].items():
            if isinstance(value, str | int) and not isinstance(value, bool):
                yield Found(key, value, span["start_time_unix_nano"])


def _counts(spans: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, str | int]]:
    return Counter((found.key, found.value) for found in _all(spans))


def _spread_of(spans: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Distinct values by occurrences of the keys of which one can tell."""
    counts = _counts(spans)
    occurrences = Counter(found.key for found in _all(spans))
    distinct = Counter(key for key, _ in counts)
    return {key: distinct[key] / number for key, number in occurrences.items() if number >= _FEWEST_OCCURRENCES}
