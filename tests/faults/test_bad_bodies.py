"""Every row of the bad-record table that concerns what is around records: resources, scopes, and whole bodies.

Source: docs/ingest.md, "Bad records".
"""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import EntityRef, InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.exporter.asking import JSON, PROTOBUF, status_of
from tests.exporter.sending import MALFORMED, attributes, field, gauge, point
from tests.faults.odd_records import (
    GOOD,
    ODD,
    Case,
    Store,
    as_json,
    body_of,
    check,
    each_way,
    grouped,
    name_of,
    new_store,
    numbered,
    read_back,
    record,
    span,
)

RECORDS: dict[str, Message] = {SPANS: span(), LOGS: record(), METRICS: gauge(ODD, point(1))}
SHOP = Resource(attributes=attributes({"service.name": "shop"}))
LIST_OF = {SPANS: "scopeSpans", LOGS: "scopeLogs", METRICS: "scopeMetrics"}


def around(signal: str, schema_url: str = "", **of_group: Any) -> Any:
    """The odd record in a resource and scope of its own."""
    group = grouped(signal, RECORDS[signal], **of_group)
    group.schema_url = scopes_of(signal, group)[0].schema_url = schema_url
    return group


def scopes_of(signal: str, group: Any) -> Any:
    """The scopes of a resource."""
    return getattr(group, {SPANS: "scope_spans", LOGS: "scope_logs", METRICS: "scope_metrics"}[signal])


def without(name: str, signal: str) -> Any:
    """The same with no resource, or no scope, at all."""
    group = grouped(signal, RECORDS[signal])
    (group if name == "resource" else scopes_of(signal, group)[0]).ClearField(name)
    return group


def of_each_signal() -> Iterator[Case]:
    """Odd resources and scopes, stored as they were sent."""
    entity = EntityRef(schema_url="\0", type="a\0", id_keys=["\0", "b"], description_keys=["\x1a"])
    nul = {"service.name": "a\0b", "service.namespace": "\0", "\0": "\0"}
    for signal in PATHS:
        sent = {
            "no resource": without("resource", signal),
            "no scope": without("scope", signal),
            "an unnamed scope": around(signal, scope=InstrumentationScope(version="1")),
            "U+0000 at a resource": around(
                signal, "\0", resource=Resource(attributes=attributes(nul), entity_refs=[entity])
            ),
            "U+0000 at a scope": around(signal, scope=InstrumentationScope(name="a\0", version="\0")),
        }
        yield from (Case(odd=f"{odd} of {signal}", signal=signal, sent=group) for odd, group in sent.items())
        shop = around(signal, "a@b", resource=SHOP)
        yield Case(
            odd=f"schema URLs that are no UTF-8 of {signal}",
            signal=signal,
            whole=True,
            wire=shop.SerializeToString().replace(b"a@b", b"a\xffb"),
            stored=around(signal, "a\ufffdb", resource=SHOP),
            sanitised={"invalid_utf8": 2},
        )
        scope = around(signal, scope=InstrumentationScope(name=f"{signal} a@b"))
        yield Case(
            odd=f"a scope that is no UTF-8 of {signal}",
            signal=signal,
            whole=True,
            wire=scope.SerializeToString().replace(b"a@b", b"a\xffb"),
            stored=around(signal, scope=InstrumentationScope(name=f"{signal} a\ufffdb")),
            sanitised={"invalid_utf8": 1},
        )
        found = as_json(around(signal))
        old = f"instrumentationLibrary{LIST_OF[signal].removeprefix('scope')}"
        yield Case(
            odd=f"{old}",
            signal=signal,
            whole=True,
            json={"resource": found["resource"], old: found[LIST_OF[signal]]},
            records=0,
            says=f'ignored the JSON key "{old}"',
        )
        for odd, nothing in {"resources": None, "scopes": {LIST_OF[signal]: [None]}}.items():
            yield Case(odd=f"null in the list of {odd} of {signal}", signal=signal, whole=True, json=nothing, records=0)


SERVICES = [
    ("absent", {}, "unknown_service"),
    ("empty", {"service.name": ""}, ""),
    ("an integer", {"service.name": 5}, "5"),
    ("a list", {"service.name": ["a", 1]}, '["a",1]'),
    ("bytes", {"service.name": b"\0"}, '{"bytesValue":"AA=="}'),
]


@pytest.fixture(scope="module")
def store(server_url: str, template: str) -> Iterator[Store]:
    """The module's store."""
    with new_store(server_url, template) as made:
        yield made


