"""`postel grant`: which service namespaces the members of a role see in the views of schema otel_team.

Source: sql/migrations/0016_roles.sql; docs/roles.md.
"""

import argparse
from collections.abc import Sequence

from exporter import flags
from exporter.database import Database
from exporter.embedded import attached
from exporter.settings import Settings
from sql import query

_TIMEOUT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Register the flags of `postel grant`."""
    flags.add_setting_flags(parser, "data_dir", "database_url")
    parser.add_argument("role", metavar="ROLE", help="an existing role; its members see what it sees")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--namespace", action="append", metavar="N", help="a service.namespace to be seen; '' = none; repeatable"
    )
    what.add_argument("--none", action="store_true", help="nothing is to be seen any longer")


def run_command(args: argparse.Namespace) -> int:
    """Grant these namespaces and no others."""
    flags.run(grant(flags.settings_of(args), args.role, args.namespace or []))
    return 0


async def grant(settings: Settings, role: str, namespaces: Sequence[str]) -> None:
    """Have the members of `role` see these namespaces and no others.

    Raises Refused where the role sees everything or is missing, NotPermitted, Unavailable.
    """
    async with attached(settings) as url:
        database = Database(url, 1, _TIMEOUT_S, "postel grant")
        try:
            async with database.transaction() as connection:
                await connection.execute(query("migrations", "become-owner"))
                await connection.execute(query("roles", "grant-namespaces"), role, list(namespaces))
        finally:
            await database.close()
    shown = ", ".join(repr(namespace) for namespace in sorted(namespaces)) or "nothing"
    print(f"{role} sees {shown} in the views of schema otel_team (search_path = otel_team)")
