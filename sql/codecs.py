"""How jsonb and uuid travel on every connection: as the bytes they are, as nothing here wants objects of either."""

from operator import itemgetter
from typing import Any

_VERSION = b"\x01"


async def set_codecs(connection: Any) -> None:
    """jsonb as its text, uuid as its 16 bytes, both ways, on an asyncpg connection."""
    # Functions in C: they are called for every value.
    with_version, without_version = _VERSION.__add__, itemgetter(slice(1, None))
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=with_version, decoder=without_version, format="binary"
    )
    await connection.set_builtin_type_codec("uuid", schema="pg_catalog", codec_name="bytea", format="binary")
