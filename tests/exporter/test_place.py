"""Times and ids as they are filed: 64 bits stay 64 bits, and what is out of range goes under its receipt."""

import time

from exporter.errors import UndecodableBody
from exporter.otlp.protobuf import ProtobufCodec
from exporter.otlp.records import SPANS, ScopeRecords
from exporter.place import Intake, Part, Receipts, Window, optional_id, signed, signed32
from exporter.promotion import load


def new_place() -> Intake:
    return Intake(SPANS, ProtobufCodec(), load(), Window(1, 100, Receipts()), [])


def test_unsigned_integers_keep_their_bits() -> None:
    for value in (0, 1, 2**63 - 1, 2**63, 11651379494838206464, 2**64 - 1):
        assert signed(value).to_bytes(8, "big", signed=True) == value.to_bytes(8, "big")
    for value in (1, 2**31 - 1, 2**31, 2**32 - 1):
        assert (signed32(value) or 0).to_bytes(4, "big", signed=True) == value.to_bytes(4, "big")
    assert signed32(0) is None


def test_every_receipt_is_another_time() -> None:
    receipts = Receipts()
    before = time.time_ns()
    given = [receipts.next() for _ in range(10_000)]
    assert given == sorted(set(given))
    assert before <= given[0] < time.time_ns()


def test_a_time_inside_the_window_is_its_own() -> None:
    window = Window(10, 20, Receipts())
    assert window.file(10) == (10, None)
    assert window.file(19) == (19, None)
    for outside in (0, 9, 20, 2**63, 2**64 - 1):
        filed, sent = window.file(outside)
        assert filed > 10**18
        assert sent == signed(outside)


def test_unusable_ids_are_left_out_and_counted() -> None:
    place = new_place()
    assert optional_id(place, b"\1" * 8, 8) == b"\1" * 8
    assert optional_id(place, b"", 8) is None
    assert place.codec.findings.sanitised == {}
    for unusable in (bytes(8), b"\1" * 7, b"\1" * 16):
        assert optional_id(place, unusable, 8) is None
    assert optional_id(place, bytes(16), 16) is None
    assert place.codec.findings.sanitised == {"unreadable_id": 4}


def test_refusals_are_counted_by_record_and_keep_what_can_be_read() -> None:
    def unreadable() -> dict[str, object]:
        raise UndecodableBody("no such thing")

    place, part = new_place(), Part([], [], ScopeRecords(b"", "", b"", "", []), (7, b"r"), (1, b"s"))
    place.refuse(part, "reason", "message", lambda: {"name": "n"})
    place.refuse(part, "reason", "message", unreadable, 3)
    assert [(r.count, r.record) for r in place.refusals] == [(1, b'{"name":"n"}'), (3, b"")]
