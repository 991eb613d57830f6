"""The text forms of settings: what is read, and what is refused with which words."""

from pathlib import Path
from typing import Any

import pytest

from exporter import quantities
from exporter.quantities import Parser


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (quantities.seconds, "250ms", 0.25),
        (quantities.seconds, "15s", 15.0),
        (quantities.seconds, "0.1s", 0.1),
        (quantities.seconds, "1h30m", 5400.0),
        (quantities.seconds, "6h", 21600.0),
        (quantities.seconds, "30d", 2592000.0),
        (quantities.seconds, "1w", 604800.0),
        (quantities.size_in_bytes, "4096", 4096),
        (quantities.size_in_bytes, "4096B", 4096),
        (quantities.size_in_bytes, "512KiB", 524288),
        (quantities.size_in_bytes, "20MiB", 20971520),
        (quantities.size_in_bytes, "20 MiB", 20971520),
        (quantities.size_in_bytes, "1.5GiB", 1610612736),
        (quantities.size_in_bytes, "1GB", 1000000000),
        (quantities.integer, "5000", 5000),
        (quantities.integer, "-1", -1),
        (quantities.share, "0.8", 0.8),
        (quantities.share, "1", 1.0),
        (quantities.address, "127.0.0.1:0", "127.0.0.1:0"),
        (quantities.address, "[::1]:4318", "[::1]:4318"),
        (quantities.address, "localhost:65535", "localhost:65535"),
        (quantities.postgres_url, "postgres://a@b/c", "postgres://a@b/c"),
        (quantities.path, "/a/b", Path("/a/b")),
        (quantities.path, "~/a", Path.home() / "a"),
        (quantities.optional(quantities.integer), "None", None),
        (quantities.optional(quantities.integer), "3", 3),
        (quantities.one_of(quantities.seconds, "1h", "1d"), "24h", 86400.0),
        (quantities.between(quantities.integer, "1", "3"), "3", 3),
    ],
)
def test_reads(parse: Parser[Any], text: str, value: object) -> None:
    assert parse(text) == value
    assert type(parse(text)) is type(value)


@pytest.mark.parametrize(
    ("parse", "texts", "wanted"),
    [
        (quantities.seconds, ["", "15", "15 s", "s", "-1s", "1h30", "1y", "inf", "\u0661s"], "such as 15s"),
        (quantities.size_in_bytes, ["", "MiB", "20Mib", "-1B", "1e6", "1,5MiB"], "such as 512KiB"),
        (quantities.integer, ["", "1.0", "1e3", "1_000", "0x10", "\u0663", "9" * 5000], "an integer"),
        (quantities.share, ["", "1.1", "-0.1", "80%", "nan"], "from 0 to 1"),
        (quantities.address, ["", "4318", ":4318", "::1:4318", "a:b", "a:65536", "a:", "http://a:1"], "HOST:PORT"),
        (quantities.postgres_url, ["", "mysql://a", "host=a", "postgresql:a"], "postgresql://"),
        (quantities.path, [""], "a path"),
        (quantities.one_of(quantities.seconds, "1h", "1d"), ["2h"], "one of 1h, 1d"),
        (quantities.between(quantities.integer, "1", "3"), ["0", "4"], "from 1 to 3"),
    ],
)
def test_refuses(parse: Parser[Any], texts: list[str], wanted: str) -> None:
    for text in texts:
        with pytest.raises(ValueError, match=wanted):
            parse(text)
