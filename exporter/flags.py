"""Flags that commands share: settings on the command line, and an event loop for what they start."""

import argparse
import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from exporter.settings import Settings, load

T = TypeVar("T")
SETTING_FLAGS = ("bind", "data_dir", "database_url")
"""Settings that have a flag of their own."""

_FLAG_HELP = {
    "bind": ("HOST:PORT", "where to listen; port 0 picks a free one and prints it"),
    "data_dir": ("DIR", "folder of the embedded PostgreSQL"),
    "database_url": ("URL", "use this PostgreSQL instead of the embedded one"),
}


def add_setting_flags(parser: argparse.ArgumentParser, *keys: str) -> None:
    """Register --config and the flags of these settings."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings over the packaged defaults")
    for key in keys:
        metavar, text = _FLAG_HELP[key]
        parser.add_argument(f"--{key.replace('_', '-')}", metavar=metavar, help=text)


def utf8(text: str) -> str:
    """An argument that is looked for in telemetry, for argparse: no sender can send anything but UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("must be UTF-8") from None
    return text


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings in force for a command. Raises ConfigurationError."""
    given = {key: getattr(args, key, None) for key in SETTING_FLAGS}
    return load(args.config, flags={key: text for key, text in given.items() if text is not None})


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, run to its end by the fastest loop there is."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(coroutine)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)
