"""Which key is to blame: one among ten innocent ones is named, a hundred thousand names do not blow up /metrics."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.blame import MOST_NAMES, OTHER, WINDOW, Heaviest, NewRows, name_of
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.telemetry import GAUGE, Telemetry
from tests.exporter.asking import Postel, postel
from tests.exporter.sending import NOW, gauge, log, logs, metrics, point, span, spans
from tests.exporter.test_cardinality import new_cardinality, take

INNOCENT = {f"innocent.{i}" for i in range(10)}
RECORDS = 600
PATHS = {SPANS: "/v1/traces", LOGS: "/v1/logs", METRICS: "/v1/metrics"}
TABLES = {METRICS: "otel_metric_series_dim", "resource": "otel_resources_dim"}


def has(number: int, guilty: str = "session.id") -> dict[str, Any]:
    """Ten keys of a few values, and one whose values never come again."""
    return dict.fromkeys(INNOCENT, f"v{number % 3}") | {guilty: f"s{number}"}


def flood(signal: str) -> list[bytes]:
    """600 records, or resources."""
    numbers = range(RECORDS)
    if signal == SPANS:
        return [spans(*(span(1, n + 1, NOW + n, has=has(n)) for n in numbers))[1]]
    if signal == LOGS:
        return [logs(*(log("x", NOW + n, has=has(n)) for n in numbers))[1]]
    if signal == METRICS:
        return [metrics(gauge("g", *(point(n, has=has(n)) for n in numbers)))[1]]
    return [logs(log("x", NOW + n), resource=has(n))[1] for n in numbers]


def samples(exposition: str, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by the texts of its labels, in the order of their names."""
    families = text_string_to_metric_families(exposition)
    found = [sample for family in families if family.name == name for sample in family.samples]
    values = {tuple(sample.labels.values()): sample.value for sample in found}
    assert len(values) == len(found), "the same labels twice"
    return values


async def named(app: Postel, signal: str) -> dict[str, float]:
    """The keys that /metrics names for a signal."""
    exposition = (await app.get("/metrics")).text
    metric, place = ("left_key_values", signal) if signal in (SPANS, LOGS) else ("new_row_key_values", TABLES[signal])
    found = samples(exposition, f"postel_{metric}")
    return {key: value for (key, of), value in found.items() if of == place}


@pytest.mark.parametrize("signal", [SPANS, LOGS, METRICS, "resource"])
def test_the_key_to_blame_is_named(store: str, signal: str) -> None:
    async def session() -> tuple[dict[str, float], list[dict[str, Any]]]:
        async with postel(store) as app:
            for body in flood(signal):
                assert (await app.post(PATHS.get(signal, PATHS[LOGS]), body)).status_code == 200
            answer = await app.get("/api/attributes", signal=signal)
            return await named(app, signal), answer.json()["attributes"]

    keys, listed = asyncio.run(session())
    by_values = sorted(listed, key=lambda item: -item["distinct_values"])
    assert by_values[0]["key"] == "session.id"
    assert {item["key"] for item in listed if item["distinct_values"] > 3} == {"session.id"}
    assert {item["rows"] for item in listed if item["key"] in INNOCENT} <= {3, by_values[0]["rows"]}
    if signal in (SPANS, LOGS):
        assert keys == {"session.id": by_values[0]["distinct_values"]} and keys["session.id"] > WINDOW
        assert [item["key"] for item in listed if item["left_series_at"]] == ["session.id"]
    else:
        assert keys == {"session.id": WINDOW}
        assert (by_values[0]["rows"], by_values[0]["distinct_values"]) == (RECORDS, RECORDS)


def test_nothing_is_named_where_nothing_multiplies(store: str) -> None:
    same = [{"a": n % 7, "b": n % 5} for n in range(RECORDS)]
    bodies = {
        SPANS: spans(*(span(1, n + 1, NOW + n, has=found) for n, found in enumerate(same))),
        METRICS: metrics(gauge("g", *(point(n, NOW + n, has=found) for n, found in enumerate(same)))),
    }

    async def session() -> list[dict[str, float]]:
        async with postel(store) as app:
            for signal, (_, body) in bodies.items():
                assert (await app.post(PATHS[signal], body)).status_code == 200
            return [await named(app, signal) for signal in bodies]

    assert asyncio.run(session()) == [{}, {}]


