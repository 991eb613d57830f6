"""What the server answers is what its OpenAPI description says, whatever is asked: schemathesis asks."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from queries import formats, openapi, params
from queries.asking import Endpoint
from queries.routes import ENDPOINTS
from tests.queries import samples
from tests.queries.sending import ago, send_spans, span
from tests.running import Server

ENDING = [endpoint for endpoint in ENDPOINTS if params.JSON in params.formats_of(endpoint.search)]
"""Endpoints whose answers come to an end."""
PATHS = [openapi.plain(endpoint.path) for endpoint in ENDING]
HOLDS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
PLACES = {
    "trace_id": samples.TRACE.hex(),
    "span_id": (b"\x80" * 8).hex(),
    "key": "text",
    "name": "gauge",
    "service": "shop",
}
"""What stands in a path for there to be something to be found."""
NEEDED = {"/metrics/labels": {"name": "gauge"}}
"""What has to be asked for."""
AGGREGATED = {"name": "gauge", "aggregation": "max", "group_by": "n", "start_time": "now-1h"}
TOGETHER = ("start_time", "end_time", "since", "offset", "cursor")
ALSO_TOGETHER = {
    "/attributes": ("service",),
    "/attributes/{key}/values": ("service",),
    "/metrics/series": ("aggregation", "group_by", "step", "format", "name"),
}
"""What may be wrong though each parameter is well-formed: an empty window, no cursor, what goes not together."""
ASKED = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def described(shared: Server) -> Any:
    """The description that the server gives of itself."""
    for signal, request in (("traces", samples.spans), ("logs", samples.logs), ("metrics", samples.metrics)):
        assert shared.post(signal, request("shop").SerializeToString()).status_code == 200
    # A call, of the span that has everything.
    send_spans(shared, "cart", [span(7, ago(0), trace=samples.TRACE, parent=(1 << 64) - 1)])
    return schemathesis.openapi.from_dict(shared.get("/api/openapi.json").json())


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all requests."""
    with requests.Session() as found:
        yield found


def places(path: str) -> dict[str, str]:
    """What stands for the parameters of a path."""
    return {name: PLACES[name] for name in openapi.path_parameters(path)}


@pytest.mark.parametrize("path", PATHS)
def test_what_is_described_is_taken(described: Any, shared: Server, session: requests.Session, path: str) -> None:
    operation = described[path]["GET"]

    @ASKED
    @given(case=operation.as_strategy(path_parameters=places(path), query=NEEDED.get(path)))
    def ask(case: Any) -> None:
        answer = case.call(f"{shared.url}/api", session)
        case.validate_response(answer, HOLDS)
        if answer.status_code == 400:
            assert answer.json()["error"]["parameter"] in (*TOGETHER, *ALSO_TOGETHER.get(path, ())), answer.json()

    ask()


@pytest.mark.parametrize("path", PATHS)
def test_what_is_not_described_is_refused(described: Any, shared: Server, session: requests.Session, path: str) -> None:
    operation = described[path]["GET"]

    @ASKED
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask(case: Any) -> None:
        answer = case.call(f"{shared.url}/api", session)
        case.validate_response(answer, [*HOLDS, checks.negative_data_rejection])

    ask()


@pytest.mark.parametrize("endpoint", ENDING, ids=lambda endpoint: endpoint.path)
def test_what_is_found_is_as_described(
    described: Any, shared: Server, session: requests.Session, endpoint: Endpoint
) -> None:
    path = openapi.plain(endpoint.path)
    everything = {"start_time": "0"} if "start_time" in params.fields(endpoint.search) else {}
    found = described[path]["GET"].Case
    for form in params.formats_of(endpoint.search):
        case = found(path_parameters=places(path), query={"format": form} | everything | NEEDED.get(path, {}))
        for media_type in (formats.media_type(form), "*/*"):
            answer = case.call_and_validate(f"{shared.url}/api", session, {"accept": media_type}, checks=HOLDS)
            assert answer.status_code == 200 and answer.content
            if form == params.JSON and hasattr(endpoint.content, "records"):
                assert has_records(answer.json())


def has_records(answer: dict[str, Any]) -> bool:
    """Whether there is anything in one of an answer's lists."""
    return any(found and isinstance(found, list) for found in answer.values())


def test_aggregations_are_as_described(described: Any, shared: Server, session: requests.Session) -> None:
    case = described["/metrics/series"]["GET"].Case(query=AGGREGATED)
    answer = case.call_and_validate(f"{shared.url}/api", session, checks=HOLDS)
    assert has_records(answer.json()["series"][0])
