"""Which attributes lie in a record's series and which on its row, learned from what arrives.

A key starts in the series and leaves it for good when nearly every value is new, or when series no longer average
`records_per_series` records and leaving that key out shrinks them most. A wrong verdict costs bytes, never answers:
a record's attributes are series || row wherever they lie. What has left is the union over replicas (`attribute_keys`).

Source: docs/decisions/0002-series.md.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from msgspec import Struct

from exporter.attributes import Limits
from exporter.blame import Heaviest, name_of
from exporter.dimensions import Entry, Row
from exporter.otlp.anyvalue import canonical_entry, identity_of_map, to_json
from exporter.otlp.records import AnyValue, Codec, Interned, Opaque, RowEntry, RowKey
from exporter.settings import Verdict

MAX_INTERNED_BYTES = 4096
"""A longer attribute is stored on its row: it would fill the cache and hardly repeats."""

_NONE = repeat(0)
_HELP = 0.1
"""Share of the recent series that leaving out one key has to save."""
MAX_RECENT_ROWS = 20_000
"""Attributes on rows that are remembered."""
MAX_ROW_KEYS = 10_000
"""Keys whose short values are cut by hand."""


class Attribute(Struct, frozen=True, eq=False):
    """A distinct attribute that lies in series; there is one object of each.

    `entry` is its part of what a series is hashed over, `json` its part of what is stored.
    """

    key: str
    value: AnyValue
    entry: bytes
    json: bytes


class Series(Entry):
    """A series as the decode path knows it.

    `duplicates` counts the attributes that a later one of the same key has replaced; `on_row` are the places of those
    that lie on the row among a record's attributes. `records` is how many were seen of it.
    """

    attributes: Sequence[Attribute] = ()
    duplicates: int = 0
    on_row: tuple[int, ...] = ()
    records: int = 0


Head = tuple[Any, ...]
"""What identifies a series besides its attributes, in its signal's own order."""
Describe = Callable[[Head], tuple[list[AnyValue], tuple[object, ...]]]
"""A head as what is hashed, and as columns."""
Placed = tuple[Series, bytes | None]
"""A record's series, and the JSON object of its attributes that lie on the row."""


