"""The description of the API as an OpenAPI document, made of its endpoints: their parameters, answers and docstrings.

Source: https://spec.openapis.org/oas/v3.1.0.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias, get_args

import msgspec
from msgspec import Struct

from queries import answers, answers_metrics, descriptions, params
from queries.asking import Endpoint
from queries.formats import media_type
from queries.params import JSON, OTLP, TEXT
from queries.values import text as any_text

Json: TypeAlias = dict[str, Any]

_REF = "#/components/{}/{}"
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_POINTS = (*get_args(answers.AnyPoint), answers_metrics.Value)
_EXPORT_REQUEST = {
    "title": "ExportRequest",
    "description": "An OTLP/JSON export request of one signal.",
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        name: {"type": "array", "items": {"type": "object"}}
        for name in ("resourceSpans", "resourceLogs", "resourceMetrics")
    },
    "additionalProperties": False,
}
_ERROR = {
    "title": "Error",
    "description": "What went wrong: a code for programs, a message for people, the parameter, what to type instead.",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "enum": list(descriptions.ERRORS)},
                "message": {"type": "string"},
                "parameter": {"type": "string"},
                "hint": {"type": "string"},
            },
        }
    },
}
_RETRY_AFTER = {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer"}}
_LINK = {"description": 'The next page, where there is one: `<url>; rel="next"`.', "schema": {"type": "string"}}
_FAILURES = ("400", "401", "403", "404", "503")


class Document(Struct):
    """GET /api/openapi.json: an OpenAPI document."""

    openapi: str
    info: Json
    servers: list[Json]
    security: list[Json]
    tags: list[Json]
    paths: Json
    components: Json


def document(endpoints: Sequence[Endpoint]) -> Document:
    """The description of these endpoints."""
    shapes = [endpoint.content for endpoint in endpoints]
    refs, schemas = msgspec.json.schema_components((*shapes, *_POINTS), ref_template=_REF.format("schemas", "{name}"))
    for schema in schemas.values():
        schema["required"] = list(schema["properties"])
    schemas["Line"]["properties"]["data_points"]["items"] = {"anyOf": list(refs[len(shapes) :])}
    shared = Counter(endpoint.handler for endpoint in endpoints)
    return Document(
        openapi="3.1.0",
        info=_info(),
        servers=[{"url": "/api"}, {"url": "/api/v2"}],
        # A token is asked for only where there is a read_token_file.
        security=[{}, {"bearer": []}],
        tags=[{"name": name, "description": told} for name, told in {_tag(e): _told(e) for e in endpoints}.items()],
        paths={
            plain(endpoint.path): {"get": _operation(endpoint, ref, schemas, shared[endpoint.handler] > 1)}
            for endpoint, ref in zip(endpoints, refs, strict=False)
        },
        components={
            "schemas": _sized(schemas | {"ExportRequest": _EXPORT_REQUEST, "Error": _ERROR}),
            "responses": {status: _failure(status) for status in _FAILURES},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    )


def plain(path: str) -> str:
    """The path with its parameters' names alone: {name:path} is {name}."""
    return _PATH_PARAMETER.sub(r"{\1}", path)


def path_parameters(path: str) -> list[str]:
    """The names of a path's parameters."""
    return _PATH_PARAMETER.findall(path)


def _info() -> Json:
    try:
        release = version("postel")
    except PackageNotFoundError:
        release = "0"
    return {
        "title": "Postel",
        "version": release,
        "description": descriptions.ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }


def _tag(endpoint: Endpoint) -> str:
    return endpoint.handler.__module__.rpartition(".")[2]


def _told(endpoint: Endpoint) -> str:
    return (sys.modules[endpoint.handler.__module__].__doc__ or "").partition("\n")[0]


def _operation(endpoint: Endpoint, ref: Json, schemas: Mapping[str, Json], is_shared: bool) -> Json:
    in_path = path_parameters(endpoint.path)
    name: str = endpoint.handler.__name__
    return {
        "operationId": "_of_".join([name, *in_path]) if is_shared else name,
        "summary": summary(endpoint),
        "tags": [_tag(endpoint)],
        "deprecated": endpoint.deprecated,
        "parameters": [*map(_in_path, in_path), *_in_query(endpoint.search, in_path)],
        "responses": {
            "200": _success(endpoint, ref, schemas),
            **{status: {"$ref": _REF.format("responses", status)} for status in _FAILURES},
        },
    }


