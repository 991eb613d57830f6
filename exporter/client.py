"""What the commands that talk to a running Postel have in common: flags for where it is, and an HTTP client."""

import argparse
from pathlib import Path
from typing import Any

import httpx
import msgspec

from exporter.quantities import parsed_by, seconds

DEFAULT_URL = "http://127.0.0.1:4318"


def add_flags(parser: argparse.ArgumentParser, timeout_s: float, give_up_s: float | None = None) -> None:
    """Register --url, --token-file, --timeout and, for who asks more than once, --give-up: both with these defaults."""
    duration = parsed_by(seconds)
    parser.add_argument("--url", default=DEFAULT_URL, help=f"base URL of Postel (default {DEFAULT_URL})")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="file with a bearer token")
    parser.add_argument(
        "--timeout", metavar="TIME", type=duration, default=timeout_s, help=f"of one request (default {timeout_s:g}s)"
    )
    if give_up_s is not None:
        parser.add_argument(
            "--give-up", metavar="TIME", type=duration, default=give_up_s, help=f"retry for (default {give_up_s:g}s)"
        )


def check_url(url: str) -> list[str]:
    """What is wrong with the value of --url."""
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        found = httpx.URL()
    if found.scheme in ("http", "https") and found.host:
        return []
    return [f"--url: {url!r} must be a URL that begins with http:// or https://"]


def read_token(file: Path | None) -> tuple[str | None, list[str]]:
    """The token of --token-file, and what is wrong with it."""
    try:
        return (file.read_text().strip() if file else None), []
    except OSError as error:
        return None, [f"--token-file: {file}: {error.strerror}"]


def open_client(
    url: str, token: str | None, timeout_s: float, headers: dict[str, str], connections: int = 1
) -> httpx.AsyncClient:
    """A client of the Postel at `url` that sends these headers with each request."""
    if token:
        headers = headers | {"Authorization": f"Bearer {token}"}
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=timeout_s)


def explain(response: httpx.Response) -> str:
    """What an error of the API says, with its hint; else the reason phrase."""
    try:
        error: Any = msgspec.json.decode(response.content)["error"]
        return "; ".join(str(error[name]) for name in ("message", "hint") if error.get(name))
    except (msgspec.DecodeError, AttributeError, LookupError, TypeError):
        return response.reason_phrase
