"""How jsonb and uuid travel on every connection: as the bytes they are, as nothing here wants objects of either."""

from typing import Any


async def set_codecs(connection: Any) -> None:
    """jsonb as its text, uuid as its 16 bytes, both ways, on an asyncpg connection."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_with_version, decoder=_without_version, format="binary"
    )
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")


def _with_version(text: bytes) -> bytes:
    return b"\x01" + text


def _without_version(data: bytes) -> bytes:
    return data[1:]