@pytest.mark.parametrize(("odd", "media_type"), each_way(of_each_signal()), ids=name_of)
def test_an_odd_resource_or_scope_is_kept(store: Store, odd: Case, media_type: str) -> None:
    check(store, odd, media_type)


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(("odd", "has", "shown"), SERVICES)
def test_a_service_has_a_name_in_answers(
    store: Store, odd: str, has: dict[str, Any], shown: str, media_type: str
) -> None:
    sent = around(SPANS, resource=Resource(attributes=attributes(has)))
    number = check(store, Case(odd=odd, signal=SPANS, sent=sent), media_type)
    trace_id = numbered(span().trace_id, number).hex()
    (answer,) = store.app.get("/api/spans", trace_id=trace_id, name="odd").json()["spans"]
    assert answer["service_name"] == shown


ENVELOPES = [
    ("a resource that is a string", lambda group: group | {"resource": "shop"}),
    ("attributes that are an object", lambda group: group | {"resource": {"attributes": {"a": 1}}}),
    ("a schema URL that is a number", lambda group: group | {"schemaUrl": 5}),
    ("a resource that is a list", lambda group: [group]),
    ("a scope that is a string", lambda group: _with_scopes(group, scope="lib")),
    ("records that are an object", lambda group: _with_scopes(group, spans={}, logRecords={}, metrics={})),
    ("scopes that are a number", lambda group: group | dict.fromkeys(LIST_OF.values(), 5)),
]


def _with_scopes(group: dict[str, Any], **fields: Any) -> dict[str, Any]:
    (name,) = set(group) & set(LIST_OF.values())
    return group | {name: [scope | fields for scope in group[name]]}


@pytest.mark.parametrize("signal", PATHS)
@pytest.mark.parametrize(("odd", "changed"), ENVELOPES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_envelope_of_another_type_is_undecodable(store: Store, signal: str, odd: str, changed: Any) -> None:
    before = store.counted(signal)
    case = Case(odd=odd, signal=signal, whole=True, json=changed(as_json(around(signal))))
    answer = store.app.post(PATHS[signal], body_of(case, JSON), JSON)
    assert answer.status_code == 400, answer.text
    assert status_of(answer, JSON)[1]
    assert store.counted(signal) - before == {}, "nothing of it is stored"


@pytest.mark.parametrize("signal", PATHS)
def test_a_resource_that_is_no_protobuf_is_undecodable(store: Store, signal: str) -> None:
    case = Case(odd="", signal=signal, whole=True, wire=around(signal).SerializeToString() + field(1, MALFORMED))
    answer = store.app.post(PATHS[signal], body_of(case, PROTOBUF))
    assert answer.status_code == 400
    assert "Resource: not a protobuf message" in status_of(answer)[1]


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(("sent", "path"), [(s, p) for s in PATHS for p in PATHS.values() if p != PATHS[s]])
def test_a_body_of_another_signal_names_the_likely_endpoint(
    store: Store, sent: str, path: str, media_type: str
) -> None:
    body = body_of(Case(odd="", signal=sent, sent=RECORDS[sent]), media_type)
    answer = store.app.post(path, body, media_type)
    assert answer.status_code == 400
    assert PATHS[sent] in status_of(answer, media_type)[1]


REFUSED = {
    SPANS: Case(odd="", signal=SPANS, json={"name": "no ids"}),
    LOGS: Case(odd="", signal=LOGS, json={"body": 5}),
    METRICS: Case(odd="", signal=METRICS, json={"gauge": {"dataPoints": [{}]}}),
}


@pytest.mark.parametrize("signal", PATHS)
def test_the_same_body_again_gets_the_first_answer_again(store: Store, signal: str) -> None:
    body = numbered(body_of(REFUSED[signal], JSON), 9000)
    kept, before = "SELECT count(*) FROM otel_rejected_records", store.counted(signal)
    first = store.app.post(PATHS[signal], body, JSON)
    assert '":"1","errorMessage":"1 ' in first.text
    ((rows,),), middle = store.ask(kept), store.counted(signal)
    assert store.app.post(PATHS[signal], body, JSON).content == first.content
    after = store.counted(signal)
    assert store.ask(kept) == [(rows,)], "kept once"
    assert middle["accepted"] - before["accepted"] == GOOD == after["deduplicated"] - middle["deduplicated"]
    assert after["accepted"] == middle["accepted"]


def test_a_body_with_a_log_without_any_time_is_never_a_repetition(store: Store) -> None:
    timeless = record(time_unix_nano=0)
    body = numbered(body_of(Case(odd="", signal=LOGS, sent=timeless), PROTOBUF), 9001)
    before = store.counted(LOGS)
    for _ in range(2):
        assert (answer := store.app.post("/v1/logs", body)).content == b"", answer.content
    assert (store.counted(LOGS) - before)["accepted"] == 2 * (GOOD + 1)
    (group,) = read_back(store.app, LOGS, 9001).resource_logs
    assert [len(scope.log_records) for scope in group.scope_logs] == [2]
