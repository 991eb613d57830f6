"""Services: which there are, what they do, and which calls which."""

from functools import partial

from starlette.responses import Response

from queries import answers, answers_services, cursors, graph, operations, params, services
from queries.asking import Ask, Endpoint
from queries.minutes import window_of
from queries.pages import Request
from queries.params import MAX_LIMIT, Window, Windowed


async def list_services(ask: Ask[params.ServiceSearch]) -> Response:
    """Services by name: when each was last heard of, and how much it sent in the window."""
    window = _window("services", ask.given)
    found = await services.catalogue(ask.database, ask.given, window)
    return ask.part("services", found, window, partial(answers.ServiceList, adjusted=ask.given.adjusted))


async def list_operations(ask: Ask[params.OperationSearch]) -> Response:
    """The operations of a service, the most called first."""
    window = _window("operations", ask.given)
    service = ask.http.path_params["service"]
    found, complete = await operations.find(ask.database, service, ask.given, window)
    return ask.part(
        "operations",
        found,
        window,
        lambda part, **page: answers_services.OperationList(
            operations=part, complete=complete, adjusted=ask.given.adjusted, **page
        ),
    )


async def show_graph(ask: Ask[params.GraphSearch]) -> Response:
    """Services, and the calls and messages between them, the busiest first."""
    window = _window("graph", ask.given)
    nodes, edges, complete = await graph.find(ask.database, ask.given, window)
    return ask.part(
        "graph",
        edges,
        window,
        lambda part, **page: answers_services.Graph(
            nodes=nodes, edges=part, complete=complete, adjusted=ask.given.adjusted, **page
        ),
        limit=MAX_LIMIT,
    )


def _window(name: str, given: Windowed) -> Window:
    """The window of a list: every page has that of the first one."""
    return Request.of(name, given, window_of(given), cursors.BY_PLACE).window


ENDPOINTS = (
    Endpoint("/services", params.ServiceSearch, answers.ServiceList, list_services),
    Endpoint("/services/graph", params.GraphSearch, answers_services.Graph, show_graph),
    Endpoint(
        "/services/{service:path}/operations", params.OperationSearch, answers_services.OperationList, list_operations
    ),
)