ODD = [
    "",
    'quo"te',
    "back\\slash",
    "new\nline",
    "carriage\rreturn",
    "nul\0",
    "\u2028",
    "\ud800",
    "a" * 1_000_000,
    OTHER,
]


def exposed(weights: Heaviest) -> str:
    """What /metrics shows of these names."""
    telemetry = Telemetry()

    def read() -> dict[Sequence[str], float]:
        return {(SPANS, key): value for key, value in weights.weights().items()}

    telemetry.watch_all(GAUGE, "odd", "Odd.", ["signal", "key"], read)
    return telemetry.exposition().decode()


def test_names_that_senders_choose_break_nothing() -> None:
    heaviest = Heaviest()
    for number, key in enumerate(ODD, 1):
        heaviest.add(name_of(key), number)
    for number in range(1, 2 * MOST_NAMES):
        heaviest.add(f"{number}", 1)
    found = samples(exposed(heaviest), "postel_odd")
    shown = {key for key, _ in found}
    assert shown >= {"", 'quo"te', "back\\slash", "new_line", "carriage_return", "nul_", "_", "a" * 64, OTHER}
    assert len(shown) <= MOST_NAMES + 1
    assert sum(found.values()) == sum(range(1, len(ODD) + 1)) - ODD.index("\u2028") - 1 + 2 * MOST_NAMES - 1


def test_a_hundred_thousand_names_hide_none_that_is_heavy() -> None:
    heaviest, ever = Heaviest(), set[str]()
    for number in range(100_000):
        heaviest.add(f"key-{number}", 1 + number % 3)
        if number == 90_000:
            heaviest.add("to.blame", 300)
        ever |= heaviest.weights().keys() if number % 97 == 0 else set()
    assert heaviest.weights()["to.blame"] == 300
    assert len(heaviest.weights()) == MOST_NAMES + 1
    assert len(ever) <= 3 * MOST_NAMES, "few came and went"
    assert len(exposed(heaviest)) < 30_000


def test_a_hundred_thousand_keys_of_series() -> None:
    """As they leave the series: the one that never repeats is named among those that never come again."""
    cardinality = new_cardinality(max_attributes=1_000, max_series=1_000)
    for first in range(0, 100_000, 1_000):
        take(cardinality, *({f"key-{n}": 1, "to.blame": n, "same": 1} for n in range(first, first + 1_000, 10)))
        cardinality.trim()
    weights = cardinality.left.weights()
    assert max(weights, key=lambda key: weights[key] if key != OTHER else 0) == "to.blame"
    assert len(weights) <= MOST_NAMES + 1


def test_a_hundred_thousand_keys_of_new_rows() -> None:
    rows = NewRows()
    for number in range(100_000 // 50):
        unique = {f"key-{number}-{i}": i for i in range(50)}
        rows.add({"to.blame": number, "same": "x", **unique})
        assert len(rows._seen) <= 1000
    assert rows.values == {"to.blame": WINDOW}


def test_values_of_new_rows_are_told_by_type_and_are_of_the_last_window() -> None:
    rows = NewRows()
    values: list[Any] = [1, True, 1.0, "1", b"1", [1], {"a": 1}, None]
    for number in range(WINDOW):
        rows.add({"few": values[number % 8], "many": [number % 64], "half": number % 128})
    assert rows.values == {"half": 128, "many": 64}
    for _ in range(WINDOW - 1):
        rows.add({"few": 1})
    assert rows.values
    rows.add({"few": 1})
    assert rows.values == {}


def test_a_key_called_other_stands_beside_the_others() -> None:
    rows = NewRows()
    for window in range(12):
        for number in range(WINDOW):
            rows.add({f"k{window}-{i}": number for i in range(10)})
    assert rows.values == {OTHER: 10 * WINDOW}
    for number in range(WINDOW):
        rows.add({OTHER: number, "x": number})
    assert rows.values == {OTHER: 2 * WINDOW}
