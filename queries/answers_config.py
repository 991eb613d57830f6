"""What the API answers about the configuration in force."""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct


class Overrides(Struct):
    """The administrator's file. `state` is `in_force`, `absent` or `refused`; `problems` says why what is in force is
    not what the file says now, naming places in it and nothing that stands there."""

    file: str | None
    state: str
    problems: list[str]


class PromotedKeys(Struct):
    """Attribute keys by the type of the values that are promoted."""

    string: list[str]
    int: list[str]
    double: list[str]
    bool: list[str]
    bytes: list[str]


class OwnerLists(Struct):
    """What is promoted and what is dropped of one owner's attributes; `user.*` is all that begin so."""

    owner: str
    promoted: PromotedKeys
    dropped: list[str]


class RedactionLists(Struct):
    """What is redacted whosever it is: keys of which only a hash of the value is stored, members that log bodies lose,
    and how many expressions hide parts of these (which may themselves say what is secret)."""

    hashed: list[str]
    log_body_members: list[str]
    log_body_expressions: int


class SettingInForce(Struct):
    """A setting as it was written, and where: `file:line`, a variable or a flag; null where it is the default."""

    key: str
    value: str
    origin: str | None


class Configuration(Struct):
    """GET /api/config: the attribute lists, in force since `lists_since`, and the settings, since `started`."""

    records: ClassVar[str] = "settings"
    started: datetime
    started_unix_nano: int
    lists_since: datetime
    lists_since_unix_nano: int
    overrides: Overrides
    lists: list[OwnerLists]
    redaction: RedactionLists
    settings: list[SettingInForce]
