"""The client behind `postel export`: everything that is stored, as OTLP/JSON export requests, one a line.

Reads the API page by page with format=otlp. A page is a line, so memory is bounded by a page; pages are cut by keys,
so that what arrives meanwhile neither hides a record nor repeats one.

Source: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/; docs/architecture.md, "Effective once".
"""

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO
from zlib import crc32

import httpx
import msgspec

from exporter import flags
from exporter.client import DEFAULT_URL, add_flags, check_url, explain, open_client, read_token
from exporter.errors import ConfigurationError
from exporter.export_page import count_records
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.quantities import integer, parsed_by
from exporter.retry import Attempts, Retry, Sleep

PATHS = {SPANS: "/api/spans", LOGS: "/api/logs", METRICS: "/api/metrics/series"}
"""Signal -> what answers its records."""
LONGEST_LINE_BYTES = 1 << 20
"""From here on the Collector's otlpjsonfile receiver cuts lines, unless its max_log_size says otherwise."""

_DURATION = re.compile(r"[0-9.]+[a-z]+")
_END_OF_TIME = (1 << 63) - 1
_PROGRESS_S = 1.0
_BLANKS = str.maketrans("01", " \t")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to read and from where.

    `since` (inclusive) and `until` (exclusive) are times as the API takes them, or durations before now; None = all
    time. `limit` is records a line at most; `start` is the signal to begin with and the cursor in it ("" = its
    newest record), as the summary of an incomplete export has them.
    """

    url: str = DEFAULT_URL
    signals: tuple[str, ...] = tuple(PATHS)
    since: str | None = None
    until: str | None = None
    limit: int = 1_000
    token: str | None = None
    start: tuple[str, str] | None = None
    timeout_s: float = 30.0
    give_up_s: float = 300.0


@dataclass(slots=True)
class Tally(Attempts):
    """What was written of one signal, and how its pages were come by; `cursor` is where the next line begins."""

    records: int = 0
    lines: int = 0
    long_lines: int = 0
    line_bytes: int = 0
    cursor: str = ""
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written, by signal."""

    tallies: dict[str, Tally]
    elapsed_s: float

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return all(tally.complete for tally in self.tallies.values())

    def __str__(self) -> str:
        columns = "{:<9}{:>12}{:>9}{:>10}{:>10}"
        lines = [columns.format("", "records", "lines", "retries", "MiB")]
        for signal, tally in self.tallies.items():
            counts = (f"{n:,}" for n in (tally.records, tally.lines, tally.retried))
            lines.append(columns.format(signal, *counts, f"{tally.line_bytes / 2**20:.1f}"))
        records = sum(tally.records for tally in self.tallies.values())
        lines.append(f"{records / max(self.elapsed_s, 1e-9):,.0f} records/s over {self.elapsed_s:.1f} s")
        for signal, tally in self.tallies.items():
            lines += [f"{signal}: {count:,} x {problem}" for problem, count in tally.problems.items()]
            if tally.long_lines:
                lines.append(f"{signal}: {tally.long_lines:,} lines of 1 MiB or more: raise the reader's max_log_size")
        missing = next((signal for signal, tally in self.tallies.items() if not tally.complete), None)
        if missing is not None:
            lines.append(f"incomplete: go on with --resume {missing}:{self.tallies[missing].cursor}")
        return "\n".join(lines)


async def run(options: ExportOptions, output: BinaryIO, out: TextIO, *, sleep: Sleep = asyncio.sleep) -> Summary:
    """Write every line to `output`, with a line of progress each second and the summary at the end on `out`.

    Ends early, incomplete, where a page is refused or does not come within `give_up_s`; `sleep` is what retries wait
    by. A cancelled run, or one whose output fails, still prints its summary. Raises ConfigurationError where the
    server does not understand what is asked, OSError of the output.
    """
    signals = list(PATHS)[list(PATHS).index(options.start[0]) :] if options.start else list(PATHS)
    tallies = {signal: Tally() for signal in signals if signal in options.signals}
    if options.start:
        tallies[options.start[0]].cursor = options.start[1]
    began = time.monotonic()
    ticker = asyncio.create_task(_show_progress(tallies, began, out))
    try:
        async with open_client(options.url, options.token, options.timeout_s, {"User-Agent": "postel-export"}) as http:
            for signal, tally in tallies.items():
                await _export(http, options, signal, tally, output, Retry(options.give_up_s, sleep))
                if not tally.complete:
                    break
    finally:
        ticker.cancel()
        summary = Summary(tallies, time.monotonic() - began)
        if not isinstance(sys.exception(), ConfigurationError):
            print(summary, file=out, flush=True)
    return summary


