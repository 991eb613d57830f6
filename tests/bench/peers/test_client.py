"""Spans count as acknowledged only where the answer takes them; what may be sent again is, twice, after the others."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
import respx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bench.peers import client
from bench.peers.client import Body, Sending, send

URL = "http://127.0.0.1:4318"
PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries."""
    monkeypatch.setattr(client, "_PAUSE_S", 0.0)


def sent(
    answer: Callable[[httpx.Request], httpx.Response], *spans: int, within_s: float = 60.0
) -> tuple[Sending, list[bytes]]:
    """What the client says of bodies with so many spans, and the bodies that arrived."""
    bodies = [Body(str(number).encode(), count) for number, count in enumerate(spans)]
    with respx.mock(assert_all_called=False) as mock:
        route = mock.post(f"{URL}/v1/traces", headers={"x-tenant": "a"}, name="traces").mock(side_effect=answer)
        sending = asyncio.run(send(URL, {"x-tenant": "a"}, bodies, within_s))
        arrived = [call.request.content for call in route.calls]
    return sending, arrived


def test_all_are_taken() -> None:
    sending, arrived = sent(lambda _: httpx.Response(200), 10, 20)
    assert (sending.spans, sending.acknowledged, sending.refused.total()) == (30, 30, 0)
    assert sending.ended >= sending.began
    assert arrived == [b"0", b"1"]


def test_partial_success_is_subtracted() -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 3
    response.partial_success.error_message = "too old"
    sending, _ = sent(lambda _: httpx.Response(200, headers=PROTOBUF, content=response.SerializeToString()), 10)
    assert sending.acknowledged == 7
    assert sending.refused == {"200: too old": 3}


def test_busy_is_tried_again_after_the_others() -> None:
    answers = iter([503, 200, 200])
    sending, arrived = sent(lambda _: httpx.Response(next(answers)), 10, 20)
    assert (sending.acknowledged, sending.refused.total()) == (30, 0)
    assert arrived == [b"0", b"1", b"0"]


def test_what_is_never_taken_is_refused_after_three_tries() -> None:
    sending, arrived = sent(lambda _: httpx.Response(503, text="duplicate\x00 key"), 10)
    assert (sending.spans, sending.acknowledged, len(arrived)) == (10, 0, 3)
    assert sending.refused == {"503: duplicate key": 10}


def test_what_may_not_be_sent_again_is_not() -> None:
    sending, arrived = sent(lambda _: httpx.Response(422, text="no"), 10)
    assert (sending.refused, len(arrived)) == ({"422: no": 10}, 1)


def test_no_answer_is_no_acknowledgement() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too long", request=request)

    sending, arrived = sent(fail, 10)
    assert (sending.refused, len(arrived)) == ({"no answer: ReadTimeout": 10}, 1)


def test_nothing_is_begun_after_its_time() -> None:
    sending, arrived = sent(lambda _: httpx.Response(200), 10, 20, within_s=-1.0)
    assert (sending.spans, sending.acknowledged, arrived) == (0, 0, [])
