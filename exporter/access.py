"""Who may send and who may read: bearer tokens from files, and the certificates of TLS.

Source: RFC 6750 (bearer tokens).
"""

import hmac
import logging
import ssl
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from time import monotonic

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.errors import ConfigurationError, Forbidden, PostelError, Unauthenticated
from exporter.settings import Settings
from exporter.stamps import Stamp, stamp

log = logging.getLogger("postel")
_LOOK_S = 1.0
"""How often a token file is looked at; a token that is not known has it looked at once more."""
_OPEN = ("/healthz", "/readyz", "/metrics")
"""What probes and scrapers ask, who often cannot bring a token; none of it says what was stored."""


class TokenFile:
    """The tokens of a file, one a line, several during a rotation; read again when the file changes.

    A file that cannot be read or holds no token, later on, leaves those in force that were read last.
    """

    def __init__(self, key: str, path: Path) -> None:
        self._key, self._path = key, path
        self._digests: tuple[bytes, ...] = ()
        self._seen: Stamp | None = None
        self._looked = 0.0
        self._spoilt = False
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{key}: {path}: {getattr(error, 'strerror', None) or error}") from None

    def holds(self, token: str) -> bool:
        """Whether a token is one of the file's, in a time that does not tell how much of it is right."""
        if monotonic() - self._looked > _LOOK_S:
            self._look()
        return self._is_known(token) or (self._look() and self._is_known(token))

    def _is_known(self, token: str) -> bool:
        digest = sha256(token.encode(errors="surrogateescape")).digest()
        # All of them, whichever it is.
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0

    def _look(self) -> bool:
        """Read the file again if it is another one now; whether it was."""
        self._looked = monotonic()
        try:
            if stamp(self._path) == self._seen:
                return False
            self._read()
        except (OSError, ValueError) as error:
            if not self._spoilt:
                # Once: everybody who brings a wrong token has the file looked at.
                log.warning("%s: the tokens read last stay in force: %s", self._key, type(error).__name__)
            self._spoilt = True
            return False
        self._spoilt = False
        log.info("%s: read again", self._key)
        return True

    def _read(self) -> None:
        seen = stamp(self._path)
        tokens = [line.strip() for line in self._path.read_text().splitlines() if line.strip()]
        if not tokens:
            raise ValueError("holds no token: one a line")
        self._seen, self._digests = seen, tuple(sha256(token.encode()).digest() for token in tokens)


class Tokens:
    """The tokens to send with and those to read with. Raises ConfigurationError where a file is of no use."""

    def __init__(self, settings: Settings) -> None:
        self._sending = _tokens("ingest_token_file", settings.ingest_token_file)
        self._reading = _tokens("read_token_file", settings.read_token_file)

    def problem(self, path: str, authorization: str) -> PostelError | None:
        """Why a request with this header may not ask for this path; None where it may."""
        sends = path.startswith("/v1/")
        mine, other = (self._sending, self._reading) if sends else (self._reading, self._sending)
        if mine is None or path in _OPEN:
            return None
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return Unauthenticated("Authorization: Bearer TOKEN is needed")
        if mine.holds(token):
            return None
        if other is not None and other.holds(token):
            return Forbidden("the token is not for this: sending and reading have tokens of their own")
        return Unauthenticated("the token is not known")


def _tokens(key: str, path: Path | None) -> TokenFile | None:
    return None if path is None else TokenFile(key, path)


def check_tls(settings: Settings) -> None:
    """Raises ConfigurationError where the certificates, which the server reads when it starts, are of no use."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for key, path in (("tls_certificate", settings.tls_certificate), ("tls_key", settings.tls_key)):
        _readable(key, path)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except ssl.SSLError:
        pair = f"{settings.tls_certificate}, {settings.tls_key}"
        raise ConfigurationError(f"tls_certificate, tls_key: {pair}: no certificate with its key, in PEM") from None
    if settings.tls_client_ca is not None:
        _readable("tls_client_ca", settings.tls_client_ca)
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except ssl.SSLError:
            raise ConfigurationError(f"tls_client_ca: {settings.tls_client_ca}: no certificates in PEM") from None


def _readable(key: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{key}: {path}: {error.strerror}") from None


class Access:
    """ASGI middleware that lets in only who brings the right token; `refuse` makes the answer for all others."""

    def __init__(self, app: ASGIApp, tokens: Tokens, refuse: Callable[[Request, PostelError], Response]) -> None:
        self._app, self._tokens, self._refuse = app, tokens, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        app = self._app
        if scope["type"] == "http":
            request = Request(scope)
            error = self._tokens.problem(scope["path"], request.headers.get("authorization", ""))
            if error is not None:
                app = self._refuse(request, error)
        await app(scope, receive, send)
