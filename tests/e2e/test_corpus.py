"""Public OTLP payloads, replayed over HTTP: each is answered as its expectation says, and comes back as it was sent.

They lie beside the checkout, in ../shared/corpus; none of them is part of the project.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from google.protobuf.message import DecodeError, Message

from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.e2e.in_process import JSON, PROTOBUF, forget_all, read_all
from tests.e2e.otlp_lenient import NotOfItsTypeError, request_from_json
from tests.e2e.otlp_records import difference, keep_first, records
from tests.e2e.otlp_strategy import REQUESTS
from tests.running import Server

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
SIGNALS = {"traces": SPANS, "logs": LOGS, "metrics": METRICS}
_REJECTED = ("rejectedSpans", "rejectedLogRecords", "rejectedDataPoints")

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="there is no ../shared/corpus beside the checkout")


@pytest.mark.parametrize("folder", SIGNALS)
def test_public_payloads_come_back(folder: str, server: Server) -> None:
    manifest = json.loads((CORPUS / "MANIFEST.json").read_text())
    files = [entry for entry in manifest["files"] if entry["signal"] == folder]
    assert files
    problems = asyncio.run(_replay(server, SIGNALS[folder], files))
    assert not problems, f"{len(problems)} of {len(files)}:\n" + "\n".join(problems)


async def _replay(server: Server, signal: str, files: list[dict[str, Any]]) -> list[str]:
    database = await asyncpg.connect(server.database_url)
    problems = []
    async with httpx.AsyncClient(base_url=server.url, timeout=60, verify=False) as client:
        for entry in files:
            problem = await _problem(client, signal, entry, (CORPUS / entry["file"]).read_bytes())
            if problem:
                problems.append(f"{entry['file']} ({entry['expectation']}; {', '.join(entry['flags'])}): {problem}")
            await forget_all(database)
    await database.close()
    return problems


async def _problem(client: httpx.AsyncClient, signal: str, entry: dict[str, Any], body: bytes) -> str:
    media_type = JSON if entry["encoding"] == "json" else PROTOBUF
    response = await client.post(PATHS[signal], content=body, headers={"content-type": media_type})
    said = f"{response.status_code} {response.content[:500]!r}"
    expectation, _, count = entry["expectation"].partition(":")
    if response.status_code not in {"400": (400,), "unclear": (200, 400)}.get(expectation, (200,)):
        return said
    if response.status_code == 400:
        return ""
    sent = REQUESTS[signal]()
    try:
        not_to_be_stored = _read_body(sent, body, media_type)
    except (NotOfItsTypeError, ValueError, DecodeError) as error:
        return f"the test cannot read it: {error!r}"
    if expectation != "unclear" and not_to_be_stored != int(count or 0):
        return f"the test finds {not_to_be_stored} that cannot be stored"
    # The expectations do not look for conflicts inside a body.
    stored, conflicts = keep_first(signal, records(sent))
    if _refused(response, media_type) != not_to_be_stored + conflicts:
        return said
    return difference(stored, records(await read_all(client, signal)))


def _read_body(sent: Message, body: bytes, media_type: str) -> int:
    if media_type == JSON:
        return request_from_json(sent, body)
    sent.ParseFromString(body)
    return 0


def _refused(response: httpx.Response, media_type: str) -> int:
    if media_type == PROTOBUF:
        assert response.content == b"", response.content
        return 0
    partial = response.json().get("partialSuccess", {})
    return sum(int(partial.get(name, 0)) for name in _REJECTED)
