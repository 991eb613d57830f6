"""`postel serve`: an HTTP server around the application, with a database of its own where none is given.

Hypercorn's graceful_timeout is ignored on Python 3.12 and later, so the drain is ours: unready, refuse new bodies,
finish and commit what is in flight, then close.
"""

import asyncio
import ctypes
import gc
import ipaddress
import logging
import resource
import signal
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from hypercorn.asyncio import serve as run_hypercorn
from hypercorn.config import Config
from starlette.applications import Starlette

from exporter import connection, promotion
from exporter.access import Tokens, check_tls
from exporter.app import create_app
from exporter.embedded import EmbeddedPostgres, given_data_dir
from exporter.errors import ConfigurationError
from exporter.settings import Settings
from exporter.sidecar import Sidecar
from exporter.telemetry import log_to_stderr
from exporter.unread import Unread

T = TypeVar("T")
log = logging.getLogger("postel")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_CLOSE_S = 1.0
_EXIT_S = 0.5
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of malloc.h."""
_MAX_DESCRIPTORS = 65_536
_RESERVE_S = 2.0
"""Of the grace period: for closing connections and the embedded PostgreSQL after the drain."""


async def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    log_to_stderr()
    lists = promotion.load(overrides=settings.attribute_overrides)
    tokens = Tokens(settings)
    check_tls(settings)
    _allow_connections()
    listener = _listen(settings.bind, settings.max_waiting_connections)
    embedded: EmbeddedPostgres | None = None
    stop = _Stop(settings.shutdown_grace)
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
            await _end(embedded, stop.left_s() - _EXIT_S)
        listener.close()
        stop.ignore_signals()
    return 0


class _Stop(asyncio.Event):
    """Set by SIGTERM or SIGINT; knows what is left of the grace period."""

    def __init__(self, grace_s: float) -> None:
        super().__init__()
        self._grace_s, self._deadline = grace_s, 0.0
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self.set)

    def set(self) -> None:
        """Stop; a second signal gives no more time."""
        self._deadline = self._deadline or monotonic() + self._grace_s
        super().set()

    def left_s(self) -> float:
        """Seconds of the grace period that are left."""
        return self._deadline - monotonic() if self.is_set() else self._grace_s

    def ignore_signals(self) -> None:
        """From here on the process ends by itself: one more signal must not make a failure of it."""
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def _end(embedded: EmbeddedPostgres, within_s: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, within_s)):
            await embedded.stop()
    except TimeoutError:
        log.warning("PostgreSQL has not stopped in time: it is left alone, and the next start takes it over")


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
    stop: _Stop, settings: Settings, sidecar: Sidecar, app: Starlette, listener: socket.socket
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
    _give_memory_back()
    connection.use()
    asyncio.get_running_loop().set_exception_handler(_on_loop_error)
    server = asyncio.create_task(
        run_hypercorn(Unread(app), _hypercorn(listener, settings), shutdown_trigger=drained.wait)  # type: ignore[arg-type]
    )
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({server, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    await sidecar.stop(stop.left_s() - _RESERVE_S)
    drained.set()
    await asyncio.wait({server}, timeout=_CLOSE_S)
    server.cancel()
    with suppress(asyncio.CancelledError):
        await server


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A connection that is cut off at the end is no error; Python 3.11's streams report it as one."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _allow_connections() -> None:
    """Each connection is a file descriptor, and the usual limit of 1,024 is soft."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(bind: str, backlog: int) -> socket.socket:
    """A listening socket. Raises ConfigurationError where the address cannot be had."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    try:
        return socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=backlog
        )
    except OSError as error:
        raise ConfigurationError(f"--bind: bind: cannot listen on {bind}: {error.strerror or error}") from error


def _hypercorn(listener: socket.socket, settings: Settings) -> Config:
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    # Also for a header that trickles: the time begins with the connection, or with the last answer on it.
    config.keep_alive_timeout = settings.idle_timeout
    config.h11_max_incomplete_size = settings.max_header_bytes
    config.backlog = settings.max_waiting_connections
    # Chunks that are read before they are asked for: bytes that nobody counts.
    config.max_app_queue_size = 2
    config.include_server_header = False
    if settings.tls_certificate is not None:
        config.certfile, config.keyfile = str(settings.tls_certificate), str(settings.tls_key)
        # One request after the other on a connection, as without TLS: what senders do.
        config.alpn_protocols = ["http/1.1"]
        if settings.tls_client_ca is not None:
            config.ca_certs, config.verify_mode = str(settings.tls_client_ca), ssl.CERT_REQUIRED
    return config


def _calm_garbage_collector() -> None:
    """Rows and records live from decoding to commit and hold no cycles: looking for some in them is wasted.

    What is looked through at once is 200,000 objects at most, but for every hundredth time: a few milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 3, 100)


def _give_memory_back() -> None:
    """Have glibc return what large bodies took: by default a freed one raises its thresholds, and threads hoard."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, 1 << 20), (_M_TRIM_THRESHOLD, 1 << 24)):
            mallopt(option, value)
