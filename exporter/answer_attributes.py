"""`postel attributes`: which there are, what they cost, how often they are asked for, what to promote or drop."""

import argparse

from exporter.answer import add_answer_flags, print_answer
from exporter.promotion import SIGNALS

_MOST = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Register the flags of `postel attributes`."""
    parser.add_argument("--signal", choices=SIGNALS, action="append", help="only of this; repeatable")
    add_answer_flags(parser)


def run_command(args: argparse.Namespace) -> int:
    """Print the attributes, and suggestions in the form of an overrides file; returns the exit code."""
    return print_answer(args, "/api/attributes", {"signal": args.signal or [], "limit": _MOST})
