"""`postel serve`: an HTTP server around the application, with a database of its own where none is given.

Hypercorn's graceful_timeout is ignored on Python 3.12 and later, so the drain is ours: unready, refuse new bodies,
finish and commit what is in flight, then close.
"""

import asyncio
import gc
import ipaddress
import logging
import signal
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from hypercorn.asyncio import serve as run_hypercorn
from hypercorn.config import Config
from starlette.applications import Starlette

from exporter import promotion
from exporter.access import Tokens, check_tls
from exporter.app import create_app
from exporter.embedded import EmbeddedPostgres, given_data_dir
from exporter.errors import ConfigurationError
from exporter.settings import Settings
from exporter.sidecar import Sidecar
from exporter.telemetry import log_to_stderr

T = TypeVar("T")
log = logging.getLogger("postel")
_CLOSE_S = 1.0
_RESERVE_S = 2.0
"""Of the grace period: for closing connections and the embedded PostgreSQL after the drain."""
_KEEP_ALIVE_S = 120


async def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    log_to_stderr()
    lists = promotion.load(overrides=settings.attribute_overrides)
    tokens = Tokens(settings)
    check_tls(settings)
    listener = _listen(settings.bind)
    embedded: EmbeddedPostgres | None = None
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        url = settings.database_url
        if url is None:
            embedded = EmbeddedPostgres(given_data_dir(settings))
            url = await _unless(stop, embedded.start())
            if url is None:
                return 0
            print(embedded.notice, flush=True)
        sidecar = Sidecar(settings, lists, url)
        await _serve_until(stop, settings, sidecar, create_app(sidecar, tokens), listener)
    finally:
        if embedded is not None:
            await embedded.stop()
        listener.close()
    return 0


async def _unless(stop: asyncio.Event, starting: Coroutine[Any, Any, T]) -> T | None:
    """What starting returns; None where it is to stop before that."""
    started, stopped = asyncio.create_task(starting), asyncio.create_task(stop.wait())
    await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if started.done():
        return started.result()
    started.cancel()
    await asyncio.wait({started})
    return None


async def _serve_until(
    stop: asyncio.Event, settings: Settings, sidecar: Sidecar, app: Starlette, listener: socket.socket
) -> None:
    drained = asyncio.Event()
    host, port = listener.getsockname()[:2]
    scheme = "http" if settings.tls_certificate is None else "https"
    print(f"postel listens on {scheme}://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    files = {"send": settings.ingest_token_file, "read": settings.read_token_file}
    free = [what for what, file in files.items() if file is None]
    if free and settings.tls_client_ca is None and not ipaddress.ip_address(host).is_loopback:
        log.warning("whoever reaches %s may %s: set ingest_token_file and read_token_file", host, " and ".join(free))
    _calm_garbage_collector()
    server = asyncio.create_task(
        run_hypercorn(app, _hypercorn(listener, settings), shutdown_trigger=drained.wait)  # type: ignore[arg-type]
    )
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({server, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    await sidecar.stop(settings.shutdown_grace - _RESERVE_S)
    drained.set()
    await asyncio.wait({server}, timeout=_CLOSE_S)
    server.cancel()
    with suppress(asyncio.CancelledError):
        await server


def _listen(bind: str) -> socket.socket:
    """A listening socket. Raises ConfigurationError where the address cannot be had."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    try:
        return socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
    except OSError as error:
        raise ConfigurationError(f"--bind: bind: cannot listen on {bind}: {error.strerror or error}") from error


def _hypercorn(listener: socket.socket, settings: Settings) -> Config:
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.keep_alive_timeout = _KEEP_ALIVE_S
    config.include_server_header = False
    if settings.tls_certificate is not None:
        config.certfile, config.keyfile = str(settings.tls_certificate), str(settings.tls_key)
        # One request after the other on a connection, as without TLS: what senders do.
        config.alpn_protocols = ["http/1.1"]
        if settings.tls_client_ca is not None:
            config.ca_certs, config.verify_mode = str(settings.tls_client_ca), ssl.CERT_REQUIRED
    return config


def _calm_garbage_collector() -> None:
    """Rows and records live from decoding to commit and hold no cycles: looking for some in them is wasted."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