class Cardinality:
    """One signal's interned attributes, known series, and the verdict on every key."""

    def __init__(self, owner: str, constants: Verdict, limits: Limits, max_attributes: int, max_series: int) -> None:
        self.owner = owner
        self.constants = constants
        self.limits = limits
        self.high: set[str] = set()
        self.series: dict[tuple[object, ...], Series] = {}
        self.untold: dict[str, int] = {}
        """Keys that have values on rows, as nobody else knows yet: how many values a key had when it left the series, 0
        where it is in there still."""
        self.left = Heaviest()
        """The keys that left the series here, by how many values they had."""
        self._long: set[str] = set()
        self.row_keys: dict[bytes, RowKey] = {}
        """Keys that lie on the row, by the bytes that stand for them: what `Codec.cut` needs."""
        self.clipped = self.doubled = 0
        """Of the record that was placed last: values cut for their size, attributes that a later one has replaced."""
        self._max_attributes, self._max_series = max_attributes, max_series
        self._max_interned_bytes = min(MAX_INTERNED_BYTES, limits.max_value_bytes)
        self._interned: dict[type[Codec], dict[Opaque, int]] = {}
        self._recent_rows: dict[type[Codec], dict[Opaque, RowEntry]] = {}
        self._idents: dict[bytes, int] = {}
        self._attributes: list[Attribute] = []
        self._distinct: dict[str, int] = {}
        self._next_look: dict[str, int] = {}
        self._suspects: set[str] = set()
        self._tokens = float(constants.series_tokens)
        self._recent: deque[Series] = deque(maxlen=constants.recent_series)
        self._seen: set[str] = set()
        """Keys that were in series before these were forgotten."""
        self._wary_records = 0
        """For so many records more a key that was never seen starts on the row: many came that never came again."""

    def renewed(self) -> "Cardinality":
        """Another one that knows the verdicts of this one, and nothing that it has seen."""
        new = Cardinality(self.owner, self.constants, self.limits, self._max_attributes, self._max_series)
        # In this order: a key that leaves the series just now is untold before it is high.
        new.high |= self.high
        new.untold |= self.untold
        new.left = self.left
        return new

    def interned(self, codec: Codec) -> dict[Opaque, int]:
        """The idents of attributes known by their bytes in the codec's encoding; those on rows are not among them."""
        return self._interned.setdefault(type(codec), {})

    def recent_rows(self, codec: Codec) -> dict[Opaque, RowEntry]:
        """Attributes on rows that came by lately: half of them come again within a trace or two."""
        return self._recent_rows.setdefault(type(codec), {})

    def placer(self, codec: Codec, describe: Describe) -> Callable[[Head, Sequence[Opaque]], Placed]:
        """A function from what identifies a record's series besides its attributes, and these, to (the series, the JSON
        object of those that lie on the row). It raises UndecodableBody. One for each chunk, as it runs for each record.
        """
        ident, row, known = self.interned(codec).get, self.recent_rows(codec).get, self.series.get
        learn = self._learner(codec)

        def place(head: Head, raws: Sequence[Opaque]) -> Placed:
            series = known((*head, *map(ident, raws, _NONE)))
            if series is None or series.duplicates:
                return self._place_new(codec, describe, learn, head, raws)
            places = series.on_row
            if not places:
                return series, None
            if len(places) == 1:
                raw = raws[places[0]]
                entry = row(raw) or learn(raw)
                if entry is not None:
                    return series, b"{%b}" % entry[1]
            else:
                entries = [row(raw) or learn(raw) for raw in [raws[i] for i in places]]
                if None not in entries and len(values := dict(entries)) == len(places):  # type: ignore[arg-type]
                    return series, b"{%b}" % b",".join(values.values())
            return self._place_new(codec, describe, learn, head, raws)

        return place

    def _learner(self, codec: Codec) -> Callable[[Opaque], RowEntry | None]:
        """A function that cuts and remembers an attribute that lies on the row; None where it is not so simple."""
        cut, row_keys, recent = codec.cut, self.row_keys, self.recent_rows(codec)

        def learn(raw: Opaque) -> RowEntry | None:
            entry = cut(raw, row_keys)
            if entry is not None:
                recent[raw] = entry
            return entry

        return learn

    def _place_new(
        self,
        codec: Codec,
        describe: Describe,
        learn: Callable[[Opaque], RowEntry | None],
        head: Head,
        raws: Sequence[Opaque],
    ) -> Placed:
        """Where a record goes of which something is new, or stands twice."""
        interned, recent = self.interned(codec), self.recent_rows(codec)
        idents: list[int] = []
        on_row: dict[str, bytes] = {}
        too_long: dict[str, int] = {}
        for i, raw in enumerate(raws):
            ident = interned.get(raw, 0)
            if not ident:
                entry = recent.get(raw) or learn(raw)
                if entry is None:
                    ident, key, fragment = self.intern(codec, raw)
                    if not ident and key not in self.high:
                        too_long[key] = i
                    entry = key, fragment
                if not ident:
                    on_row[entry[0]] = entry[1]
            idents.append(ident)
        doubled = idents.count(0) - len(on_row)
        for key, i in too_long.items():
            # The row wins over the series, but of a key that stands twice the last wins.
            if any(ident and self._attributes[ident - 1].key == key for ident in idents[i + 1 :]):
                del on_row[key]
                doubled += 1
        place = (*head, *idents)
        series = self.series.get(place) or self.new_series(place, idents, *describe(head))
        self.doubled = doubled + series.duplicates
        return series, b"{%b}" % b",".join(on_row.values()) if on_row else None

    def intern(self, codec: Codec, raw: Opaque) -> Interned:
        """Decode an attribute that is not known yet, and remember it."""
        attribute = codec.attribute(raw)
        key, value = attribute.key, attribute.value
        if self._wary_records > 0 and not (key in self._distinct or key in self._seen or key in self.high):
            self._note_left(key)
            self.high.add(key)
        if key in self.high or len(raw) > self._max_interned_bytes:
            if key not in self.high and key not in self._long:
                self.untold.setdefault(key, 0)
            clipped = self.limits.clip(value)
            self.clipped += clipped is not value
            key_json = to_json(key) + b":"
            if key in self.high and len(self.row_keys) < MAX_ROW_KEYS and (part := codec.key_part(raw)) is not None:
                self.row_keys[part] = key, key_json
            return 0, key, key_json + to_json(clipped)
        entry = canonical_entry(key, value)
        ident = self._idents.get(entry)
        if ident is None:
            self._attributes.append(Attribute(key, value, entry, to_json(key) + b":" + to_json(value)))
            ident = self._idents[entry] = len(self._attributes)
            self._count_distinct(key)
        self.interned(codec)[raw] = ident
        return ident, key, b""

    def new_series(
        self, place: tuple[object, ...], idents: Sequence[int], identifying: list[AnyValue], columns: tuple[object, ...]
    ) -> Series:
        """Remember a series under its place in the cache: `idents` are its attributes (0 = one that lies on the row),
        `identifying` is what identifies it besides them, `columns` are its columns but the hash and the attributes."""
        found = [self._attributes[ident - 1] for ident in idents if ident]
        by_key = {a.key: a for a in found}
        attributes = {key: a.value for key, a in by_key.items()}
        json = b"{%b}" % b",".join([a.json for a in by_key.values()])
        row = Row((*columns, json), attributes, self.owner)
        row_hash = identity_of_map(identifying, [by_key[key].entry for key in sorted(by_key)])
        on_row = tuple(i for i, ident in enumerate(idents) if not ident)
        doubled = len(found) - len(attributes)
        series = Series(row_hash, row, 0, found, doubled, on_row)
        self.series[place] = series
        return series

    def count_odd(self, codec: Codec, left_out: int) -> int:
        """Count what is odd about the attributes of the record that was placed last, `left_out` of which were left out
        for their number; returns how many were cut or left out."""
        cut, doubled = self.clipped + left_out, self.doubled
        self.forget_odd()
        for reason, count in (("truncated_attribute", cut), ("duplicate_key", doubled)):
            if count:
                codec.findings.sanitise(reason, count)
        return cut

    def forget_odd(self) -> None:
        """The record is not stored, or will be placed again."""
        self.clipped = self.doubled = 0

    def _count_distinct(self, key: str) -> None:
        distinct = self._distinct.get(key, 0) + 1
        self._distinct[key] = distinct
        if distinct > self._next_look.get(key, self.constants.min_distinct) and distinct <= self.constants.max_distinct:
            # A look costs a walk over all series: once for every quarter more values.
            self._next_look[key] = distinct * 5 // 4
            self._suspects.add(key)

    def trim(self) -> None:
        """Keep memory bounded: forget everything learned but the verdict when a bound is reached."""
        if len(self._attributes) > self._max_attributes or len(self.series) > self._max_series:
            self.forget()
        for rows in self._recent_rows.values():
            if len(rows) > MAX_RECENT_ROWS:
                rows.clear()

    def forget(self) -> None:
        """Forget attributes and series; they are found again in the database."""
        self.series.clear()
        self._seen = (self._seen if self._wary_records > 0 else set()) | (self._distinct.keys() - self.high)
        self._interned.clear()
        self._recent_rows.clear()
        self._idents.clear()
        self._attributes.clear()
        self._distinct.clear()
        self._next_look.clear()
        self._suspects.clear()
        self._recent.clear()
        self._long.clear()

    def review(self) -> bool:
        """Own rule: demote every key nearly all of whose values are new; True if any was."""
        suspects, self._suspects = self._suspects, set()
        demoted = [key for key in suspects if key not in self.high and self._is_new_mostly(key)]
        self._demote(demoted)
        return bool(demoted)

    def _is_new_mostly(self, key: str) -> bool:
        occurrences = sum(s.records for s in self.series.values() if any(a.key == key for a in s.attributes))
        return self._distinct[key] > self.constants.new_value_share * occurrences

    def earn(self, records: int) -> None:
        """Every `records_per_series` records pay for one new series."""
        earned = self._tokens + records / self.constants.records_per_series
        self._tokens = min(float(self.constants.series_tokens), earned)
        self._wary_records -= records

    def spend(self, inserted: Iterable[Series]) -> bool:
        """Product guard: pay for series rows that were really inserted; True if keys had to be demoted for it."""
        for series in inserted:
            self._tokens -= 1
            self._recent.append(series)
        if self._tokens >= 0:
            return False
        keys = self._costliest_keys()
        self._tokens = float(self.constants.series_tokens)
        self._recent.clear()
        self._demote(keys)
        return bool(keys)

    def _costliest_keys(self) -> list[str]:
        """The keys without which half of the recent series would not be: each time the one whose omission leaves the
        fewest; where no single one helps, the one with most values, or all that one series alone has if these are more.
        """
        window = {frozenset(s.attributes) for s in self._recent if not any(a.key in self.high for a in s.attributes)}
        enough = len(window) // 2
        keys: list[str] = []
        while len(window) > enough:
            values: dict[str, set[Attribute]] = {}
            held = Counter(attribute.key for attributes in window for attribute in attributes)
            for attributes in window:
                for attribute in attributes:
                    values.setdefault(attribute.key, set()).add(attribute)
            if not values:
                break
            # A key that few series have cannot help much: there may be thousands of these.
            helping = [key for key, count in held.items() if count >= _HELP * len(window)]
            left = {key: len({attributes - values[key] for attributes in window}) for key in helping}
            key = min(left, key=lambda key: left[key], default="")
            if not left or left[key] > (1 - _HELP) * len(window):
                key = max(values, key=lambda key: len(values[key]))
                lonely = [key for key, count in held.items() if count == 1]
                chosen = lonely if len(lonely) > len(values[key]) else [key]
                if chosen is lonely:
                    self._wary_records = self.constants.series_tokens * self.constants.records_per_series
            else:
                chosen = [key]
            keys += chosen
            gone = set().union(*(values[key] for key in chosen))
            window = {attributes - gone for attributes in window}
        return keys

    def _demote(self, keys: list[str]) -> None:
        for key in keys:
            self._note_left(key)
        self.learn(keys)

    def _note_left(self, key: str) -> None:
        values = max(1, self._distinct.get(key, 0))
        self.untold[key] = values
        self.left.add(name_of(key), values)

    def told(self, keys: Mapping[str, int]) -> None:
        """Everybody knows of these now."""
        self._long |= {key for key, values in keys.items() if not values}
        self.untold = {key: values for key, values in self.untold.items() if keys.get(key) != values}

    def learn(self, high: Iterable[str]) -> None:
        """Take over verdicts, of this process or of another: the keys' attributes lie on the row from now on."""
        new = set(high) - self.high
        if not new:
            return
        self.high |= new
        for interned in self._interned.values():
            for raw in [raw for raw, ident in interned.items() if self._attributes[ident - 1].key in new]:
                del interned[raw]
