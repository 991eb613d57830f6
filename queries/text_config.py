"""The configuration in force as text: the attribute lists, each owner's in a few lines, then a table of settings."""

from collections.abc import Iterator

from msgspec import structs

from queries import text_values as values
from queries.answers_config import Configuration, OwnerLists
from queries.text_cells import BOLD, RED, Cell, Style, clean, line, wrapped
from queries.text_tables import any_records


def configuration(content: Configuration, style: Style) -> list[str]:
    """The lines of an answer."""
    overrides = content.overrides
    file = f"{overrides.file or 'none'} ({overrides.state})"
    since = f"attribute lists since {values.moment(content.lists_since_unix_nano, 0)}Z, overrides {clean(file)}"
    lines = [line([Cell(text, BOLD)], style) for text in wrapped(since, style.width)]
    for problem in overrides.problems:
        lines += [line([Cell(text, RED)], style) for text in wrapped(clean(problem), style.width)]
    for owner in content.lists:
        lines += _lists(owner, style)
    redaction = content.redaction
    lines += _keys("hashed", redaction.hashed, style)
    lines += _keys("members removed from log bodies", redaction.log_body_members, style)
    expressions = redaction.log_body_expressions
    lines += _keys("expressions that hide parts of log bodies", [str(expressions)] if expressions else [], style)
    started = f"settings since {values.moment(content.started_unix_nano, 0)}Z"
    lines += ["", *(line([Cell(text, BOLD)], style) for text in wrapped(started, style.width))]
    return [*lines, *(any_records(content.settings, style, lambda *_: []) if content.settings else ())]


def _lists(found: OwnerLists, style: Style) -> Iterator[str]:
    for name, keys in (*structs.asdict(found.promoted).items(), ("dropped", found.dropped)):
        yield from _keys(f"{found.owner} {name}", keys, style)


def _keys(name: str, keys: list[str], style: Style) -> Iterator[str]:
    if keys:
        shown = f"{clean(name)}: {', '.join(map(clean, keys))}"
        yield from (f"{'  ' if rest else ''}{text}" for rest, text in enumerate(wrapped(shown, style.width - 2)))
