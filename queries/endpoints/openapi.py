"""The description of the API, for programs."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated

import msgspec
from starlette.responses import Response

from queries import openapi, params
from queries.asking import Ask, Endpoint
from queries.formats import media_type
from queries.values import one_of


class DocumentSearch(params.Shown, kw_only=True):
    """GET /api/openapi.json."""

    takes_no = dict.fromkeys(("width", "color"), "the description is not drawn for a terminal")
    format: Annotated[str | None, one_of(params.JSON)] = None


def describing(others: Sequence[Endpoint]) -> Endpoint:
    """The endpoint that describes these others and itself."""

    @cache
    def document() -> bytes:
        return msgspec.json.encode(openapi.document((*others, endpoint)))

    async def show_description(_ask: Ask[DocumentSearch]) -> Response:
        """What can be asked here and what is answered, as OpenAPI 3.1."""
        return Response(document(), media_type=media_type(params.JSON))

    endpoint = Endpoint("/openapi.json", DocumentSearch, openapi.Document, show_description)
    return endpoint
