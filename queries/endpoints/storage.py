"""What takes place: signals, tables, partitions, services and attributes."""

from starlette.responses import Response

from queries import answers_storage, params, sampling, storage
from queries.asking import Ask, Endpoint
from queries.pages import DEFAULT_LIMIT


async def show_storage(ask: Ask[params.StorageSearch]) -> Response:
    """How many bytes everything takes, by signal, table, partition, service and attribute, and how fast that grows."""
    asked = ask.given
    wanted, limit = asked.signal or params.SIGNALS, asked.limit or DEFAULT_LIMIT
    async with ask.database.reading(one_snapshot=True) as connection:
        found = await storage.measure(connection)
        services = await sampling.by_service(connection, found, wanted)
        costs = await sampling.costs(connection, found, wanted)
    budget = _budget_bytes(ask)
    content = answers_storage.Storage(
        found.bytes(),
        round(sum(map(found.bytes_per_day, storage.SIGNALS))),
        budget,
        storage.days_until(found, budget, lambda signal: getattr(ask.database.settings.retention, signal)),
        storage.signals(found, wanted),
        storage.tables(found, asked.signal or None)[:limit],
        storage.partitions(found, wanted)[:limit],
        services[:limit],
        sampling.keys(found, costs)[:limit],
    )
    return ask.answer(content)


def _budget_bytes(ask: Ask[params.StorageSearch]) -> int | None:
    """How large all of it may become, where that is said."""
    asked = ask.given.budget
    return ask.database.settings.retention.max_size if asked is None else asked


ENDPOINTS = (Endpoint("/storage", params.StorageSearch, answers_storage.Storage, show_storage),)
