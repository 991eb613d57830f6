"""Every error that Postel raises on purpose, as one tree; `app.py` holds the one table of HTTP statuses."""

import re

_QUOTED = re.compile("\x02(.*?)\x03")
"""Control characters, which no problem holds otherwise: it is one printable line."""


class PostelError(Exception):
    """Anything that Postel itself found wrong."""


def quoted(text: str) -> str:
    """A printable text in a problem that repeats what somebody wrote: only who may read the file is to see it."""
    return f"\x02{text}\x03"


class ConfigurationError(PostelError):
    """Settings, promotion lists or flags are unusable; one line per problem, each naming file and key.

    `unquoted` are the same lines for a log: … stands for what they repeat of the file.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(_QUOTED.sub(r"\1", problem) for problem in problems)
        self.unquoted = tuple(_QUOTED.sub("…", problem) for problem in problems)
        super().__init__("\n".join(self.problems))


class RequestError(PostelError):
    """The request is wrong and would be wrong again: the sender must not retry it."""


class UndecodableBody(RequestError):
    """The body is no OTLP request of this endpoint, or its compression is corrupt."""


class BodyTooLarge(RequestError):
    """The body exceeds `max_body_bytes`, before or after decompression."""


class BodyStalled(RequestError):
    """The body stopped arriving."""


class UnsupportedMediaType(RequestError):
    """Neither application/x-protobuf nor application/json, or an unknown content encoding."""


class Unauthenticated(RequestError):
    """No token, or none that is known."""


class Forbidden(RequestError):
    """A token that is known, but not for this."""


class Unavailable(PostelError):
    """Nothing is wrong with the request: the sender keeps its data and tries again."""


class StorageUnavailable(Unavailable):
    """PostgreSQL is down, slow, read-only, full or failing over; nothing of the request is committed, or it is
    unknown and the ledger will tell."""


class NotPermitted(StorageUnavailable):
    """The database role may not do that; an administrator may change it meanwhile."""


class Overloaded(Unavailable):
    """The bytes in flight or the queue have reached their bound."""


class ShuttingDown(Unavailable):
    """The server drains and takes nothing new."""


class ChangedMigration(PostelError):
    """A script that was applied reads differently now: nobody knows what the schema is."""


class Refused(PostelError):
    """A function of the schema refuses, and says what to do instead."""


class Duplicate(PostelError):
    """A natural key is there already: the same rows again, or others under the same key."""


class Deadlock(PostelError):
    """Two transactions stood in each other's way; the same again will do."""


class NoPartition(PostelError):
    """A row has no partition to go to."""


class BadData(PostelError):
    """PostgreSQL refuses a row for what it holds."""
