"""The client behind `postel load`: sends the shop's telemetry over OTLP/HTTP at a rate, or as fast as it is taken.

options = LoadOptions(url="http://127.0.0.1:4318", rate=5_000, duration_s=60)
summary = asyncio.run(run(options, sys.stderr))
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import SystemRandom
from typing import TextIO, TypeAlias

import httpx

from exporter import flags
from exporter.client import DEFAULT_URL, add_flags, check_url, open_client, read_token
from exporter.documents import did_you_mean
from exporter.errors import ConfigurationError
from exporter.load_sender import Body, Sender, Tally, encode
from exporter.otlp.http import Encoding
from exporter.quantities import integer, parsed_by, seconds
from exporter.retry import Retry, Sleep
from exporter.shop import SIGNALS, Request, Shop, Signal

Requests: TypeAlias = Iterator[tuple[Signal, Request]]

_RECORDS_PER_SECOND = {"traces": 70.0, "logs": 21.0, "metrics": 86.0}
"""Of the shop as it is by default: 5 visits a second, 3 pods of each service, a scrape each 10 s."""
_FLAT_OUT_RATE = 20_000.0
"""How busy the shop is when nobody says: its clock should keep up with ours while it sends flat out."""
_MOST_PODS = 50
_PROGRESS_S = 1.0


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to send, where and how fast; `rate` is records a second of all signals, None = flat out.

    Ends after `duration_s` or `records` (rounded up to whole requests of `batch`), whichever comes first; None = no
    such end. Below `batch` records a second requests are smaller, so that one leaves each second. Without a
    `seed` every run is another shop: the same spans once more would be taken for repetitions.
    """

    url: str = DEFAULT_URL
    signals: tuple[Signal, ...] = SIGNALS
    rate: float | None = None
    duration_s: float | None = None
    records: int | None = None
    batch: int = 1_000
    connections: int = 4
    encoding: Encoding = Encoding.PROTOBUF
    compress: bool = True
    token: str | None = None
    seed: int | None = None
    users: int = 10_000
    timeout_s: float = 10.0
    give_up_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What was sent and what became of it, by signal."""

    tallies: dict[Signal, Tally]
    elapsed_s: float

    @property
    def complete(self) -> bool:
        """Whether the server took every record that it was offered."""
        return all(tally.acknowledged == tally.sent for tally in self.tallies.values())

    def __str__(self) -> str:
        columns = "{:<9}{:>12}{:>14}{:>10}{:>9}{:>9}{:>10}{:>10}"
        lines = [columns.format("", "sent", "acknowledged", "rejected", "failed", "retries", "requests", "MiB")]
        for signal, tally in self.tallies.items():
            counts = (tally.sent, tally.acknowledged, tally.rejected, tally.failed, tally.retried, tally.requests)
            lines.append(columns.format(signal, *(f"{n:,}" for n in counts), f"{tally.body_bytes / 2**20:.1f}"))
        acknowledged = sum(tally.acknowledged for tally in self.tallies.values())
        lines.append(f"{acknowledged / max(self.elapsed_s, 1e-9):,.0f} records/s over {self.elapsed_s:.1f} s")
        for signal, tally in self.tallies.items():
            lines += [f"{signal}: {count:,} x {problem}" for problem, count in tally.problems.items()]
        return "\n".join(lines)


async def run(
    options: LoadOptions, out: TextIO, *, requests: Requests | None = None, sleep: Sleep = asyncio.sleep
) -> Summary:
    """Send until the options' end, with a line of progress each second and the summary at the end on `out`.

    `requests` are sent instead of the shop's, each as it is; `sleep` is what pace and retries wait by. Requests that
    are under way at the end are finished. A cancelled run still prints its summary.
    """
    tallies = {signal: Tally() for signal in options.signals}
    began = time.monotonic()
    try:
        async with _client(options) as client, asyncio.TaskGroup() as group:
            sender = Sender(client, tallies, Retry(options.give_up_s, sleep))
            bodies: asyncio.Queue[Body | None] = asyncio.Queue(options.connections)
            ticker = group.create_task(_show_progress(tallies, began, out))
            async with asyncio.TaskGroup() as work:
                work.create_task(_produce(options, requests or shop_requests(options), bodies, sleep))
                for _ in range(options.connections):
                    work.create_task(_send_all(sender, bodies))
            ticker.cancel()
    finally:
        summary = Summary(tallies, time.monotonic() - began)
        print(summary, file=out, flush=True)
    return summary


def shop_requests(options: LoadOptions) -> Requests:
    """The telemetry of a shop so busy that its clock, which begins now, moves as fast as ours.

    A busier shop has more pods, as a real one would, so that the signals keep their shares.
    """
    rate = options.rate or _FLAT_OUT_RATE
    busier = rate / sum(_RECORDS_PER_SECOND[signal] for signal in options.signals)
    pods = min(_MOST_PODS, max(1, round(3 * busier)))
    shop = Shop(
        SystemRandom().getrandbits(48) if options.seed is None else options.seed,
        start_unix_nano=time.time_ns(),
        users=options.users,
        pods=pods,
        visits_per_second=5.0 * busier,
        scrape_interval_s=10.0 * pods / 3 / busier,
    )
    batch = min(options.batch, options.records or options.batch, max(1, int(rate)))
    return shop.requests(options.signals, batch)


async def _produce(options: LoadOptions, requests: Requests, bodies: asyncio.Queue[Body | None], sleep: Sleep) -> None:
    """Fill the queue at the rate asked for, then tell each connection that it is done."""
    began = time.monotonic()
    offered = 0
    while not _is_over(options, offered, time.monotonic() - began):
        # In a thread: making a request takes tens of milliseconds that answers should not wait for.
        body = await asyncio.to_thread(_next_body, options, requests)
        if body is None:
            break
        if options.rate is not None:
            await sleep(max(0.0, began + offered / options.rate - time.monotonic()))
        await bodies.put(body)
        offered += body.records
    for _ in range(options.connections):
        await bodies.put(None)


def _is_over(options: LoadOptions, offered: int, elapsed_s: float) -> bool:
    return (options.records is not None and offered >= options.records) or (
        options.duration_s is not None and elapsed_s >= options.duration_s
    )


def _next_body(options: LoadOptions, requests: Requests) -> Body | None:
    found = next(requests, None)
    if found is None:
        return None
    signal, request = found
    return encode(signal, request, options.encoding, options.compress)


async def _send_all(sender: Sender, bodies: asyncio.Queue[Body | None]) -> None:
    while body := await bodies.get():
        await sender.send(body)


async def _show_progress(tallies: dict[Signal, Tally], began: float, out: TextIO) -> None:
    before = 0
    # Cancelled when all is sent, which is no failure of the run.
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(_PROGRESS_S)
            elapsed_s = time.monotonic() - began
            names = ("acknowledged", "rejected", "failed", "retried")
            total = [sum(getattr(tally, name) for tally in tallies.values()) for name in names]
            print(
                f"{elapsed_s:5.0f} s {total[0] - before:>9,} records/s  acknowledged {total[0]:,}"
                f"  rejected {total[1]:,}  failed {total[2]:,}  retries {total[3]:,}",
                file=out,
                flush=True,
            )
            before = total[0]


def _client(options: LoadOptions) -> httpx.AsyncClient:
    headers = {"Content-Type": options.encoding.value, "User-Agent": "postel-load"}
    if options.compress:
        headers["Content-Encoding"] = "gzip"
    return open_client(options.url, options.token, options.timeout_s, headers, options.connections)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Register the flags of `postel load`."""
    default = LoadOptions()
    natural = parsed_by(integer, least=1)
    duration = parsed_by(seconds)
    add_flags(parser, default.timeout_s, default.give_up_s)
    parser.add_argument(
        "--signals", metavar="LIST", default=",".join(SIGNALS), help="of traces,logs,metrics (default all)"
    )
    parser.add_argument("--rate", metavar="N", type=natural, help="records a second of all signals (default: flat out)")
    parser.add_argument(
        "--duration", metavar="TIME", type=duration, help="how long, such as 30s or 1h (default: no end)"
    )
    parser.add_argument("--records", metavar="N", type=natural, help="how many records (default: no end)")
    parser.add_argument(
        "--batch", metavar="N", type=natural, default=default.batch, help="records a request (default 1000)"
    )
    parser.add_argument("--connections", metavar="N", type=natural, default=default.connections, help="(default 4)")
    parser.add_argument("--json", action="store_true", help="OTLP/JSON instead of protobuf")
    parser.add_argument("--no-gzip", action="store_true", help="send bodies as they are")
    parser.add_argument(
        "--seed", metavar="N", type=parsed_by(integer), help="send the same shop again (default: another one)"
    )
    parser.add_argument("--users", metavar="N", type=natural, default=default.users, help="cardinality of app.user.id")


