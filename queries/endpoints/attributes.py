"""Attributes: which there are, and their values."""

from functools import partial

from starlette.responses import Response

from queries import answers_attributes, attributes, params
from queries.asking import Ask, Endpoint


async def list_attributes(ask: Ask[params.AttributeSearch]) -> Response:
    """Attributes by signal and key: their types, and which are promoted."""
    asked, promoted = ask.given, ask.promoted()
    window, places = asked.window(None), attributes.places(asked)
    async with ask.database.reading() as connection:
        found = [
            attribute
            for place in places
            for attribute in await attributes.catalogue(connection, place, asked, window, promoted[place.signal])
        ]
    sampled = any(place.newest for place in places)
    return ask.part("attributes", found, window, partial(answers_attributes.AttributeList, sampled=sampled))


async def list_values(ask: Ask[params.AttributeValueSearch]) -> Response:
    """The values of an attribute, the most frequent first."""
    key, window = ask.http.path_params["key"], ask.given.window(None)
    async with ask.database.reading() as connection:
        signal, found = await attributes.values(connection, key, ask.given, window)
    relation = "eq" if len(found.values) < attributes.MOST_VALUES else "gte"
    sampled = found.counted == attributes.RECORDS
    content = partial(
        answers_attributes.AttributeValues, key=key, signal=signal, counted=found.counted, sampled=sampled
    )
    return ask.part("values", found.values, window, content, relation)


ENDPOINTS = (
    Endpoint("/attributes", params.AttributeSearch, answers_attributes.AttributeList, list_attributes),
    Endpoint(
        "/attributes/{key:path}/values", params.AttributeValueSearch, answers_attributes.AttributeValues, list_values
    ),
)
