"""Tokens, origins and certificates: who is let in, and what the others are told."""

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from exporter.access import TokenFile
from exporter.errors import ConfigurationError
from tests.exporter.asking import JSON, NOWHERE, PROTOBUF, Postel, own_database, postel
from tests.exporter.sending import span, spans
from tests.running import Server, serving

SEND, READ = "send-1", "read-1"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    for name, tokens in (("ingest", f"send-0\n{SEND}\n"), ("read", READ)):
        (tmp_path / name).write_text(tokens)
    return {"INGEST_TOKEN_FILE": str(tmp_path / "ingest"), "READ_TOKEN_FILE": str(tmp_path / "read")}


async def sends(server: Postel, headers: dict[str, str], media_type: str = PROTOBUF) -> httpx.Response:
    return await server.client.post(
        "/v1/traces", content=b"{}" if media_type == JSON else b"", headers={"content-type": media_type, **headers}
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer("send"), 401),
        (bearer("send-1 "), 503),
        (bearer(""), 401),
        ({"authorization": SEND}, 401),
        ({"authorization": f"Basic {SEND}"}, 401),
        ({"authorization": f"bearer {SEND}"}, 503),
        (bearer("send-0"), 503),
        (bearer(READ), 403),
        (bearer("\u00e9"), 401),
    ],
)
def test_only_a_token_to_send_with_lets_in(settings: dict[str, str], headers: dict[str, str], status: int) -> None:
    """503: let in, to where there is no database."""

    async def session() -> None:
        async with postel(NOWHERE, settings, ready=False) as server:
            sent = [(b"content-type", PROTOBUF.encode()), *((b"authorization", v.encode()) for v in headers.values())]
            answer = await server.client.post("/v1/traces", content=b"", headers=sent)
            assert answer.status_code == status
            assert answer.headers["content-type"] == PROTOBUF
            message = Status.FromString(answer.content)
            assert message.code == {401: 16, 403: 7, 503: 14}[status]
            assert ("www-authenticate" in answer.headers) == (status == 401)
            for token in (SEND, READ):
                assert token not in message.message

    asyncio.run(session())


def test_reading_has_tokens_of_its_own_and_probes_need_none(settings: dict[str, str]) -> None:
    async def session() -> None:
        async with postel(NOWHERE, settings, ready=False) as server:
            for path in ("/", "/api/services", "/nothing"):
                missing = await server.client.get(path)
                assert (missing.status_code, missing.json()["error"]["code"]) == (401, "unauthenticated")
                assert (await server.client.get(path, headers=bearer(SEND))).status_code == 403
                assert (await server.client.get(path, headers=bearer(READ))).status_code in (200, 404, 503)
            for path, status in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200)):
                assert (await server.client.get(path)).status_code == status

    asyncio.run(session())


def replace(file: Path, text: str | None) -> None:
    """Put another file in its place, or none."""
    if text is None:
        file.unlink()
        return
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def test_tokens_rotate_while_the_server_runs(settings: dict[str, str]) -> None:
    file = Path(settings["INGEST_TOKEN_FILE"])

    async def session() -> None:
        async with postel(NOWHERE, settings, ready=False) as server:
            assert (await sends(server, bearer("send-2"), JSON)).status_code == 401
            replace(file, f"{SEND}\nsend-2\n")
            assert [(await sends(server, bearer(token))).status_code for token in (SEND, "send-2")] == [503, 503]
            replace(file, "send-2\n")
            await asyncio.sleep(1.1)
            assert [(await sends(server, bearer(token))).status_code for token in (SEND, "send-2")] == [401, 503]
            # What cannot be read, or holds nothing, is a mistake: nobody is locked out for it.
            for nothing in ("\n", None):
                replace(file, nothing)
                await asyncio.sleep(1.1)
                assert (await sends(server, bearer("send-2"))).status_code == 503
                assert (await sends(server, bearer(SEND))).status_code == 401

    asyncio.run(session())


@pytest.mark.parametrize("text", [None, "", "\n \n"])
def test_a_token_file_of_no_use_is_a_configuration_error(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=f"ingest_token_file: {file}: "):
        TokenFile("ingest_token_file", file)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"INGEST_TOKEN_FILE": "nothing"}, "ingest_token_file: nothing: No such file or directory"),
        ({"READ_TOKEN_FILE": "/dev/null"}, "read_token_file: /dev/null: holds no token: one a line"),
        ({"TLS_CERTIFICATE": "nothing", "TLS_KEY": __file__}, "tls_certificate: nothing: No such file or directory"),
        ({"TLS_CERTIFICATE": __file__, "TLS_KEY": __file__}, f"tls_certificate, tls_key: {__file__}, {__file__}: no"),
    ],
)
@pytest.mark.parametrize("command", [("check-config",), ("serve", "--bind", "127.0.0.1:0", "--database-url", NOWHERE)])
def test_files_of_no_use_are_named_before_anything_starts(
    command: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    environment = {f"POSTEL_{name}": text for name, text in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "exporter", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_pages_of_the_named_origins_may_send() -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-team"}

    async def session(origins: str | None, origin: str) -> httpx.Response:
        settings = {} if origins is None else {"CORS_ORIGINS": origins}
        async with postel(NOWHERE, settings, ready=False) as server:
            return await server.client.options("/v1/traces", headers={"origin": origin, **asks})

    shop, admin, other = "https://shop.example", "http://localhost:8080", "https://other.example"
    for origin in (shop, admin):
        allowed = asyncio.run(session(f"{shop}, {admin}", origin))
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == origin
        assert "x-team" in allowed.headers["access-control-allow-headers"]
    assert asyncio.run(session("*", other)).headers["access-control-allow-origin"] == "*"
    assert asyncio.run(session(shop, other)).status_code == 400
    off = asyncio.run(session(None, shop))
    assert off.status_code == 405
    assert "access-control-allow-origin" not in off.headers


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.pem), and a certificate with its key for the server and for a client."""
    folder = tmp_path_factory.mktemp("certificates")
    try:
        openssl(folder, "version")
    except FileNotFoundError:
        pytest.skip("openssl is not installed: it makes the certificates of this test")
    make = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl(folder, *make, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    for name in ("server", "client"):
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        openssl(folder, *make, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", *signed)
    return folder


@pytest.fixture(scope="module")
def server(server_url: str, template: str, certificates: Path) -> Iterator[Server]:
    tls = {"TLS_CERTIFICATE": "server.pem", "TLS_KEY": "server.key", "TLS_CLIENT_CA": "ca.pem"}
    settings = {name: str(certificates / file) for name, file in tls.items()}
    with own_database(server_url, template) as url, serving(url, settings, ready=False) as running:
        yield running


def test_only_a_client_with_a_certificate_is_served(server: Server, certificates: Path) -> None:
    assert server.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=certificates / "ca.pem")
    with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
        httpx.get(f"{server.url}/healthz", verify=trusting)
    trusting.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    with httpx.Client(verify=trusting) as client:
        deadline = time.monotonic() + 30
        while (answer := client.get(f"{server.url}/readyz")).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.05)
        _, body = spans(span(1, 1))
        answer = client.post(f"{server.url}/v1/traces", content=body, headers={"content-type": PROTOBUF})
        assert (answer.status_code, answer.content) == (200, b"")
        assert len(client.get(f"{server.url}/api/spans?since=3650d").json()["spans"]) == 1
