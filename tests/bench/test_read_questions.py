"""Questions about logs and metrics are of what is stored, and each has a statement that J2 answers it by."""

from bench.questions import ASKS, Sample
from bench.read_baseline import Asked
from bench.read_questions import FEWER_ASKS, Metric, Records, Target, targets
from bench.statements import script
from exporter import promotion

BEGAN = 1_790_000_000_000_000_000
END = BEGAN + 4 * 86_400 * 10**9
SPANS = [{"start_time_unix_nano": BEGAN, "attributes": {}}]
TRACES = [{"trace_id": "0" * 32, "duration_nanos": 1, "start_time_unix_nano": BEGAN, "status": "error"}]
SAMPLE = Sample(BEGAN, END, 29.0, SPANS, TRACES, ["cart"])
LOGS = [
    {
        "time_unix_nano": BEGAN + number * 10**9,
        "service_name": f"service-{number % 3}",
        "severity_number": 9 if number % 10 else 17,
        "severity_text": "INFO" if number % 10 else "ERROR",
        "trace_id": f"{number:032x}" if number % 2 else None,
        "body": f"order-{number} was placed" if number % 4 else {"message": "structured"},
        "attributes": {"app.order.id": f"o{number}", "app.items": number % 3, "is.new": True},
    }
    for number in range(1_000)
]
METRICS = [
    Metric("kafka.lag", "gauge", 60, ["partition"]),
    Metric("requests", "histogram", 60, ["route"]),
    Metric("restarts", "gauge", 150, []),
    *(Metric(f"m{number}", "sum", 60 + number, ["a", "b"]) for number in range(9)),
]


def asked() -> dict[str, Target]:
    """Every question by its title."""
    found = targets(SAMPLE, Records(LOGS, METRICS), promotion.load())
    return {target.question.title: target for target in found}


def parsed(title: str) -> list[Asked]:
    """What a question asks."""
    return [Asked.of(path) for path in asked()[title].question.paths]


def test_targets_are_those_of_lists_and_of_text_within_an_hour() -> None:
    by_target: dict[int | None, list[str]] = {}
    for title, target in asked().items():
        by_target.setdefault(target.p95_ms, []).append(title)
    assert len(by_target[20]) == 16
    assert by_target[100] == ["newest 50 logs with a word of a body, 1 h", "newest 50 logs with a rare word, 1 h"]
    assert len(by_target[None]) == 4


def test_every_question_has_its_statement() -> None:
    for target in asked().values():
        assert f"-- name: {target.question.baseline}\n" in script("jsonb_reading")


def test_an_attribute_of_each_key_in_an_hour_that_has_it() -> None:
    asks = parsed("newest 50 logs by an attribute, of each key in turn")
    assert {key for each in asks for key in each.parameters} == {
        "limit", "end_time", "attr.app.order.id", "attr.app.items"
    }  # fmt: skip
    for each in asks:
        if order := each.parameters.get("attr.app.order.id"):
            assert each.window.start <= BEGAN + int(order.removeprefix("o")) * 10**9 < each.window.end


def test_severities_above_the_lowest() -> None:
    asks = parsed("newest 50 logs by minimum severity")
    assert len(asks) == ASKS
    assert {each.parameters["severity"] for each in asks} == {"error"}


def test_series_are_of_numbers_nearest_to_60() -> None:
    asks = parsed("1 h of 60 to 62 series, group_by, step=1m")
    names = {each.parameters["name"] for each in asks}
    assert names == {"kafka.lag", "m0", "m1", "m2"}
    assert {each.parameters["group_by"] for each in asks} == {"partition", "a", "b"}


def test_words_are_of_bodies_that_are_texts() -> None:
    common, rare = parsed("newest 50 logs with a word of a body, 1 h"), parsed("newest 50 logs with a rare word, 1 h")
    assert {each.parameters["q"] for each in common} > {"placed"}
    assert all(each.parameters["q"].startswith("order-") for each in rare)
    assert len(common) == len(rare) == ASKS
    assert len(parsed("newest 50 logs with a rare word, everything")) == FEWER_ASKS
    assert all(each.window.start == 0 for each in parsed("newest 50 logs with a rare word, everything"))
    for each in parsed("newest 50 logs with a rare word, 24 h"):
        assert each.window.end - each.window.start == 86_400 * 10**9
        assert each.window.start <= BEGAN + int(each.parameters["q"].removeprefix("order-")) * 10**9 < each.window.end
