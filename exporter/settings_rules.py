"""Rules of retention as they are written in the settings, and what is wrong with them.

Source: docs/erasure.md, "Rules of retention".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Struct

from exporter.documents import did_you_mean
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.otlp.severity import SEVERITIES, severity_number
from exporter.quantities import between, integer, one_of, seconds
from exporter.settings_layers import Layer

_SIGNALS = (SPANS, LOGS, METRICS)


def severity(text: str) -> int:
    """`info`, `WARN2`, `9` -> a severity number, of which some lie below."""
    number = severity_number(text)
    if number is None:
        try:
            number = between(integer, "2", "24")(text)
        except ValueError:
            names = [severity.lower() for severity in SEVERITIES]
            one_of_them = f"must be one of {', '.join(names)}, or a severity number from 2 to 24"
            raise ValueError(f"{one_of_them}; {did_you_mean(text, names)}") from None
    if number < 2:
        raise ValueError("must be a severity that others lie below, such as debug or info")
    return number


def name(text: str) -> str:
    """A service's name or namespace."""
    if not text:
        raise ValueError("must be a name")
    return text


class Match(Struct, frozen=True):
    """Which records a rule is about: all of this holds. Below a severity number lies no record without one."""

    signal: Annotated[str | None, one_of(str, *_SIGNALS)] = None
    service: Annotated[str | None, name] = None
    namespace: Annotated[str | None, name] = None
    severity_below: Annotated[int | None, severity] = None


class Rule(Struct, frozen=True):
    """How many seconds some records are kept."""

    match: Match
    keep: Annotated[float, between(seconds, "1m", "36500d")]

    @property
    def signals(self) -> Sequence[str]:
        """What the rule deletes: severities are of logs alone."""
        if self.match.signal is not None:
            return (self.match.signal,)
        return _SIGNALS if self.match.severity_below is None else (LOGS,)

    def __str__(self) -> str:
        """The rule as one would say it: `logs severity_below=9`."""
        fields = (f"{f}={v}" for f in ("service", "namespace", "severity_below") if (v := getattr(self.match, f)))
        return " ".join((self.match.signal or ",".join(self.signals), *fields))


def contradictions(key: str, rules: Sequence[Rule], values: Mapping[str, Any], given: Layer) -> Iterator[str]:
    """What is wrong with rules in themselves, and beside how long their signals are kept as a whole."""
    for index, (rule, (place, item)) in enumerate(zip(rules, given[key].items, strict=True)):
        match, path = rule.match, f"{key}[{index}]"
        if match == Match(signal=match.signal):
            yield f"{place}: {path}.match: must name service, namespace or severity_below"
        if match.severity_below is not None and LOGS not in rule.signals:
            severity_place = item["match.severity_below"].origin
            yield f"{severity_place}: {path}.match.severity_below: must be of logs; is of {match.signal}"
        for signal in rule.signals:
            whole = f"retention.{signal}"
            if values[whole] is not None and rule.keep > values[whole]:
                kept = f"{whole} ({given[whole].origin}), as partitions are dropped as a whole"
                yield f"{item['keep'].origin}: {path}.keep: must be at most {kept}; is {item['keep'].text}"
