"""The one client of all peers: what a sender does that follows OTLP, and a count of what was acknowledged."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import httpx
from google.protobuf.message import DecodeError
from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

CONNECTIONS = 8
_RETRYABLE = (429, 502, 503, 504)
"""Source: https://opentelemetry.io/docs/specs/otlp/#failures-1"""
_TRIES = 3
_PAUSE_S = 1.0
_ANSWER_S = 60.0
_REASON_LENGTH = 200


class Body(Struct, frozen=True):
    """One gzip'd protobuf request and how many spans are in it."""

    data: bytes
    spans: int


class Sending(Struct):
    """What became of some bodies; times are monotonic seconds."""

    began: float
    ended: float
    """When the last acknowledgement came."""
    spans: int = 0
    acknowledged: int = 0
    refused: Counter[str] = Counter()
    """Answer -> spans that it refused for good."""
    cpu_s: float = 0.0


async def send(url: str, headers: Mapping[str, str], bodies: Sequence[Body], within_s: float) -> Sending:
    """POST the bodies to `url`/v1/traces over eight connections; after `within_s` none is begun any more.

    What may be sent again is, twice, after all others: so a body that is never taken keeps none of them waiting.
    Spans are acknowledged where the answer is 200 and does not reject them.
    """
    began, cpu_s = time.monotonic(), time.process_time()
    sending = Sending(began, began, refused=Counter())
    sent = {"content-type": "application/x-protobuf", "content-encoding": "gzip", **headers}
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=url, headers=sent, timeout=_ANSWER_S, limits=limits, verify=False, trust_env=False
    ) as client:
        again: list[tuple[Body, str]] = [(body, "") for body in bodies]
        for number in range(_TRIES):
            waiting, again = [body for body, _ in again], []
            if number and waiting:
                await asyncio.sleep(_PAUSE_S * number)
            async with asyncio.TaskGroup() as group:
                shared = iter(waiting)
                for _ in range(min(CONNECTIONS, len(waiting))):
                    group.create_task(_send(client, shared, began + within_s, sending, again))
        for body, reason in again:
            sending.refused[reason] += body.spans
    sending.spans = sending.acknowledged + sending.refused.total()
    sending.cpu_s = time.process_time() - cpu_s
    return sending


async def _send(
    client: httpx.AsyncClient,
    waiting: Iterator[Body],
    deadline: float,
    sending: Sending,
    again: list[tuple[Body, str]],
) -> None:
    for body in waiting:
        if time.monotonic() > deadline:
            return
        rejected, reason, may_come_again = await _post(client, body)
        if rejected < body.spans:
            sending.acknowledged += body.spans - rejected
            sending.ended = time.monotonic()
        if may_come_again:
            again.append((body, reason))
        elif rejected:
            sending.refused[reason] += rejected


async def _post(client: httpx.AsyncClient, body: Body) -> tuple[int, str, bool]:
    """How many spans were not taken, why, and whether the same body may be sent again."""
    try:
        answer = await client.post("/v1/traces", content=body.data)
    except httpx.HTTPError as error:
        return body.spans, f"no answer: {type(error).__name__}", False
    if answer.status_code == 200:
        return *_rejected(answer), False
    return body.spans, f"{answer.status_code}: {_text(answer)}", answer.status_code in _RETRYABLE


def _rejected(answer: httpx.Response) -> tuple[int, str]:
    if "protobuf" not in answer.headers.get("content-type", ""):
        return 0, ""
    try:
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    except DecodeError:
        return 0, ""
    return partial.rejected_spans, f"200: {partial.error_message[:_REASON_LENGTH]}"


def _text(answer: httpx.Response) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in answer.text)
    return " ".join(printable.split())[:_REASON_LENGTH]
