"""One request of the API on its way: what is asked, and its answer in the form that was asked for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from queries import cursors, formats, params
from queries.answers import TimeWindow
from queries.answers_config import Configuration
from queries.database import ReadDatabase
from queries.errors import QueryError
from queries.filtered import Filtered
from queries.formats import Form, ToOtlp
from queries.pages import DEFAULT_LIMIT, Request, Total
from queries.params import Window
from queries.tails import Tails
from queries.text_cells import Style
from queries.values import hex_id

P = TypeVar("P", bound=params.Shown)

NOT_COUNTED = Total(0, "gte")


class Host(Struct, frozen=True):
    """What the server around the API knows: `promoted` is what is promoted just now (signal -> key -> the types under
    which it is), `configuration` all that is in force, `filtered` counts filters on attributes, `dropped` tells whether
    an owner's key is dropped just now."""

    promoted: Callable[[], Mapping[str, Mapping[str, frozenset[str]]]]
    configuration: Callable[[], Configuration]
    filtered: Filtered
    dropped: Callable[[str, str], bool] = lambda _owner, _key: False


class Ask(Struct, Generic[P], frozen=True):
    """A request: `given` are its parameters, `form` is the form of its answer, `host` what the server knows."""

    tails: Tails
    http: HttpRequest
    given: P
    form: Form
    host: Host

    @property
    def database(self) -> ReadDatabase:
        """What is asked."""
        return self.tails.database

    @property
    def counts(self) -> bool:
        """Whether the answer says how many records there are in all."""
        return self.form.name in (params.JSON, params.TEXT)

    def answer(
        self, content: Struct, cursor: str | None = None, otlp: ToOtlp | None = None, below: str = ""
    ) -> Response:
        """The answer; `cursor` leads to the next page, which is at a path `below` this one, `otlp` makes the export
        request of the same records."""
        link = formats.link(self.http, cursor, below)
        return formats.answer(self.form, content, Style(self.given.width, self.given.color), link, otlp)

    def page(
        self,
        name: str,
        request: Request,
        keys: Sequence[cursors.Key],
        total: Total,
        content: Callable[[dict[str, Any]], Struct],
        otlp: ToOtlp | None = None,
    ) -> Response:
        """The answer to a page of the endpoint `name`, whose records and one more have these keys; `content` makes it
        of what every page says about itself."""
        more = len(keys) > request.limit
        cursor = cursors.encode(name, request.window, keys[request.limit - 1]) if more else None
        return self.answer(content(frame(total, cursor) | {"window": TimeWindow(*request.window)}), cursor, otlp)

    def part(
        self,
        name: str,
        found: list[Any],
        used: Window,
        content: Callable[..., Struct],
        relation: str = "eq",
        limit: int = DEFAULT_LIMIT,
    ) -> Response:
        """A page of a list that is short enough to be made whole; its cursor is the place in it."""
        given: Any = self.given
        request = Request.of(name, given, used, cursors.BY_PLACE, limit)
        begin = request.offset if request.after is None else request.after[0]
        rest = found[begin : begin + request.limit + 1]
        keys = [(begin + place, 0, 0) for place in range(1, len(rest) + 1)]
        total = Total(len(found), relation)
        return self.page(name, request, keys, total, lambda page: content(rest[: request.limit], **page))

    def trace_id(self) -> bytes:
        """The trace that the path names. Raises QueryError."""
        return self.id_of("trace_id", 16)

    def id_of(self, name: str, length_bytes: int) -> bytes:
        """An id that the path names. Raises QueryError."""
        try:
            return hex_id(length_bytes)(self.http.path_params[name])
        except ValueError as error:
            problem, _, hint = str(error).partition("; ")
            raise QueryError(f"{name}: {problem}", name, hint) from None


def frame(total: Total, cursor: str | None) -> dict[str, Any]:
    """What every list says about itself but its window: the fields of answers.Page."""
    return {
        "total": total.count,
        "total_relation": total.relation,
        "has_more": cursor is not None,
        "next_cursor": cursor,
    }


Handler = Callable[[Any], Awaitable[Response]]
"""From an Ask to its answer."""


class Endpoint(Struct, frozen=True):
    """One endpoint: its path below /api, the parameters that it takes, what it answers as JSON, and what makes that.

    `deprecated`: another one says more, which every answer then tells in a header.
    """

    path: str
    search: type[params.Shown]
    content: type[Struct]
    handler: Handler
    deprecated: bool = False

    async def answer(self, tails: Tails, http: HttpRequest, host: Host) -> Response:
        """The answer to a request. Raises QueryError and Unavailable."""
        given = params.read(self.search, http.query_params.multi_items())
        allowed = params.formats_of(self.search)
        form = formats.chosen(given.format, http.headers.get("accept", ""), allowed)
        with host.filtered.counting(params.filters_of(given), params.signal_of(self.search)):
            answer = await self.handler(Ask(tails, http, given, form, host))
        if self.deprecated:
            answer.headers["deprecation"] = "true"
        return answer
