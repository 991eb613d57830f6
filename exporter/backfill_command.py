"""`postel promote` and `postel demote`: old data in line with the promotion lists, or what that would take.

Which keys are promoted is configuration: these commands change no list, they follow the lists in force.

Source: docs/backfill.md.
"""

import argparse
import re
import sys
import time
from math import inf
from pathlib import Path

import yaml

from exporter import promotion
from exporter.backfill import PLACES, Backfill, Difference, Target
from exporter.embedded import attached
from exporter.errors import ConfigurationError
from exporter.flags import add_setting_flags, run, settings_of, utf8
from exporter.promotion import OWNERS, RESOURCE, SCOPE, STRING, Promotion
from exporter.settings import Settings

_SAY_S = 1.0
_PLAIN = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
"""Keys that YAML takes as they are."""
PROMOTE = "promote"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of both commands."""
    add_setting_flags(parser, "data_dir", "database_url")
    parser.add_argument("key", type=utf8, metavar="KEY", help="the attribute")
    parser.add_argument("--signal", required=True, choices=OWNERS, metavar="OWNER", help=f"one of {', '.join(OWNERS)}")
    parser.add_argument("--backfill", action="store_true", help="do it; without, say what there is to do")


def run_command(args: argparse.Namespace) -> int:
    """Bring the key in line, or say what that would take; the exit code. Raises ConfigurationError, Unavailable."""
    settings = settings_of(args)
    lists = promotion.load(overrides=settings.attribute_overrides)
    target = Target(args.signal, args.key, lists.promoted_types(args.signal, args.key))
    _require_place(target)
    if args.command == PROMOTE:
        _require_kept(target, lists, settings.attribute_overrides)
    else:
        _require_demoted(target, settings.attribute_overrides)
    return run(_run(settings, target, args.command, do_it=args.backfill))


def _require_place(target: Target) -> None:
    if target.owner not in PLACES:
        raise ConfigurationError(
            f"--signal: attributes of {target.owner} lie on their own rows and have no typed place: there is nothing to"
            f" bring in line; what has one: {', '.join(PLACES)}"
        )


def _require_kept(target: Target, lists: Promotion, overrides: Path | None) -> None:
    if target.key in lists.dropped(target.owner):
        raise ConfigurationError(
            f"{overrides}: drop.{target.owner}: {target.key} is dropped, which wins over promote: take it off that list"
        )


def _require_demoted(target: Target, overrides: Path | None) -> None:
    if not target.types:
        return
    what = f"promoted as {', '.join(sorted(target.types))}"
    if promotion.load().promoted_types(target.owner, target.key):
        raise ConfigurationError(
            f"config/attribute-promotion.yaml: {target.owner}: {target.key} is {what} by the base list, which cannot be"
            f" shortened; drop.{target.owner} in an overrides file would not store the attribute at all"
        )
    raise ConfigurationError(f"{overrides}: promote.{target.owner}: {target.key} is {what}: take it off that list")


async def _run(settings: Settings, target: Target, command: str, *, do_it: bool) -> int:
    async with attached(settings) as url:
        work = Backfill(url, target, _Progress(command))
        try:
            if command == PROMOTE and not target.types:
                _print_lines(target, await work.stored_types(), settings.attribute_overrides)
                return 2
            if do_it:
                print(f"{_title(target)}: {_told(await work.align(), 'written', 'removed', 'made', 'dropped')}")
                return 0
            found = await work.difference()
        finally:
            await work.close()
    told = _told(found, "missing", "too many", "missing", "too many")
    print(f"{_title(target)}: {told}{'; --backfill brings them in line' if found else ''}")
    return 0


def _print_lines(target: Target, types: set[str], overrides: Path | None) -> None:
    """What to add to the overrides file, under the types that the key has."""
    where = overrides or "a file that attribute_overrides names"
    print(f"{_title(target)}: not promoted; add this to {where}, and begin again:", file=sys.stderr)
    if not types:
        what = f"no {target.owner if target.owner in (RESOURCE, SCOPE) else 'series'} that is stored has it"
        print(f"({what}: look up its type with `postel attributes`, {STRING} is a guess)", file=sys.stderr)
    # JSON would leave control characters such as U+0085 as they are.
    quoted: str = yaml.safe_dump(target.key, default_style='"', width=inf).strip()
    key = target.key if _PLAIN.fullmatch(target.key) else quoted
    print(f"promote:\n  {target.owner}:")
    for of_type in sorted(types or {STRING}):
        print(f"    {of_type}:\n      - {key}")


def _title(target: Target) -> str:
    # A key is somebody's text: a terminal must not obey it.
    key = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in target.key)
    return f"{target.owner}: {key}" + (f" ({', '.join(sorted(target.types))})" if target.types else "")


def _told(found: Difference, written: str, removed: str, made: str, dropped: str) -> str:
    parts = [
        f"{what}: {count:,}"
        for count, what in (
            (found.missing, f"typed rows {written}"),
            (found.surplus, f"typed rows {removed}"),
            (found.unindexed, f"indexes of partitions {made}"),
            (found.indexed, f"indexes of partitions {dropped}"),
        )
        if count
    ]
    return ", ".join(parts) or "stored as the lists say"


class _Progress:
    """Tells on stderr how far it is: once a second, and in the end."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._began = self._said = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """So many rows are done, of so many."""
        now = time.monotonic()
        if self._first is None or done < self._first:
            self._first, self._began = done, now
        if now - self._said < _SAY_S and done < total:
            return
        self._said = now
        rate = (done - self._first) / max(now - self._began, 1e-3)
        print(f"postel {self._command}: {done:,} of {total:,} rows, {rate:,.0f}/s", file=sys.stderr, flush=True)
