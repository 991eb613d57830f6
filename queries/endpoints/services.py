"""Services: which there are."""

from starlette.responses import Response

from queries import answers, params, services
from queries.asking import Ask, Endpoint


async def list_services(ask: Ask[params.ServiceSearch]) -> Response:
    """Services by name: when each was last heard of, and how much it sent in the window."""
    window = ask.given.window()
    found = await services.catalogue(ask.database, ask.given, window)
    return ask.part("services", found, window, answers.ServiceList)


ENDPOINTS = (Endpoint("/services", params.ServiceSearch, answers.ServiceList, list_services),)
