"""The seed's detector, with old and current names."""

import pytest

from queries.semantics import detect


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["http.method"], "http"),
        (["http.request.method", "url.path"], "http"),
        (["gen_ai.system", "http.method"], "ai_agent"),
        (["db.system.name"], "db"),
        (["messaging.system"], "messaging"),
        (["rpc.service"], "rpc"),
        (["faas.name"], "faas"),
        (["aws.region"], "aws"),
        (["az.namespace"], "azure"),
        (["gcp.project"], "gcp"),
        (["https", "dbx"], None),
        ([], None),
    ],
)
def test_detects(keys: list[str], expected: str | None) -> None:
    assert detect(keys) == expected
