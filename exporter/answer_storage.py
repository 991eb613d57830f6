"""`postel storage`: how many bytes everything takes, how fast that grows, and when a budget is reached."""

import argparse

from exporter.answer import add_answer_flags, print_answer
from exporter.promotion import SIGNALS
from exporter.quantities import integer, parsed_by

_LIMIT = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Register the flags of `postel storage`."""
    parser.add_argument("--signal", choices=SIGNALS, action="append", help="only of this; repeatable")
    parser.add_argument("--budget", metavar="SIZE", help="tell how many days it takes to reach, such as 50GiB")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=parsed_by(integer, least=1),
        default=_LIMIT,
        help=f"tables, partitions, services and attributes, each (default {_LIMIT})",
    )
    add_answer_flags(parser)


def run_command(args: argparse.Namespace) -> int:
    """Print what takes place; returns the exit code."""
    asked = {"signal": args.signal or [], "limit": args.limit, **({"budget": args.budget} if args.budget else {})}
    return print_answer(args, "/api/storage", asked)
