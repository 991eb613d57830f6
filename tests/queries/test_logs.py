"""`q`: text contained in a body, in any case, taken literally."""

from typing import Any

import pytest

from tests.queries.samples import value
from tests.queries.sending import ago, get, send_logs
from tests.running import Server

BODIES: list[Any] = [
    "Connection REFUSED by db-1",
    "50% of größere Straße",
    "50 of file_name",
    "back\\slash",
    "nul\0byte",
    {"event": "Payment declined", "code": 402, "said": 'a "quoted" word\nand more', "nul": "x\0y"},
    ["first", {"nested": [True, 1.5]}],
    b"bytes",
    1234567,
    None,
]


@pytest.fixture(scope="module")
def talkative(shared: Server) -> str:
    """A service whose logs have these bodies, a second apart."""
    for place, body in enumerate(BODIES):
        send_logs(shared, "talkative", [ago(place + 1)], body=value(body))
    return "talkative"


@pytest.mark.parametrize(
    ("q", "places"),
    [
        ("refused", [0]),
        ("ON", [0]),
        ("GRÖSSERE", []),
        ("GRÖß", [1]),
        ("%", [1]),
        ("50%", [1]),
        ("_", [2]),
        ("e_n", [2]),
        ("\\", [3, 5]),
        ("k\\s", [3]),
        ("l\0b", [4]),
        ("\0", [4, 5]),
        ("payment DECLINED", [5]),
        ("declined%", []),
        ('a "quoted" word', [5]),
        ("word\nand", [5]),
        ('"code": 402', [5]),
        ("X\0Y", [5]),
        ("nested", [6]),
        ("true", [6]),
        ("234", [8]),
        ("'; drop table otel_logs_fact; --", []),
        ("", list(range(10))),
    ],
)
def test_text_in_a_body(shared: Server, talkative: str, q: str, places: list[int]) -> None:
    for asked in ({"service": talkative}, {}):
        answer = get(shared, "/api/logs", q=q, **asked)
        expected = [answer_body(BODIES[place]) for place in places]
        assert [log["body"] for log in answer["logs"]] == expected
        assert (answer["total"], answer["total_relation"]) == (len(expected), "eq")


def answer_body(body: Any) -> Any:
    return {"bytesValue": "Ynl0ZXM="} if isinstance(body, bytes) else body


def test_pages_and_other_filters(shared: Server, service: str) -> None:
    send_logs(shared, service, [ago(number) for number in range(30)], severity_number=17)
    send_logs(shared, service, [ago(number) for number in range(30)], severity_number=9, body=value("other"))
    asked = {"service": service, "q": "AT ", "severity": "error"}
    first = get(shared, "/api/logs", **asked, limit="20", count="exact")
    assert (first["total"], len(first["logs"])) == (30, 20)
    second = get(shared, "/api/logs", **asked, limit="20", cursor=first["next_cursor"])
    bodies = {log["body"] for log in first["logs"] + second["logs"]}
    assert len(bodies) == 30 and all(body.startswith("at ") for body in bodies)
    assert get(shared, "/api/logs", q="at ", service=service, severity="fatal")["total"] == 0
