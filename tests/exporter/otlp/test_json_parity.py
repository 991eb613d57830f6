"""Both codecs read the same from the same request."""

import random
from typing import Any

import msgspec
import pytest

from exporter.otlp import json_wire as wire
from exporter.otlp.json import JsonCodec
from exporter.otlp.json_fields import read
from exporter.otlp.protobuf import ProtobufCodec
from tests.exporter.otlp.json_requests import (
    NAMES,
    REQUESTS,
    as_otlp_json,
    fill,
    values,
)

# ---- both encodings


@pytest.mark.parametrize("signal", REQUESTS)
def test_both_codecs_read_the_same_from_the_same_request(signal: str) -> None:
    for seed in range(60):
        message = REQUESTS[signal]()
        fill(message, random.Random(seed))
        sent = as_otlp_json(message)
        codec, other = JsonCodec(), ProtobufCodec()
        ours = values(codec, signal, sent)
        assert repr(ours) == repr(values(other, signal, message.SerializeToString()))
        assert not codec.findings.refusals
        assert codec.findings.sanitised == other.findings.sanitised


@pytest.mark.parametrize("signal", REQUESTS)
def test_records_read_one_by_one_are_the_same(signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(30):
        message = REQUESTS[signal]()
        fill(message, random.Random(seed))
        sent = as_otlp_json(message)
        quick = repr(values(JsonCodec(), signal, sent))
        with monkeypatch.context() as patch:
            patch.setattr("exporter.otlp.json._decode_typed", lambda *_: None)
            patch.setattr("exporter.otlp.json.read_quickly", read)
            assert repr(values(JsonCodec(), signal, sent)) == quick


def messages(descriptor: Any, seen: dict[str, Any]) -> dict[str, Any]:
    if descriptor.full_name not in seen:
        seen[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                messages(field.message_type, seen)
    return seen


def test_every_json_name_is_the_descriptors_own() -> None:
    found: dict[str, Any] = {}
    for request in REQUESTS.values():
        messages(request.DESCRIPTOR, found)
    by_name = {descriptor.name: descriptor for descriptor in found.values()}
    by_name["Scope"] = by_name["InstrumentationScope"]
    structs = [x for x in vars(wire).values() if isinstance(x, type) and issubclass(x, msgspec.Struct)]
    for struct in structs:
        if struct in (msgspec.Struct, wire.Data):
            continue
        fields = by_name[struct.__name__].fields
        expected = {f.camelcase_name for f in fields if not f.name.endswith("strindex")}
        assert {f.encode_name for f in msgspec.structs.fields(struct)} == expected
    assert {f.encode_name for f in msgspec.structs.fields(wire.Data)} == {
        f.camelcase_name for f in by_name["Sum"].fields
    }
    for signal, names in NAMES.items():
        descriptor = REQUESTS[signal].DESCRIPTOR
        for name in names:
            (field,) = [f for f in descriptor.fields if f.camelcase_name == name]
            descriptor = field.message_type
