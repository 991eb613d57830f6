"""What the API answers about what services do, one typed struct a shape, as in answers.py."""

from typing import ClassVar

from msgspec import Struct

from queries.answers import Count, Name, WindowedPage


class Calls(Struct, kw_only=True):
    """How many there were, per second of the window too, how many failed, and how long so many of a hundred took at
    most: 4.4 % off at most. With `adjusted` a span counts for as many as it stands for, in each of them."""

    calls: Count
    rate: float
    errors: Count
    error_share: float
    p50_nanos: int
    p95_nanos: int
    p99_nanos: int


class Operation(Calls):
    """The spans of one name and kind."""

    name: str
    kind: Name


class OperationList(WindowedPage, kw_only=True):
    """GET /api/services/{service}/operations; `complete` false tells that not all spans could be counted in time: the
    latest of some minutes are missing."""

    records: ClassVar[str] = "operations"
    operations: list[Operation]
    complete: bool
    adjusted: bool


class Node(Struct):
    """A service with its spans in the window; the count is null where it would take too long."""

    service_name: str
    service_namespace: str | None
    span_count: Count | None


class Edge(Calls):
    """Calls (`kind` "call") or messages ("message") from one service to another: the errors and durations are those of
    the server's or consumer's spans."""

    client_service_name: str
    client_service_namespace: str | None
    server_service_name: str
    server_service_namespace: str | None
    kind: str


class Graph(WindowedPage, kw_only=True):
    """GET /api/services/graph; `complete` as in OperationList."""

    records: ClassVar[str] = "edges"
    nodes: list[Node]
    edges: list[Edge]
    complete: bool
    adjusted: bool
