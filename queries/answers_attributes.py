"""What the API answers about attributes."""

from datetime import datetime
from typing import Any, ClassVar

from msgspec import Struct

from queries.answers import WindowedPage


class Attribute(Struct):
    """An attribute of a signal: the types of its latest values, whether these are typed and indexed, whether nearly
    every value is another one; about how many bytes it takes, null where it is too rare to tell; how often it was
    filtered on, and how long these questions took in all.

    `distinct_values` of it are in the newest 5,000 series (or resources, scopes), of which `rows` have it; where it has
    left the series at some time, this tells how many it had had by then. Null: not counted, as where a service's spans
    or logs were asked for.
    """

    key: str
    signal: str
    types: list[str]
    promoted: bool
    high_cardinality: bool
    bytes: int | None = None
    filtered: int = 0
    filter_seconds: float = 0.0
    distinct_values: int | None = None
    rows: int | None = None
    left_series_at: datetime | None = None


class AttributeList(WindowedPage):
    """GET /api/attributes; `sampled` tells that of attributes on records only those of the newest are known.

    `suggestions` is the text of an overrides file: what to promote, and behind a `#` what may be dropped."""

    records: ClassVar[str] = "attributes"
    attributes: list[Attribute]
    sampled: bool
    suggestions: str | None


class AttributeValue(Struct):
    """A value of an attribute, and how many have it."""

    value: Any
    count: int


class AttributeValues(WindowedPage):
    """GET /api/attributes/{key}/values, the most frequent first; `counted` says what was counted: series, resources,
    scopes or, where the values are `sampled`, the newest records."""

    records: ClassVar[str] = "values"
    values: list[AttributeValue]
    key: str
    signal: str | None
    counted: str
    sampled: bool
