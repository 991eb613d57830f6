"""Where a setting's text can stand (file, environment, flags), read into one shape with the place of each.

Knows keys, not meanings: `exporter.settings` declares them and parses the texts.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from yaml.nodes import Node, ScalarNode

from exporter.documents import Document, did_you_mean, is_null, is_plain, kind

CONFIG_VARIABLE = "POSTEL_CONFIG"
"""Names the mounted file; a variable without a key."""

# A Kubernetes Service called postel, or postel-anything, puts such variables into every pod of its namespace.
_SERVICE_LINK = re.compile(
    r"POSTEL(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


class Given(NamedTuple):
    """One value as somebody wrote it, and where: `file:line`, a variable or a flag; or the items of a list."""

    text: str
    origin: str
    is_default: bool = False
    items: "tuple[tuple[str, Layer], ...]" = ()
    """Where each stands, and its own keys."""


Layer = dict[str, Given]
"""Dotted key -> what one layer gives for it."""
Lists = Mapping[str, Collection[str]]
"""Key of a list of mappings -> the dotted keys of each. Only a file can give one."""


def variable(key: str) -> str:
    """The environment variable of a dotted key."""
    return f"POSTEL_{key.upper().replace('.', '_')}"


def from_document(document: Document, keys: Collection[str], lists: Lists) -> Layer:
    """What a YAML document sets; its problems are noted in the document."""
    return dict(_leaves(document, document.root, "", keys, lists))


def _leaves(
    document: Document, node: Node | None, prefix: str, keys: Collection[str], lists: Lists
) -> Iterator[tuple[str, Given]]:
    known = [*keys, *lists]
    legal = {key.removeprefix(prefix).split(".")[0]: None for key in known if key.startswith(prefix)}
    for entry in document.entries(node, prefix.rstrip("."), legal):
        if entry.path in lists:
            items = tuple(_items(document, entry.value, entry.path, lists[entry.path]))
            yield entry.path, Given("", document.where(entry.value), items=items)
        elif entry.path not in keys:
            yield from _leaves(document, entry.value, f"{entry.path}.", keys, lists)
        elif isinstance(entry.value, ScalarNode) and is_plain(entry.value):
            text = "none" if is_null(entry.value) else str(entry.value.value)
            yield entry.path, Given(text, document.where(entry.value))
        else:
            document.problem(entry.value, entry.path, f"must be one value; is {kind(entry.value)}")


def _items(document: Document, node: Node, path: str, keys: Collection[str]) -> Iterator[tuple[str, Layer]]:
    for item, item_path in document.items(node, path, "mappings"):
        prefix = f"{item_path}."
        found = _leaves(document, item, prefix, [prefix + key for key in keys], {})
        yield document.where(item), {key.removeprefix(prefix): given for key, given in found}


def from_environment(environ: Mapping[str, str], keys: Collection[str], problems: list[str]) -> Layer:
    """What `POSTEL_*` variables set; unknown ones are problems, save those that Kubernetes adds."""
    legal = {variable(key): key for key in keys}
    layer: Layer = {}
    for name, text in sorted(environ.items()):
        if name in legal:
            layer[legal[name]] = Given(text, name)
        elif name.startswith("POSTEL_") and name != CONFIG_VARIABLE and not _is_service_link(name, text):
            problems.append(f"{name}: unknown variable, {did_you_mean(name, [*legal, CONFIG_VARIABLE])}")
    return layer


def _is_service_link(name: str, text: str) -> bool:
    return bool(_SERVICE_LINK.fullmatch(name)) or (name.endswith("_PORT") and bool(_SERVICE_URL.match(text)))


def from_flags(flags: Mapping[str, str], keys: Collection[str], problems: list[str]) -> Layer:
    """What flags set, by dotted key."""
    layer: Layer = {}
    for key, text in flags.items():
        origin = f"--{key.replace('_', '-')}"
        if key in keys:
            layer[key] = Given(text, origin)
        else:
            problems.append(f"{origin}: {key}: unknown key, {did_you_mean(key, keys)}")
    return layer
