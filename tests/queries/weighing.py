"""A database that is loaded for the tests of what things take, and what was sent to it."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from msgspec import Struct

from exporter.otlp.http import PATHS
from exporter.shop import Request, Shop
from tests.exporter.asking import Asker, asker, execute
from tests.exporter.sending import log, logs, span, spans

HEAVY, HEAVY_RECORDS = "debug.payload", 3_000
"""A key with a value of 1 KiB on each span of the service that is called so."""
ASKED = "cart.token"
"""A key of these spans that nothing promotes."""
_COUNTED = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}


class Loaded(Struct):
    """An application on the database, and how many records of each kind every service sent."""

    asker: Asker
    url: str
    sent: dict[str, Counter[str]]


@contextmanager
def loaded(url: str) -> Iterator[Loaded]:
    """The shop's telemetry of some minutes, and the heavy spans, with statistics as autovacuum makes them."""
    sent: dict[str, Counter[str]] = {"traces": Counter(), "logs": Counter(), "metrics": Counter()}
    shop = Shop(1, start_unix_nano=time.time_ns() - 1_800_000_000_000, pods=2)
    with asker(url) as found:
        for signal, bodies in (("traces", 12), ("logs", 6), ("metrics", 12)):
            for request in islice(getattr(shop, signal)(1_000), bodies):
                _count(sent[signal], signal, request)
                assert found.post(f"/v1/{signal}", request.SerializeToString()).status_code == 200
        for body in _heavy(random.Random(1)):
            assert found.post(PATHS[body[0]], body[1]).status_code == 200
        sent["traces"]["heavy"] += HEAVY_RECORDS
        found.run(execute(url, "VACUUM ANALYZE"))
        yield Loaded(found, url, sent)


def _count(sent: Counter[str], signal: str, request: Request) -> None:
    if signal == "metrics":
        for resource in request.resource_metrics:  # type: ignore[union-attr]
            name = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    sent[name] += len(getattr(metric, str(metric.WhichOneof("data"))).data_points)
        return
    resources, scopes, records = _COUNTED[signal]
    for resource in getattr(request, resources):
        name = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
        sent[name] += sum(len(getattr(scope, records)) for scope in getattr(resource, scopes))


def _heavy(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Bodies of heavy spans; the values do not compress."""
    at = time.time_ns() - 600_000_000_000
    for begin in range(0, HEAVY_RECORDS, 500):
        yield spans(
            *(
                span(
                    number + 1, 1, at + number, {HEAVY: rng.randbytes(512).hex(), ASKED: f"t-{number}", "n": number % 3}
                )
                for number in range(begin, begin + 500)
            ),
            resource={"service.name": "heavy"},
        )
    yield logs(log("one", at), resource={"service.name": "heavy", "service.namespace": "other"})
