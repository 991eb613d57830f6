"""YAML documents read strictly: every problem is one line that names file, line and key path.

Works on PyYAML's nodes instead of the values it would build: nodes know their line, keep duplicate keys
apart, and leave a scalar as the text that somebody wrote (`5:30` stays `5:30`, `yes` stays `yes`).
"""

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from exporter.errors import ConfigurationError, quoted

_TAG = "tag:yaml.org,2002:"
_MAX_BYTES = 1024 * 1024
"""YAML is read at 0.5 MB/s, and a running server has other things to do."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS = {"str": "a string", "int": "an integer", "float": "a number", "bool": "a boolean", "null": "empty"}


# Other people's words for these names, which no distance between spellings would find.
_SYNONYMS = {"trace": "spans", "traces": "spans", "float": "double", "number": "double", "text": "string"}


def did_you_mean(word: str, legal: Collection[str]) -> str:
    """A question that ends an error about an unknown name: the nearest legal one, whatever the distance."""
    known = {other: name for other, name in _SYNONYMS.items() if name in legal} | {name: name for name in legal}
    nearest = get_close_matches(word, sorted(known), n=1, cutoff=0.0)[0]
    return f"did you mean {known.get(word.lower(), known[nearest])}?"


def one_line(text: str) -> str:
    """`text` as one printable line, line breaks and control characters escaped."""
    return text if text.isprintable() else repr(text)[1:-1]


def quote(text: str) -> str:
    """`text` of a file in a problem with it, on one line: a log leaves it out."""
    return quoted(one_line(text))


class Document:
    """One YAML file under validation: hands out its parts and collects what is wrong with them."""

    def __init__(self, name: str, data: bytes) -> None:
        """Parse `data`, called `name` in messages. Raises ConfigurationError where it is not one document."""
        self.name = one_line(name)
        self.problems: list[str] = []
        try:
            self.root = yaml.compose(data, Loader=yaml.SafeLoader)
        except RecursionError:
            raise ConfigurationError(
                f"{self.name}: is nested too deeply: lists inside two mappings are enough"
            ) from None
        except (ValueError, OverflowError):
            # PyYAML's own, of "\UFFFFFFFF".
            raise ConfigurationError(f"{self.name}: is not one YAML document: an escape is no character") from None
        except yaml.YAMLError as error:
            where = f"{self.name}{_line(error)}"
            raise ConfigurationError(f"{where}: is not one YAML document: {quote(_reason(error))}") from None

    @classmethod
    def read(cls, path: Path) -> "Document":
        """The document in a file. Raises ConfigurationError where it cannot be read or parsed."""
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
        if len(data) > _MAX_BYTES:
            raise ConfigurationError(f"{path}: is longer than 1 MiB, which is all that a ConfigMap holds")
        return cls(str(path), data)

    def where(self, node: Node) -> str:
        """`file:line` of a node."""
        return f"{self.name}:{node.start_mark.line + 1}"

    def problem(self, node: Node, path: str, message: str) -> None:
        """Note one problem with what stands at `path`; both give what is no name of the format to `quote`."""
        self.problems.append(f"{self.where(node)}: {path or 'top level'}: {message}")

    def entries(self, node: Node | None, path: str = "", legal: Collection[str] = ()) -> Iterator["Entry"]:
        """The legal entries of a mapping; none of an empty node. Notes whatever else stands there."""
        if node is None or is_null(node):
            return
        if not isinstance(node, MappingNode):
            self.problem(node, path, f"must be a mapping of {', '.join(legal)}; is {kind(node)}")
            return
        seen: set[str] = set()
        for key_node, value in node.value:
            key = str(key_node.value) if isinstance(key_node, ScalarNode) else kind(key_node)
            shown = key if key in legal else quote(key)
            entry = Entry(key, f"{path}.{shown}" if path else shown, key_node, value)
            if key in seen:
                self.problem(key_node, entry.path, "stands here twice")
            elif key not in legal:
                self.problem(key_node, entry.path, f"unknown key, {did_you_mean(key, legal)}")
            else:
                yield entry
            seen.add(key)

    def items(self, node: Node, path: str, what: str) -> Iterator[tuple[Node, str]]:
        """(node, path) of a list's items; none of an empty node. Notes what is no list, called a list of `what`."""
        if is_null(node):
            return
        if not isinstance(node, SequenceNode):
            self.problem(node, path, f"must be a list of {what}; is {kind(node)}")
            return
        for index, item in enumerate(node.value):
            yield item, f"{path}[{index}]"

    def string(self, node: Node, path: str) -> Iterator[tuple[str, Node, str]]:
        """(string, node, path) of a string. Notes whatever else stands there."""
        if node.tag == _TAG + "str":
            if _LONE_SURROGATE.search(node.value):
                self.problem(node, path, f"half a character, which no sender can send: {quote(node.value)}")
            else:
                yield str(node.value), node, path
        else:
            self.problem(node, path, f"must be a string (quote it); is {kind(node)}")

    def strings(self, node: Node, path: str) -> Iterator[tuple[str, Node, str]]:
        """(string, node, path) of a list's strings; none of an empty node. Notes whatever else stands there."""
        for item, item_path in self.items(node, path, "attribute keys"):
            yield from self.string(item, item_path)

    def finish(self) -> None:
        """Raise ConfigurationError if anything was noted."""
        if self.problems:
            raise ConfigurationError(*self.problems)


class Entry:
    """One entry of a mapping: its key, the dotted path to it, and the nodes of both sides."""

    __slots__ = ("key", "node", "path", "value")

    def __init__(self, key: str, path: str, node: Node, value: Node) -> None:
        self.key, self.path, self.node, self.value = key, path, node, value


def is_null(node: Node) -> bool:
    """Whether nothing stands there (`key:`, `~`, `null`)."""
    return bool(node.tag == _TAG + "null")


def is_plain(node: Node) -> bool:
    """Whether it is one scalar of a type that YAML itself knows, null included."""
    return isinstance(node, ScalarNode) and str(node.tag).startswith(_TAG)


def kind(node: Node) -> str:
    """What a node is, in words; scalars with their text, so that the line can be found and quoted."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    name = _KINDS.get(str(node.tag).removeprefix(_TAG)) or f"tagged {quote(str(node.tag))}"
    return f"{name}: {quote(str(node.value))}" if node.value else name


def _line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _reason(error: yaml.YAMLError) -> str:
    # str(error) would quote the file, which may hold a database password.
    parts = [
        getattr(error, "context", None),
        getattr(error, "problem", None) or getattr(error, "reason", None),
    ]
    return ", ".join(part for part in parts if part) or "unreadable characters"
