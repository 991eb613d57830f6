"""The `postel` command, which reads flags and settings and puts the parts together: the composition root.

Exit codes: 0, 1 failure, 2 bad usage or configuration (one line per problem on stderr). Commands import what they run
only when they run, so that `--help`, `--version` and `check-config` answer at once.
"""

import argparse
import asyncio
import sys
from collections.abc import Coroutine, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from exporter import promotion
from exporter.errors import ConfigurationError, PostelError, Unavailable
from exporter.quantities import parsed_by, seconds
from exporter.settings import Settings
from exporter.settings import load as load_settings

T = TypeVar("T")
SETTING_FLAGS = ("bind", "data_dir", "database_url")
"""Settings that have a flag of their own."""
_RETRY_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = _parser(arguments).parse_args(arguments)
    try:
        code: int = args.run(args)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    except (PostelError, OSError) as error:
        print(f"postel {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    return code


class _Parser(argparse.ArgumentParser):
    """argparse with one line per problem, and flags written out in full."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2; the usage is left to --help."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="postel", description="OTLP/HTTP into PostgreSQL, and answers from the same port.")
    parser.add_argument("--version", action="version", version=f"postel {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="the sidecar: take in telemetry and answer queries")
    _add_setting_flags(serve, *SETTING_FLAGS)
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database's schema up to this version")
    _add_setting_flags(migrate, "database_url")
    migrate.add_argument("--wait", action="store_true", help="wait until the database can be reached")
    migrate.set_defaults(run=_migrate)

    check = commands.add_parser("check-config", help="check settings and attribute lists, naming every problem")
    _add_setting_flags(check, *SETTING_FLAGS)
    check.set_defaults(run=_check_config)

    maintain = commands.add_parser("maintain", help="make partitions ahead and apply retention, once")
    _add_setting_flags(maintain, "data_dir", "database_url")
    maintain.set_defaults(run=_maintain)

    replay = commands.add_parser("replay", help="store refused records after a fix, and release those that land")
    _add_setting_flags(replay, "data_dir", "database_url")
    replay.add_argument("--reason", action="append", help="only records refused for this; repeatable")
    replay.add_argument(
        "--since", metavar="TIME", type=parsed_by(seconds), help="only records refused in the last, such as, 24h"
    )
    replay.set_defaults(run=_replay)

    load = commands.add_parser("load", help="send generated OTLP at a rate, with progress")
    load.set_defaults(run=_load)
    if arguments[:1] == ["load"]:
        # The generator and its HTTP client are half a second of imports that no other command needs.
        from exporter.load import add_arguments

        add_arguments(load)

    export = commands.add_parser("export", help="write what is stored as OTLP/JSON, one export request a line")
    export.set_defaults(run=_export)
    if arguments[:1] == ["export"]:
        from exporter.export import add_arguments

        add_arguments(export)
    return parser


_FLAG_HELP = {
    "bind": ("HOST:PORT", "where to listen; port 0 picks a free one and prints it"),
    "data_dir": ("DIR", "folder of the embedded PostgreSQL"),
    "database_url": ("URL", "use this PostgreSQL instead of the embedded one"),
}


def _add_setting_flags(parser: argparse.ArgumentParser, *keys: str) -> None:
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings over the packaged defaults")
    for key in keys:
        metavar, text = _FLAG_HELP[key]
        parser.add_argument(f"--{key.replace('_', '-')}", metavar=metavar, help=text)


def _version() -> str:
    try:
        return version("postel")
    except PackageNotFoundError:
        return "(not installed)"


def _settings(args: argparse.Namespace) -> Settings:
    given = {key: getattr(args, key, None) for key in SETTING_FLAGS}
    return load_settings(args.config, flags={key: text for key, text in given.items() if text is not None})


def _serve(args: argparse.Namespace) -> int:
    settings = _settings(args)
    from exporter.serve import serve

    return _run(serve(settings))


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(coroutine)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def _migrate(args: argparse.Namespace) -> int:
    settings = _settings(args)
    if settings.database_url is None:
        raise ConfigurationError(
            "--database-url: database_url: must be given; `postel serve` migrates its embedded PostgreSQL itself"
        )
    asyncio.run(_migrated(settings.database_url, wait=args.wait))
    return 0


async def _migrated(database_url: str, *, wait: bool) -> None:
    from exporter.migrations import migrate

    said = ""
    while True:
        try:
            return await migrate(database_url)
        except (Unavailable, OSError) as error:
            if not wait:
                raise
            if str(error) != said:
                said = str(error)
                print(f"postel migrate: waiting for the database: {said}", file=sys.stderr, flush=True)
        await asyncio.sleep(_RETRY_S)


def _check_config(args: argparse.Namespace) -> int:
    settings = _settings(args)
    from exporter.access import Tokens, check_tls

    lists = promotion.load(overrides=settings.attribute_overrides)
    Tokens(settings)
    check_tls(settings)
    promoted, dropped = (sum(map(len, part.values())) for part in (lists.promoted, lists.drops))
    overrides = settings.attribute_overrides or "none"
    print(f"configuration is good: {promoted} attributes promoted, {dropped} dropped, overrides: {overrides}")
    return 0


def _maintain(args: argparse.Namespace) -> int:
    settings = _settings(args)
    from exporter.maintenance import run_once

    asyncio.run(run_once(settings))
    return 0


def _replay(args: argparse.Namespace) -> int:
    settings = _settings(args)
    from exporter.replay import run_once

    return 0 if _run(run_once(settings, args.reason, args.since)) else 1


def _load(args: argparse.Namespace) -> int:
    from exporter.load import options_from, run

    summary = _run(run(options_from(args), sys.stderr))
    return 0 if summary.complete else 1


def _export(args: argparse.Namespace) -> int:
    from exporter.export import opened, options_from, run

    options = options_from(args)
    with opened(options, args.output) as output:
        summary = _run(run(options, output, sys.stderr))
    return 0 if summary.complete else 1
