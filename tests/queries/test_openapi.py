"""Everything that can be asked is described, nothing else is, and the examples are ones that can be typed."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
import schemathesis

from queries import descriptions, filters, openapi, params
from queries.asking import Endpoint
from queries.descriptions import Described
from queries.errors import QueryError
from queries.routes import ENDPOINTS
from tests.running import Server

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi.document(ENDPOINTS)))
OPERATIONS: dict[str, dict[str, Any]] = {path: found["get"] for path, found in DOCUMENT["paths"].items()}
BY_PATH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)


def names_of(endpoint: Endpoint) -> list[str]:
    """The names of all parameters of an endpoint."""
    return list(dict.fromkeys([*openapi.path_parameters(endpoint.path), *params.fields(endpoint.search)]))


@pytest.mark.parametrize(
    ("words", "described"),
    [
        ({name for endpoint in ENDPOINTS for name in names_of(endpoint)}, descriptions.PARAMETERS),
        ({prefix for endpoint in ENDPOINTS for prefix in params.prefixes(endpoint.search)}, descriptions.FILTERS),
        ({form for endpoint in ENDPOINTS for form in params.formats_of(endpoint.search)}, descriptions.FORMS),
        (set(filters.OPERATORS), descriptions.OPERATORS),
    ],
    ids=["parameters", "filters", "forms", "operators"],
)
def test_every_word_is_described_and_nothing_else(words: set[str], described: Mapping[str, Described]) -> None:
    assert words == set(described), f"queries/descriptions.py: {sorted(words ^ set(described))}"
    assert all(told.text and told.example for told in described.values())


def codes(kind: type[QueryError]) -> Iterator[str]:
    """The codes of an error and of those that are more special."""
    yield kind.code
    for special in kind.__subclasses__():
        yield from codes(special)


def test_every_code_of_an_error_is_described() -> None:
    assert set(codes(QueryError)) <= set(descriptions.ERRORS)


@BY_PATH
def test_an_endpoint_is_described(endpoint: Endpoint) -> None:
    operation = OPERATIONS[openapi.plain(endpoint.path)]
    assert operation["summary"].endswith(".")
    assert operation["deprecated"] == endpoint.deprecated
    described = {parameter["name"]: parameter for parameter in operation["parameters"]}
    free = ["filters"] if params.prefixes(endpoint.search) else []
    assert list(described) == [*names_of(endpoint), *free]
    assert all(parameter["description"] for parameter in described.values())


@BY_PATH
def test_examples_can_be_typed(endpoint: Endpoint) -> None:
    for parameter in OPERATIONS[openapi.plain(endpoint.path)]["parameters"]:
        name, example = parameter["name"], parameter["example"]
        if name == "filters":
            params.read(endpoint.search, example.items())
        elif parameter["in"] == "query":
            params.read(
                endpoint.search, [(name, str(one)) for one in (example if isinstance(example, list) else [example])]
            )


def test_examples_of_filters_and_operators_use_them() -> None:
    for prefix, told in descriptions.FILTERS.items():
        assert told.example.startswith(f"{prefix}.")
    for operator, told in descriptions.OPERATORS.items():
        name, _, value = told.example.partition("=")
        read = filters.parse(name, value)
        assert (name.endswith(f"{read.key}__{operator}"), read.operator) in ((True, operator), (operator == "in", "eq"))


def test_operations_have_names_of_their_own() -> None:
    assert len(OPERATIONS) == len(ENDPOINTS) == len({operation["operationId"] for operation in OPERATIONS.values()})


def test_a_path_that_takes_slashes_is_plain() -> None:
    assert "/attributes/{key}/values" in OPERATIONS


def test_the_document_is_valid() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    with pytest.raises(Exception, match="is not of type"):
        schemathesis.openapi.from_dict(DOCUMENT | {"servers": "/api"}).validate()


def test_integers_have_64_bits() -> None:
    trace = DOCUMENT["components"]["schemas"]["Trace"]["properties"]
    assert trace["start_time_unix_nano"] == {"type": "integer", "format": "int64"}


def test_the_points_of_a_line_are_described() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    points = schemas["Line"]["properties"]["data_points"]["items"]["anyOf"]
    names = [point["$ref"].rpartition("/")[2] for point in points]
    assert {"NumberPoint", "HistogramPoint", "ExponentialPoint", "SummaryPoint", "Value"} <= set(names) <= set(schemas)


def test_the_server_describes_itself(shared: Server) -> None:
    for prefix in ("/api", "/api/v2"):
        answer = shared.get(f"{prefix}/openapi.json")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json() == DOCUMENT
    assert shared.get("/api/openapi.json", format="text").status_code == 400