async def _export(
    http: httpx.AsyncClient, options: ExportOptions, signal: str, tally: Tally, output: BinaryIO, retry: Retry
) -> None:
    """Write the lines of one signal, from the tally's cursor on."""
    limit = options.limit
    while not tally.complete:
        asked = _parameters(options, limit, tally.cursor)
        response = await retry.send(lambda asked=asked: http.get(PATHS[signal], params=asked), explain, tally)  # type: ignore[misc]
        if response is None or not response.is_success:
            if response is not None and response.status_code == httpx.codes.BAD_REQUEST and not tally.lines:
                raise ConfigurationError(explain(response))
            return
        try:
            records = count_records(signal, response.content)
            following = response.links["next"]["url"] if "next" in response.links else None
            cursor = httpx.URL(following).params["cursor"] if following else None
        except (msgspec.MsgspecError, LookupError) as error:
            tally.note(f"200: no page of an export: {error}")
            return
        line = _line(response.content, tally.cursor)
        if len(line) >= LONGEST_LINE_BYTES and records > 1:
            # Half of what is there, as a page may be shorter than its limit.
            limit = max(1, min(limit, records) // 2)
            continue
        if len(line) * 4 < LONGEST_LINE_BYTES:
            limit = min(options.limit, limit * 2)
        if records:
            output.write(line)
            output.flush()
            tally.records += records
            tally.lines += 1
            tally.long_lines += len(line) >= LONGEST_LINE_BYTES
            tally.line_bytes += len(line)
        tally.cursor, tally.complete = cursor or "", cursor is None


def _parameters(options: ExportOptions, limit: int, cursor: str) -> dict[str, str]:
    window = {
        "start_time": "0" if options.since is None else _moment(options.since),
        "end_time": str(_END_OF_TIME) if options.until is None else _moment(options.until),
    }
    # A cursor holds its window: that of the first page, whatever "now" is by now.
    return {"format": "otlp", "limit": str(limit), **({"cursor": cursor} if cursor else window)}


def _moment(text: str) -> str:
    """A time as the API takes it; a duration is one before now."""
    return f"now-{text}" if _DURATION.fullmatch(text) else text


def _line(content: bytes, cursor: str) -> bytes:
    """An answer as one line that is like no other of the export.

    Records may be equal (the same event logged twice). Where two whole lines were, a receiver that knows bodies again
    would take the second for the first one, sent once more; so blanks that stand for the cursor tell lines apart.
    """
    # Inside a JSON string a line break would be escaped: these are white space.
    text = content.strip().replace(b"\n", b" ")
    blanks = f"{crc32(cursor.encode()):032b}".translate(_BLANKS).encode() if cursor else b""
    return text[:1] + blanks + text[1:] + b"\n"


async def _show_progress(tallies: dict[str, Tally], began: float, out: TextIO) -> None:
    # Cancelled when all is written, which is no failure of the run.
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(_PROGRESS_S)
            signal = next((name for name, tally in tallies.items() if not tally.complete), "")
            records = sum(tally.records for tally in tallies.values())
            size = sum(tally.line_bytes for tally in tallies.values()) / 2**20
            retried = sum(tally.retried for tally in tallies.values())
            text = f"{signal:<8}{records:>12,} records  {size:,.1f} MiB  retries {retried:,}"
            print(f"{time.monotonic() - began:5.0f} s  {text}", file=out, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Register the flags of `postel export`."""
    default = ExportOptions()
    parser.add_argument(
        "--signal", choices=list(PATHS), action="append", help="what to write; repeatable (default: everything)"
    )
    parser.add_argument("--since", metavar="TIME", help="such as 24h, 2026-01-31T09:30:00Z or unix nanoseconds")
    parser.add_argument("--until", metavar="TIME", help="the same; records of that very time are left out")
    parser.add_argument("--output", metavar="FILE", type=Path, help="where to write (default: standard output)")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=parsed_by(integer, least=1),
        default=default.limit,
        help=f"records a line, fewer where they make 1 MiB (default {default.limit})",
    )
    parser.add_argument(
        "--resume",
        metavar="SIGNAL:CURSOR",
        type=parsed_by(_start),
        help="go on where an export ended, appending to --output; the other flags as they were",
    )
    add_flags(parser, default.timeout_s, default.give_up_s)


@contextmanager
def opened(options: ExportOptions, file: Path | None) -> Iterator[BinaryIO]:
    """What --output names; an export that is gone on with is appended to it. Raises OSError."""
    # Not sys.stdout.buffer: where nobody reads on, Python would fail once more when it flushes that at its end.
    with (
        os.fdopen(sys.stdout.fileno(), "wb", closefd=False)
        if file is None
        else file.open("ab" if options.start else "wb") as output
    ):
        yield output


def _start(text: str) -> tuple[str, str]:
    signal, colon, cursor = text.partition(":")
    if signal not in PATHS or not colon:
        raise ValueError("must be what the incomplete export said at its end")
    return signal, cursor


def options_from(args: argparse.Namespace) -> ExportOptions:
    """The options that the flags give; raises ConfigurationError with one line per problem."""
    token, unreadable = read_token(args.token_file)
    signals = tuple(signal for signal in PATHS if not args.signal or signal in args.signal)
    problems = check_url(args.url) + unreadable
    if args.resume and args.resume[0] not in signals:
        problems.append(f"--resume: {args.resume[0]} is none of the signals that --signal names")
    if problems:
        raise ConfigurationError(*problems)
    return ExportOptions(
        url=args.url,
        signals=signals,
        since=args.since,
        until=args.until,
        limit=args.limit,
        token=token,
        start=args.resume,
        timeout_s=args.timeout,
        give_up_s=args.give_up,
    )


def run_command(args: argparse.Namespace) -> int:
    """Export, and say in the exit code whether all of it was written."""
    options = options_from(args)
    with opened(options, args.output) as output:
        return 0 if flags.run(run(options, output, sys.stderr)).complete else 1
