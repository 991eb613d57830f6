"""Ingest goes on whatever is asked for, and lets in those with a token of now, nobody else."""

from tests.faults import access


def test_hostile_reads(database_url: str) -> None:
    assert access.hostile_reads(3, database_url).problems == []


def test_tokens_are_rotated(database_url: str) -> None:
    assert access.tokens_rotated(2, database_url).problems == []
