"""`postel hash`: what a value of a hashed attribute is stored as, so that it can be filtered for.

Source: docs/redaction.md.
"""

import argparse

from exporter.database import Database
from exporter.embedded import attached
from exporter.flags import add_setting_flags, run, settings_of, utf8
from exporter.redaction import Hasher
from exporter.settings import Settings
from sql import query


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `postel hash`."""
    add_setting_flags(parser, "data_dir", "database_url")
    what = "what a sender gives: a string, or as text whatever else it is"
    parser.add_argument("value", type=utf8, metavar="VALUE", help=what)


def run_command(args: argparse.Namespace) -> int:
    """Print the hash; returns the exit code. Raises ConfigurationError and Unavailable."""
    print(run(hash_value(settings_of(args), args.value)))
    return 0


async def hash_value(settings: Settings, value: str) -> str:
    """The hash of a value by the database's key. Raises StorageUnavailable."""
    async with attached(settings) as url:
        database = Database(url, 1, settings.statement_timeout, "postel hash")
        try:
            key: bytes = await database.retrying(lambda c: c.fetchval(query("ledger", "read-digest-key")))
        finally:
            await database.close()
    return Hasher(key).hash(value)
