"""The `postel` command, which reads flags and settings and puts the parts together: the composition root.

Exit codes: 0, 1 failure, 2 bad usage or configuration (one line per problem on stderr). Commands import what they run
only when they run, so that `--help`, `--version` and `check-config` answer at once.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final, NoReturn

from exporter import promotion
from exporter.documents import did_you_mean
from exporter.errors import ConfigurationError, PostelError, Unavailable
from exporter.flags import SETTING_FLAGS, add_setting_flags, run, settings_of
from exporter.quantities import parsed_by, seconds
from exporter.settings import KEYS
from exporter.settings_layers import variable

_COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "load": ("exporter.load", "send generated OTLP at a rate, with progress"),
        "hash": ("exporter.hashing", "print what a value of a hashed attribute is stored as"),
        "attributes": ("exporter.answer_attributes", "what each attribute costs, and what to promote or drop"),
        "storage": ("exporter.answer_storage", "how many bytes everything takes, and how fast that grows"),
        "grant": ("exporter.grant", "have a team's role see the services of its namespaces, in SQL"),
        "export": ("exporter.export", "write what is stored as OTLP/JSON, one export request a line"),
        "erase": ("exporter.erase", "delete every record that has an attribute, and what else holds its value"),
        "promote": ("exporter.backfill_command", "bring old data in line with a key that is promoted by now"),
        "demote": ("exporter.backfill_command", "bring old data in line with a key that is not promoted any more"),
        "bench": ("bench.__main__", "durable records a second beside JSONB tables; in a checkout of the source"),
    }
)
"""Commands that a module of their own has: its `add_arguments(parser)` and `run_command(args)`, which returns the exit
code."""
_RETRY_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        args = _parser(arguments).parse_args(arguments)
        code: int = args.run(args)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    except (PostelError, OSError) as error:
        print(f"postel {arguments[0]}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    return code


def _unknown(name: str, command: argparse.ArgumentParser) -> str:
    """What is wrong with an argument that a command does not know."""
    if not name.startswith("-"):
        return f"unrecognized argument: {name}"
    settings = {f"--{key.replace('.', '-').replace('_', '-')}": key for key in KEYS}
    if key := settings.get(name):
        return f"{name} is no flag of this command: set {variable(key)}, or {key} in the file of --config"
    return f"{name} is unknown, {did_you_mean(name, [flag for flag in command._option_string_actions if flag != '-h'])}"


class _Parser(argparse.ArgumentParser):
    """argparse with one line per problem, which ends in what may have been meant, and flags written out in full."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)
        self.commands: Mapping[str, argparse.ArgumentParser] = {}

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments, all of which have to be known."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(_unknown(unknown[0].partition("=")[0], self.commands[found.command]))
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"{value!r} is unknown, {did_you_mean(value, list(action.choices))}")

    def error(self, message: str) -> NoReturn:
        """End with exit code 2; the usage is left to --help."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="postel", description="OTLP/HTTP into PostgreSQL, and answers from the same port.")
    parser.add_argument("--version", action="version", version=f"postel {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    parser.commands = commands.choices

    serve = commands.add_parser("serve", help="the sidecar: take in telemetry and answer queries")
    add_setting_flags(serve, *SETTING_FLAGS)
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database's schema up to this version")
    add_setting_flags(migrate, "database_url")
    migrate.add_argument("--wait", action="store_true", help="wait until the database can be reached")
    migrate.add_argument(
        "--create-roles",
        nargs="?",
        const="",
        metavar="PREFIX",
        type=_prefix,
        help="also make the roles PREFIX_owner, PREFIX_writer and PREFIX_reader (postel_...), and own by the first",
    )
    migrate.set_defaults(run=_migrate)

    check = commands.add_parser("check-config", help="check settings and attribute lists, naming every problem")
    add_setting_flags(check, *SETTING_FLAGS)
    check.set_defaults(run=_check_config)

    maintain = commands.add_parser("maintain", help="make partitions ahead and apply retention, once")
    add_setting_flags(maintain, "data_dir", "database_url")
    maintain.set_defaults(run=_maintain)

    replay = commands.add_parser("replay", help="store refused records after a fix, and release those that land")
    add_setting_flags(replay, "data_dir", "database_url")
    replay.add_argument("--reason", action="append", help="only records refused for this; repeatable")
    replay.add_argument(
        "--since", metavar="TIME", type=parsed_by(seconds), help="only records refused in the last, such as, 24h"
    )
    replay.set_defaults(run=_replay)

    for name, (module, text) in _COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if arguments[:1] == [name]:
            # Imported for the one that is asked for: the load generator alone is half a second.
            found = _imported(module)
            found.add_arguments(command)
            command.set_defaults(run=found.run_command)
    return parser


def _imported(module: str) -> Any:
    package = module.partition(".")[0]
    if find_spec(package) is None:
        raise ConfigurationError(f"{package} is not installed: it is part of a checkout of the source, see its README")
    return import_module(module)


def _version() -> str:
    try:
        return version("postel")
    except PackageNotFoundError:
        return "(not installed)"


def _serve(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    from exporter.serve import serve

    return run(serve(settings))


def _migrate(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    if settings.database_url is None:
        raise ConfigurationError(
            "--database-url: database_url: must be given; `postel serve` migrates its embedded PostgreSQL itself"
        )
    asyncio.run(_migrated(settings.database_url, wait=args.wait))
    if args.create_roles is not None:
        from exporter.roles import create

        names = asyncio.run(create(settings.database_url, args.create_roles or None, settings.statement_timeout))
        print(f"everything of Postel belongs to {names[0]}; {names[1]} writes, {names[2]} reads")
    return 0


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,49}", text) and text:
        raise argparse.ArgumentTypeError(f"must be lower-case letters, digits and underscores, 50 at most; is {text}")
    return text


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
    settings = settings_of(args)
    from exporter.access import Tokens, check_tls

    lists = promotion.load(overrides=settings.attribute_overrides)
    Tokens(settings)
    check_tls(settings)
    promoted, dropped = (sum(map(len, part.values())) for part in (lists.promoted, lists.drops))
    overrides = settings.attribute_overrides
    overrides = overrides if overrides and overrides.is_file() else None
    rules = 0 if lists.bodies is None else len(lists.bodies)
    removed = f"{dropped} dropped, {len(lists.hashed)} hashed, {rules} rules for log bodies"
    print(f"configuration is good: {promoted} attributes promoted, {removed}, overrides: {overrides or 'none'}")
    return 0


def _maintain(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    from exporter.maintenance import run_once

    asyncio.run(run_once(settings))
    return 0


def _replay(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    from exporter.replay import run_once

    return 0 if run(run_once(settings, args.reason, args.since)) else 1
