"""Which semantic convention a span follows, told by the beginnings of its attributes' keys.

Source: the seed's SemanticConventionDetector, with current names beside its own; https://opentelemetry.io/docs/specs/semconv/.
"""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

PREFIXES: Final = MappingProxyType(
    {
        "ai_agent": ("gen_ai.", "llm.", "mcp."),
        "http": ("http.", "url."),
        "db": ("db.",),
        "messaging": ("messaging.",),
        "rpc": ("rpc.",),
        "faas": ("faas.",),
        "aws": ("aws.",),
        "gcp": ("gcp.",),
        "azure": ("az.", "azure."),
    }
)
"""Semantic type -> beginnings of keys; the first type that any key fits is the span's."""


def detect(keys: Iterable[str]) -> str | None:
    """The semantic type of a span with these attribute keys; None where none fits."""
    found = tuple(keys)
    for semantic_type, prefixes in PREFIXES.items():
        if any(key.startswith(prefixes) for key in found):
            return semantic_type
    return None


def beginnings(semantic_type: str) -> tuple[list[str], list[str]]:
    """The beginnings of keys that make a span one of this type, and those that make it one of an earlier type first."""
    types = list(PREFIXES)
    earlier = types[: types.index(semantic_type)]
    return list(PREFIXES[semantic_type]), [prefix for other in earlier for prefix in PREFIXES[other]]


def path(prefixes: Iterable[str]) -> str | None:
    """The jsonpath that finds a key of an object that begins so; None = there is nothing to find."""
    conditions = [f'@.key starts with "{prefix}"' for prefix in prefixes]
    return f"$.keyvalue() ? ({' || '.join(conditions)})" if conditions else None