def options_from(args: argparse.Namespace) -> LoadOptions:
    """The options that the flags give; raises ConfigurationError with one line per problem."""
    problems = check_url(args.url)
    signals, unknown = _signals(args.signals.split(","))
    if unknown or not signals:
        meant = f", {did_you_mean(min(unknown), SIGNALS)}" if unknown else ""
        problems.append(f"--signals: {args.signals!r} must be of {', '.join(SIGNALS)}, separated by commas{meant}")
    token, unreadable = read_token(args.token_file)
    problems += unreadable
    if problems:
        raise ConfigurationError(*problems)
    return LoadOptions(
        url=args.url,
        signals=signals,
        rate=args.rate,
        duration_s=args.duration,
        records=args.records,
        batch=args.batch,
        connections=args.connections,
        encoding=Encoding.JSON if args.json else Encoding.PROTOBUF,
        compress=not args.no_gzip,
        token=token,
        seed=args.seed,
        users=args.users,
        timeout_s=args.timeout,
        give_up_s=args.give_up,
    )


def run_command(args: argparse.Namespace) -> int:
    """Send, and say in the exit code whether all of it arrived."""
    return 0 if flags.run(run(options_from(args), sys.stderr)).complete else 1


def _signals(names: Sequence[str]) -> tuple[tuple[Signal, ...], set[str]]:
    """The signals among the names, in OTLP's order, and what is none."""
    return tuple(signal for signal in SIGNALS if signal in names), set(names) - set(SIGNALS)
