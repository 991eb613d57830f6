"""The text of docs/api.md, made of descriptions, endpoints, and what a server answers."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import httpx

from queries import descriptions, openapi, params
from queries.asking import Endpoint
from queries.descriptions import Described
from queries.routes import ENDPOINTS
from tests.docs.examples import EXAMPLES, Example
from tests.docs.shown import Shown
from tests.running import Server

HOST = "localhost:4318"
_GROUPS = (("form", params.Shown), ("page", params.Paged), ("window", params.Windowed), ("service", params.Serviced))

_BEGIN = """\
# The read API

What is stored is asked with `GET`, on the port that takes OTLP in. An answer is JSON unless you ask for something else.
The same is at `/api` and at `/api/v2`. `GET /` says in five lines what to curl next; `/api/openapi.json` describes all
of this for programs.

Every answer on this page was given by a server: `make docs` writes the page. The shop below sent its records between
09:20 and 09:30 on 31 January 2026, and it is 09:30 now.
"""
_SHARED_PARAMETERS = """\
## Parameters

These are the same wherever an endpoint takes them. A name that is not known is refused, so that a slip of the hand
does not ask for more than you meant.
"""
_WINDOWS = """\
Without a word about time a list is about the last hour, and says in `window` what it was about. What names a trace, in
the path or by `trace_id`, is about all of it, whatever its age. `/api/metrics`, `/api/attributes` and
`/api/storage` are about all that there is.

A record is filed under its own time, or under the time of its receipt where its own was too far off;
`sent_time_unix_nano` then keeps what was sent.

Times are unix nanoseconds, durations nanoseconds, ids lower-case hex. A field without a value is `null`, never left
out. NaN and infinities are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
"""
_FILTERS = """\
## Filters on attributes

`PREFIX.KEY=value` asks for an attribute, `PREFIX.KEY__OPERATOR=value` compares it. Give as many as you like: all have
to hold. In a shell put the address in quotes. A `+` in a value is written `%2B`, an `&` `%26`, a `%` `%25`.
"""
_TYPES = """\
`__gt` and its like compare numbers with numbers, and text with text. Where there is no such attribute, no filter holds
but `__exists=false`. Any attribute can be asked for, promoted or not; `/api/attributes` says which there are.
"""
_FORMS = """\
## Forms

`format` says what the answer looks like. Without it the Accept header does, and a browser gets JSON.
"""
_PAGES = """\
## Pages and totals

Lists are newest first, and come in pages of `limit`. To go on, ask the same with `cursor=` and `next_cursor` of the
page before, or follow the Link header, which every form has. A cursor neither skips nor repeats a record while new
ones arrive. (A trace may move up while its first spans are still to come.) Spans and log records of one trace are the
other way round: earliest first.

`total` counts all that fits, where that takes 5 ms at most; else it is a lower bound, which `total_relation` tells:
`eq` or `gte`. `count=exact` counts to the end.
"""
_ERRORS = """\
## Errors

