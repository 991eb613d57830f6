"""What was meant by a parameter that there is not: a slip of the hand, or what others call it."""

import difflib
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

_CALLED: Final = MappingProxyType(
    {
        "level": "severity",
        "search": "q",
        "query": "q",
        "error": "status",
        "errors": "status",
        "operation": "name",
        "span_name": "name",
        "metric": "name",
        "metric_name": "name",
        "service_name": "service",
        "service.name": "service",
        "from": "start_time",
        "to": "end_time",
        "start": "start_time",
        "end": "end_time",
        "last": "since",
        "type": "semantic_type",
    }
)
"""What others call a parameter."""


def nearest(name: str, known: Iterable[str], on: Iterable[str]) -> str:
    """The hint where there is no parameter `name`: the one that was meant, of those that are `known` or filters `on`
    something, else all of them."""
    if (called := _CALLED.get(name.lower(), "")) and called in known:
        return f"did you mean {called}?"
    prefix, dot, key = name.partition(".")
    if dot and on:
        near = difflib.get_close_matches(prefix.lower(), on, 1, 0.75)
        return f"did you mean {f'{near[0]}.{key}' if near else f'{next(iter(on))}.{name}'}?"
    names = [other for other in known if other != "count"]
    near = difflib.get_close_matches(name.lower(), names, 1, 0.6) or [n for n in names if n in name or name in n]
    attributes = [f"{prefix}.KEY" for prefix in on]
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join([*names, *attributes])}"
