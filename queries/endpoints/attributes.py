"""Attributes: which there are, and their values."""

from collections.abc import Sequence
from functools import partial

from starlette.responses import Response

from queries import advice, answers_attributes, attributes, params, sampling, storage
from queries.asking import Ask, Endpoint
from queries.database import Connection
from queries.filtered import Key, Use, key_of


async def list_attributes(ask: Ask[params.AttributeSearch]) -> Response:
    """Attributes by signal and key: their types, which are promoted, what they cost and how often they were filtered
    on; and what to promote or drop."""
    asked, promoted = ask.given, ask.host.promoted()
    window, places = asked.window(None), attributes.places(asked)
    async with ask.database.reading() as connection:
        found = [
            attribute
            for place in places
            for attribute in await attributes.catalogue(connection, place, asked, window, promoted[place.signal])
        ]
        stored = await storage.measure(connection)
        costs = await sampling.costs(connection, stored, [place.signal for place in places])
        uses = await _weigh(ask, connection, found, costs)
    # What is dropped by now is there until retention takes it: nothing is left to be done about it.
    dropped = ask.host.dropped
    asked_for = [each for each in found if not dropped(each.signal, each.key)]
    kept = {place: cost for place, cost in costs.items() if not dropped(*place)}
    content = partial(
        answers_attributes.AttributeList,
        sampled=any(place.newest for place in places),
        suggestions=advice.suggest(asked_for, kept, uses, stored, promoted),
    )
    return ask.part("attributes", found, window, content)


async def _weigh(
    ask: Ask[params.AttributeSearch],
    connection: Connection,
    found: Sequence[answers_attributes.Attribute],
    costs: sampling.Costs,
) -> dict[Key, Use]:
    """Tell of each attribute what it costs and how often it was filtered on; returns the latter of all that cost."""
    keys = {(attribute.signal, attribute.key) for attribute in found} | costs.keys()
    uses = await ask.host.filtered.of(connection, [key_of(*key) for key in keys])
    for attribute in found:
        cost = costs.get((attribute.signal, attribute.key))
        use = uses.get(key_of(attribute.signal, attribute.key), Use())
        attribute.bytes = None if cost is None else round(cost.bytes)
        attribute.filtered, attribute.filter_seconds = use.filters, round(use.seconds, 6)
    return uses


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
