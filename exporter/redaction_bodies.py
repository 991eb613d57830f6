"""Rules for log bodies: what a regular expression matches is hidden, members of certain names are removed.

The expressions are an administrator's, the bodies anybody's. RE2 finds one match in linear time whatever both are; many
matches, each of which looks far ahead, could still take long, so there is a bound, and past it the rest is hidden.

Source: docs/redaction.md; docs/decisions/0021-redaction.md; https://github.com/google/re2/wiki/Syntax.
"""

from collections.abc import Iterable
from time import thread_time
from typing import Any

from msgspec import Struct

from exporter.otlp.records import AnyValue, Codec, Opaque
from exporter.redaction import Keys

HIDDEN = "***"
SEARCHED_BYTES = 32 * 1024
"""A longer request with texts to search is none for the event loop."""
_PATIENCE_S, _PATIENCE_S_PER_BYTE, _PATIENCE_S_PER_MATCH = 0.01, 1e-6, 3e-6
"""Of a processor's time for one expression in one text: RE2 does with a hundredth of it unless somebody means to keep
it busy. What a match costs here is not its doing: an expression such as `x*` has an empty one at every byte."""


class BodyRules(Struct, frozen=True):
    """Compiled expressions, and the names of members to remove."""

    expressions: tuple[Any, ...]
    members: Keys

    def __len__(self) -> int:
        """How many rules they are."""
        return len(self.expressions) + len(self.members)

    def read(self, codec: Codec, body: Opaque) -> AnyValue:
        """An opaque body as it may be stored. Raises UndecodableBody."""
        deep = codec.findings.sanitised.get("too_deep", 0)
        value = codec.any_value(body)
        if self.members and codec.findings.sanitised.get("too_deep", 0) > deep:
            # What lies too deep is text by now, in which no member can be told.
            return HIDDEN
        return self.redacted(value)

    def redacted(self, value: AnyValue) -> AnyValue:
        """A body, or a value inside it, as it may be stored."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, list):
            return [self.redacted(item) for item in value]
        if isinstance(value, dict):
            return {key: self.redacted(item) for key, item in value.items() if key not in self.members}
        return value

    def hide(self, text: str) -> str:
        """A text with three stars in place of whatever an expression matches; matches that overlap are one."""
        data = text.encode()
        spans = [span for expression in self.expressions for span in _spans(expression, data)]
        if not spans:
            return text
        pieces: list[bytes] = []
        end = 0
        for first, last in sorted(spans):
            if first >= end:
                pieces += [data[end:first], HIDDEN.encode()]
            end = max(end, last)
        # An expression may match half a character (`\C`).
        return b"".join([*pieces, data[end:]]).decode(errors="replace")


def compile_rule(expression: str) -> Any:
    """A compiled regular expression of RE2's syntax. Raises ValueError that says what is wrong with it."""
    # Where there is no rule, nobody pays for the library.
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        (reason,) = error.args
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def _spans(expression: Any, data: bytes) -> Iterable[tuple[int, int]]:
    until_s = 0.0
    for found in expression.finditer(data):
        first, last = found.span()
        if first < last:
            yield first, last
        # Most texts have no match: finding the first one is linear, and needs no clock.
        until_s = until_s or thread_time() + _PATIENCE_S + len(data) * _PATIENCE_S_PER_BYTE
        until_s += _PATIENCE_S_PER_MATCH
        if thread_time() > until_s:
            yield first, len(data)
            return
