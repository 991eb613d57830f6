"""docs/api.md says what is there now: every endpoint and parameter, and what a server answers."""

import json
import re

import httpx
import pytest

from queries import descriptions, openapi
from queries.routes import ENDPOINTS
from tests.docs import shown
from tests.docs.api import PAGE, write
from tests.docs.examples import EXAMPLES
from tests.running import Server


def test_every_endpoint_has_its_examples_and_nothing_else() -> None:
    paths = {endpoint.path for endpoint in ENDPOINTS}
    assert paths == set(EXAMPLES), f"tests/docs/examples.py: {sorted(paths ^ set(EXAMPLES))}"
    for path, examples in EXAMPLES.items():
        pattern = re.sub(r"\{\w+:path\}", ".+", re.sub(r"\{\w+\}", "[^/]+", path))
        assert examples and all(re.fullmatch(pattern, example.asked.partition("?")[0]) for example in examples)


def test_every_endpoint_and_parameter_is_on_the_page() -> None:
    page = PAGE.read_text()
    missing = [path for e in ENDPOINTS if f"## GET /api{(path := openapi.plain(e.path))}\n" not in page]
    missing += [name for name in descriptions.PARAMETERS if f"| `{name}` |" not in page]
    assert not missing, f"run make docs: {missing}"


def test_the_page_is_what_a_server_answers(server: Server) -> None:
    assert write(server) == PAGE.read_text(), "run make docs, and look at what has changed"


def test_times_of_another_day_are_shown_as_ours() -> None:
    now = shown.SHOWN_AT + 300 * 86_400 * 10**9
    text = f'[{now - 7}, "{now}"] 2026-11-27T09:29:59.5Z 2026-11-28 11:00Z Nov 27 UTC 9223372036854775807'
    assert shown.Shown(now).still(text) == (
        f'[{shown.SHOWN_AT - 7}, "{shown.SHOWN_AT}"] 2026-01-31T09:29:59.5Z 2026-01-31 09:30Z Jan 31 UTC '
        "9223372036854775807"
    )


def test_the_clock_is_that_of_the_page() -> None:
    assert (shown.asked_at() - shown.SHOWN_AT) % (86_400 * 10**9) == 0


def test_what_is_random_stays_the_same() -> None:
    still = shown.Shown(shown.SHOWN_AT).still
    assert still('"log_id":17,"log_id":4,"log_id":17') == (
        '"log_id":2718281828459045,"log_id":2718281828459046,"log_id":2718281828459045'
    )
    assert still('"next_cursor":"lKRsb2dzAAAA-_","x":1') == '"next_cursor":"lKRsb2dz…","x":1'


@pytest.mark.parametrize("many", [2, 30])
def test_long_lists_are_cut(many: int) -> None:
    content = json.dumps({"spans": [{"name": "n" * 60, "other": "o" * 60}] * many})
    answer = httpx.Response(200, text=content, headers={"content-type": "application/json"})
    text = shown.Shown(shown.SHOWN_AT).answer(answer)
    assert text.count("nnn") == 20 and f"… {many - 1} more" in text


def test_long_answers_are_cut() -> None:
    answer = httpx.Response(200, text="line\n" * 50, headers={"content-type": "text/plain"})
    assert shown.Shown(shown.SHOWN_AT).answer(answer).endswith("line\n… 10 more lines")
