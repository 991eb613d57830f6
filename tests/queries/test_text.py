"""Answers as text: whatever is in them, no line is too wide and nothing commands the terminal; and through the API."""

import re
import unicodedata

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from queries.routes import ENDPOINTS
from queries.text import draw
from queries.text_cells import Style, columns_of
from tests.queries import samples
from tests.queries.sending import ago, send_logs, send_points, send_spans, span
from tests.queries.shapes import anything
from tests.running import Server

_CONTENTS = {endpoint.content for endpoint in ENDPOINTS if hasattr(endpoint.content, "records")}
KINDS = sorted(_CONTENTS, key=lambda kind: kind.__name__)
WIDTHS = st.sampled_from([40, 41, 80, 100, 120, 500])
TEXT = "text/plain; charset=utf-8"
_INK = re.compile(r"\x1b\[\d+m")


# What fails here is large, and a smaller example would take minutes to find.
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(data=st.data(), width=WIDTHS, color=st.sampled_from(["always", "never"]))
def test_any_answer(kind: type[Struct], data: st.DataObject, width: int, color: str) -> None:
    drawn = draw(data.draw(anything(kind)), Style(width, color))
    assert drawn.endswith("\n")
    plain = _INK.sub("", drawn) if color == "always" else drawn
    assert not [text for text in plain.split("\n") if columns_of(text) > width]
    assert {unicodedata.category(char) for char in plain if char != "\n"}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})


def test_every_list_through_the_api(shared: Server, service: str) -> None:
    now = ago(5)
    one = span(1, now, name="GET /cart", attributes={"http.route": "/cart"})
    trace_id = one.trace_id.hex()
    send_spans(shared, service, [one])
    send_logs(shared, service, [now], severity_number=13, trace_id=one.trace_id)
    send_points(shared, service, service, [now - 10**9, now], method="GET")
    expected = {
        f"/api/traces?service={service}": ("TRACE ID", trace_id),
        f"/api/traces/{trace_id}": (f"{service} GET /cart", "█"),
        f"/api/traces/{trace_id}/spans": ("SPAN ID", "http.route=/cart"),
        f"/api/spans?service={service}": ("NAME", "GET /cart"),
        f"/api/logs?service={service}": ("MESSAGE", f"at {now}"),
        f"/api/metrics?name={service}": ("METRIC", "gauge"),
        f"/api/metrics/series?name={service}": ("VALUE", "▁"),
        "/api/services?limit=1000": ("SERVICE", service),
    }
    for path, parts in expected.items():
        url = f"{shared.url}{path}"
        wide = {**httpx.URL(url).params, "width": "200"}
        answer = httpx.get(url, headers={"accept": "text/plain"}, params=wide, verify=False)
        assert (answer.status_code, answer.headers["content-type"]) == (200, TEXT), answer.text
        assert all(part in answer.text for part in parts), answer.text
        asked = httpx.get(url, params={**wide, "format": "text"}, verify=False)
        assert asked.text.splitlines()[:2] == answer.text.splitlines()[:2]


def test_what_was_asked_for_goes_on_and_has_colours(shared: Server, service: str) -> None:
    send_logs(shared, service, [ago(n) for n in range(3)], severity_number=17)
    asked = {"service": service, "limit": "2", "format": "text", "color": "always", "width": "120"}
    first = shared.get("/api/logs", **asked)
    assert first.text.count("\x1b[31mERROR\x1b[0m") == 2 and "2 of 3 logs from " in first.text
    cursor = first.text.splitlines()[-1].removeprefix("-Gd cursor=")
    assert "1 of 3 logs from " not in first.text
    assert "ERROR" in (second := shared.get("/api/logs", cursor=cursor, **asked)).text
    assert "1 of 3 logs from " in second.text and "cursor" not in second.text


def test_odd_telemetry_never_commands_the_terminal(shared: Server, service: str) -> None:
    for signal, request in (("traces", samples.spans), ("logs", samples.logs), ("metrics", samples.metrics)):
        assert shared.post(signal, request(service).SerializeToString()).status_code == 200
    asked = {"service": service, "format": "text", "limit": "1000", "end_time": "now+1m"}
    for path in ("/api/traces", "/api/spans", "/api/logs", "/api/metrics", "/api/metrics/series"):
        lines = shared.get(path, **asked).text.split("\n")
        assert len(lines) > 3 and not [
            text for text in lines if columns_of(text) > 100 or "\0" in text or "\x1a" in text
        ]
