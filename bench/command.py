"""What the commands have in common: their flags, what they find, and how it is printed and written."""

import argparse
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from msgspec import Struct

from bench.corpus import RECORDS_PER_BODY, SIGNALS
from exporter.errors import PostelError

_T = TypeVar("_T")


class Findings(Struct):
    """What a benchmark found: Markdown, and the targets that were missed, each in a line."""

    text: str
    missed: Sequence[str] = ()


def publish(name: str, args: argparse.Namespace, findings: Coroutine[Any, Any, Findings]) -> int:
    """Await findings, print them, and write them where `args.out` says; the exit code.

    1 where the run fails or, with `args.check`, a target is missed.
    """
    found = awaited(name, findings)
    if found is None:
        return 1
    print(found.text)
    if args.out is not None:
        args.out.write_text(found.text)
    for problem in found.missed:
        print(f"missed: {problem}", file=sys.stderr)
    return 1 if found.missed and args.check else 0


def awaited(name: str, run: Coroutine[Any, Any, _T]) -> _T | None:
    """What a run comes to; None where it fails, which is said."""
    try:
        return uvloop.run(run)
    except (PostelError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None


def parser_of(name: str, description: str | None, *, has_targets: bool = True) -> argparse.ArgumentParser:
    """The flags that every one of them has; `check` is there anyway, False without targets."""
    parser = argparse.ArgumentParser(prog=f"make {name} ARGS=...", description=description, allow_abbrev=False)
    add_common(parser, has_targets=has_targets)
    return parser


def add_common(parser: argparse.ArgumentParser, *, has_targets: bool = True) -> None:
    """The same for a parser that is there."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown there too")
    parser.set_defaults(check=False)
    if has_targets:
        parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")


def add_signals(parser: argparse.ArgumentParser) -> None:
    """`--signals`, by default all."""
    parser.add_argument("--signals", type=_signals, default=SIGNALS, help=f"comma-separated: {','.join(SIGNALS)}")


def natural(text: str) -> int:
    """A number from 1 on. Raises ArgumentTypeError."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def thousands(text: str) -> int:
    """A number of records in whole bodies, at least two. Raises ArgumentTypeError."""
    number = natural(text.replace(",", ""))
    if number % RECORDS_PER_BODY or number < 2 * RECORDS_PER_BODY:
        raise argparse.ArgumentTypeError(f"must be a multiple of {RECORDS_PER_BODY:,}, at least two of them")
    return number


def chosen(names: list[str], known: tuple[str, ...], what: str) -> tuple[str, ...]:
    """The names in their usual order. Raises ArgumentTypeError where one is not known."""
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(f"no such {what}: {'; '.join(sorted(unknown))}; there are {'; '.join(known)}")
    return tuple(name for name in known if name in names)


def say(text: str) -> None:
    """Progress, beside the result."""
    print(text, file=sys.stderr, flush=True)


def _signals(text: str) -> tuple[str, ...]:
    return chosen(text.split(","), SIGNALS, "signal")
