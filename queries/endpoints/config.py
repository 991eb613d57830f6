"""The configuration: what is in force."""

from starlette.responses import Response

from queries import answers_config, params
from queries.asking import Ask, Endpoint


async def show_configuration(ask: Ask[params.ConfigSearch]) -> Response:
    """What is in force and since when: attribute lists, the state of the overrides file, settings without secrets."""
    return ask.answer(ask.host.configuration())


ENDPOINTS = (Endpoint("/config", params.ConfigSearch, answers_config.Configuration, show_configuration),)