def summary(endpoint: Endpoint) -> str:
    """What an endpoint answers, in a sentence: its handler's docstring."""
    return " ".join((endpoint.handler.__doc__ or "").split())


def _in_path(name: str) -> Json:
    # A name means the same in a path and in a query.
    known = params.fields(params.OfTrace).get(name)
    schema = known.parse.schema if known else any_text.schema | {"minLength": 1}  # type: ignore[attr-defined]
    return _parameter(name, "path", schema) | {"required": True}


def _in_query(search: type[params.Shown], in_path: Sequence[str]) -> Iterable[Json]:
    for name, field in params.fields(search).items():
        if name in in_path:
            continue
        schema = field.parse.schema  # type: ignore[attr-defined]
        if field.repeatable:
            yield _parameter(name, "query", {"type": "array", "items": schema}) | {"style": "form", "explode": True}
        else:
            yield _parameter(name, "query", schema)
    if on := params.prefixes(search):
        yield _filters(on)


def _parameter(name: str, place: str, schema: Json) -> Json:
    text, typed = descriptions.PARAMETERS[name]
    if typed not in (allowed := schema.get("enum", [typed])):
        typed = allowed[0]
    examples = {"array": [typed], "boolean": typed == "true", "integer": int(typed) if typed.isdigit() else None}
    example = examples.get(schema.get("type", ""), typed)
    return {"name": name, "in": place, "description": text, "schema": schema, "example": example}


def _filters(prefixes: Sequence[str]) -> Json:
    """Filters on attributes: an object whose members are parameters, whatever their names."""
    about = [f"`{prefix}.KEY`: {descriptions.FILTERS[prefix].text}." for prefix in prefixes]
    operators = [f"`__{name}` {told.text} (`{told.example}`)" for name, told in descriptions.OPERATORS.items()]
    return {
        "name": "filters",
        "in": "query",
        "style": "form",
        "explode": True,
        "description": f"{descriptions.FILTERING} {' '.join(about)} Operators: {'; '.join(operators)}.",
        "schema": {
            "type": "object",
            "propertyNames": {"pattern": f"^({'|'.join(prefixes)})\\."},
            "additionalProperties": {"type": "string"},
        },
        "example": dict(descriptions.FILTERS[prefix].example.split("=") for prefix in prefixes),
    }


def _success(endpoint: Endpoint, ref: Json, schemas: Mapping[str, Json]) -> Json:
    forms = params.formats_of(endpoint.search)
    content: Json = {}
    for form in forms:
        found: Json = {"schema": {"type": "string"}}
        if form == JSON:
            found = {
                "schema": {"anyOf": [ref, {"$ref": _REF.format("schemas", "ExportRequest")}]} if OTLP in forms else ref
            }
        elif form == OTLP:
            found = {}
        elif form != TEXT:
            # What OpenAPI 3.2 calls itemSchema: what each line, or each event, is.
            found["x-itemSchema"] = _record(endpoint.content, ref, schemas)
        content[media_type(form)] = found
    headers = {"headers": {"Link": _LINK}} if issubclass(endpoint.search, params.Paged) else {}
    return {"description": "The answer.", **headers, "content": content}


def _record(content: type[Struct], ref: Json, schemas: Mapping[str, Json]) -> Json:
    """The schema of one record of an answer; where it has no list of records it is one itself."""
    name = getattr(content, "records", None)
    if name is None:
        return ref
    properties: Json = schemas[ref["$ref"].rpartition("/")[2]]["properties"]
    record: Json = properties.get(name, {}).get("items", {})
    return record


def _failure(status: str) -> Json:
    told = [text for text, answered in descriptions.ERRORS.values() if answered == status]
    headers = {"headers": {"Retry-After": _RETRY_AFTER}} if status == "503" else {}
    content = {media_type(JSON): {"schema": {"$ref": _REF.format("schemas", "Error")}}}
    return {"description": " ".join(told), **headers, "content": content}


def _sized(schema: Any) -> Any:
    """The same with what programs in other languages need to know: integers have 64 bits."""
    if isinstance(schema, list):
        return [_sized(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    size = {"format": "int64"} if schema.get("type") == "integer" else {}
    return {name: _sized(part) for name, part in schema.items()} | size
