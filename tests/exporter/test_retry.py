"""What a Retry-After header asks for; what is retried and when is tested through the commands that do it."""

from datetime import UTC, datetime

import pytest

from exporter.retry import retry_after_s

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("3", 3.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 00:00:05 GMT", 5.0),
        ("Thu, 01 Jan 2026 00:00:05 -0000", 5.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("\u00b2", None),
    ],
)
def test_retry_after(header: str, expected: float | None) -> None:
    assert retry_after_s(header, NOW) == expected
