"""What commands have in common that print one answer of a running Postel's read API."""

import argparse
import asyncio
import shutil
import sys
from collections.abc import Mapping, Sequence

import httpx

from exporter.client import add_flags, check_url, explain, open_client, read_token
from exporter.errors import ConfigurationError

Asked = Mapping[str, str | int | Sequence[str]]
_TIMEOUT_S = 30.0
_NARROWEST, _WIDEST = 40, 500


def add_answer_flags(parser: argparse.ArgumentParser) -> None:
    """Register --json, and where Postel is."""
    parser.description = "Asks the read API of a running server, that of --url; the database is not needed."
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_flags(parser, _TIMEOUT_S)


def print_answer(args: argparse.Namespace, path: str, asked: Asked) -> int:
    """Print the answer, as text for this terminal unless JSON is asked for; returns the exit code.

    Raises ConfigurationError where flags are wrong, or the server does not understand what is asked.
    """
    token, problems = read_token(args.token_file)
    if problems := check_url(args.url) + problems:
        raise ConfigurationError(*problems)
    form = {"format": "json"} if args.json else _text()
    try:
        response = asyncio.run(_ask(args, token, path, {**asked, **form}))
    except httpx.RequestError as error:
        print(f"{args.url}: {type(error).__name__}: {error}".rstrip(": "), file=sys.stderr)
        return 1
    if response.status_code == httpx.codes.BAD_REQUEST:
        raise ConfigurationError(explain(response))
    if not response.is_success:
        print(f"{args.url}: {response.status_code}: {explain(response)}", file=sys.stderr)
        return 1
    print(response.text, end="")
    return 0


def _text() -> dict[str, str | int]:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 120
    color = "always" if sys.stdout.isatty() else "never"
    return {"format": "text", "width": max(_NARROWEST, min(_WIDEST, width)), "color": color}


async def _ask(args: argparse.Namespace, token: str | None, path: str, asked: Asked) -> httpx.Response:
    async with open_client(args.url, token, args.timeout, {"User-Agent": "postel"}) as http:
        return await http.get(path, params=dict(asked))