They have one shape. `hint` says what to type instead; `parameter` and `hint` are left out where there is none.
"""
_TOKENS = """\
Where `read_token_file` is set, send a token: `curl -H "Authorization: Bearer $TOKEN"`.
"""
_PARAMETER_HEAD = ("parameter", "meaning", "for example")
_PAGE = Example("/logs?since=15m&limit=1&count=exact&format=text")
_WRONG = Example("/traces?servce=checkout")


def page(server: Server, now: int) -> str:
    """The page, of a server that has the records of `tests.docs.records` as they were at 09:30, `now`."""
    asking = _Asking(server, now)
    return "\n".join(_sections(asking)).rstrip() + "\n"


class _Asking:
    """Asks a server what the page asks."""

    def __init__(self, server: Server, now: int) -> None:
        self._server, self._until, self._shown = server, f"&end_time={now}", Shown(now)

    def ask(self, example: Example) -> httpx.Response:
        """What the server answers, as if it were 09:30."""
        until = self._until if "since=" in example.asked else ""
        return httpx.get(f"{self._server.url}/api{example.asked}{until}", timeout=60, verify=False)

    def block(self, example: Example, *more: str) -> list[str]:
        """The curl line and the answer."""
        if example.streams or example.varies:
            return ["```sh", f"curl -{'N' if example.streams else 's'} '{HOST}/api{example.asked}'", "```", ""]
        answer = self.ask(example)
        head = [f"{name}: {self._shown.still(answer.headers[name].replace(self._until, ''))}" for name in more]
        curl = f"curl -{'i' if more else ''}s '{HOST}/api{example.asked}'"
        return [
            "```sh",
            curl,
            "```",
            "",
            "```",
            *head,
            *([""] if head else []),
            self._shown.answer(answer, example.most_lines),
            "```",
            "",
        ]


def _sections(asking: _Asking) -> Iterator[str]:
    yield _BEGIN
    yield from _table(("endpoint", "answers"), ((_link(e), openapi.summary(e)) for e in ENDPOINTS))
    yield _SHARED_PARAMETERS
    yield from _table(
        ("group", *_PARAMETER_HEAD), ((group, *row) for group, names in _groups().items() for row in _parameters(names))
    )
    yield _WINDOWS
    yield _FILTERS
    yield from _table(("prefix", "asks for", "for example"), _rows(descriptions.FILTERS, "{}."))
    yield from _table(("operator", "the attribute", "for example"), _rows(descriptions.OPERATORS, "__{}"))
    yield _TYPES
    yield _FORMS
    yield from _table(("format", "the answer is", "or by a header"), _rows(descriptions.FORMS, "{}"))
    yield _PAGES
    yield from asking.block(_PAGE, "Link")
    yield _ERRORS
    yield from asking.block(_WRONG)
    codes = ((f"`{code}`", told.example, told.text) for code, told in descriptions.ERRORS.items())
    yield from _table(("code", "status", "what it means"), codes)
    yield _TOKENS
    for endpoint in ENDPOINTS:
        yield from _endpoint(endpoint, asking)


def _endpoint(endpoint: Endpoint, asking: _Asking) -> Iterator[str]:
    yield f"## {_title(endpoint)}\n"
    yield openapi.summary(endpoint) + (" Deprecated.\n" if endpoint.deprecated else "\n")
    in_path = openapi.path_parameters(endpoint.path)
    taken = [name for name in params.fields(endpoint.search) if name not in in_path]
    forms = ", ".join(f"`{form}`" for form in params.formats_of(endpoint.search))
    groups = {group: names for group, names in _groups().items() if set(names) <= set(taken)}
    shared = [name for names in groups.values() for name in names]
    own = [*in_path, *(name for name in taken if name not in (*shared, "format"))]
    if own:
        yield from _table(_PARAMETER_HEAD, _parameters(own, in_path))
    besides = [f"[{', '.join(groups)}](#parameters)"] if groups else []
    if on := params.prefixes(endpoint.search):
        besides.append(f"[filters](#filters-on-attributes) on {', '.join(f'`{prefix}.`' for prefix in on)}")
    also = f"{'Also' if own else 'Takes'} {'; '.join(besides)}. " if besides else ""
    yield f"{also}Forms: {forms}.\n"
    for example in EXAMPLES[endpoint.path]:
        if example.about:
            yield f"{example.about}\n"
        yield from asking.block(example)


def _groups() -> dict[str, list[str]]:
    """The parameters that many endpoints share, by what they are about."""
    found: dict[str, list[str]] = {}
    for group, search in _GROUPS:
        before = [name for names in found.values() for name in names]
        found[group] = [name for name in params.fields(search) if name not in before]
    return found


def _title(endpoint: Endpoint) -> str:
    return f"GET /api{openapi.plain(endpoint.path)}"


def _link(endpoint: Endpoint) -> str:
    anchor = re.sub(r"[^\w -]", "", _title(endpoint).lower()).replace(" ", "-")
    return f"[{_title(endpoint)}](#{anchor})"


def _parameters(names: Iterable[str], in_path: Sequence[str] = ()) -> Iterator[tuple[str, str, str]]:
    for name in names:
        text, example = descriptions.PARAMETERS[name]
        yield f"`{name}`", text, f"`{example}`" if name in in_path else f"`{name}={example}`"


def _rows(words: Mapping[str, Described], form: str) -> Iterator[tuple[str, str, str]]:
    return ((f"`{form.format(word)}`", told.text, f"`{told.example}`") for word, told in words.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
