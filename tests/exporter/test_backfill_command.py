"""`postel promote` and `postel demote` as somebody types them: what they say, refuse, and go on with after kill -9."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.promotion import load
from tests.exporter.sending import sent, span, spans
from tests.exporter.test_cli import postel
from tests.exporter.test_row_indexes import many
from tests.sql.rows import ask

ORDERS = tuple(spans(span(1, i + 1, has={"order.id": f"o{i % 40}", "n": i % 30})) for i in range(120))


def run(url: str, folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command with an overrides file of this text."""
    file = folder / "overrides.yaml"
    file.write_text(text)
    return postel(*arguments, "--database-url", url, POSTEL_ATTRIBUTE_OVERRIDES=str(file))


PROMOTED = "promote: {spans: {string: [order.id]}}\n"
PROMOTE = ("promote", "order.id", "--signal", "spans")
DEMOTE = ("demote", "order.id", "--signal", "spans")


def test_there_and_back(store: str, tmp_path: Path) -> None:
    sent(store, *ORDERS, many("order.id"), many("order.id", day=-1))
    partitions = len(ask(store, "SELECT FROM otel_partitions WHERE parent = 'otel_spans_fact'"))
    series = ask(store, "SELECT count(*) AS n FROM otel_span_series_dim WHERE attributes ? 'order.id'")[0]["n"]
    assert series > 20
    told = run(store, tmp_path, PROMOTED, *PROMOTE)
    assert (told.returncode, told.stdout) == (
        0,
        f"spans: order.id (string): typed rows missing: {series}, indexes of partitions missing: {partitions};"
        " --backfill brings them in line\n",
    )
    done = run(store, tmp_path, PROMOTED, *PROMOTE, "--backfill")
    made = f"typed rows written: {series}, indexes of partitions made: {partitions}\n"
    assert (done.returncode, done.stdout) == (0, f"spans: order.id (string): {made}")
    total = ask(store, "SELECT count(*) AS n FROM otel_span_series_dim")[0]["n"]
    assert done.stderr.splitlines()[-1].startswith(f"postel promote: {total:,} of {total:,} rows, ")
    for _ in range(2):
        again = run(store, tmp_path, PROMOTED, *PROMOTE, "--backfill")
        assert (again.returncode, again.stdout) == (0, "spans: order.id (string): stored as the lists say\n")
    told = run(store, tmp_path, "", *DEMOTE)
    gone = f"typed rows too many: {series}, indexes of partitions too many: {partitions}"
    assert (told.returncode, told.stdout) == (0, f"spans: order.id: {gone}; --backfill brings them in line\n")
    done = run(store, tmp_path, "", *DEMOTE, "--backfill")
    removed = f"typed rows removed: {series}, indexes of partitions dropped: {partitions}\n"
    assert (done.returncode, done.stdout) == (0, f"spans: order.id: {removed}")
    assert run(store, tmp_path, "", *DEMOTE).stdout == "spans: order.id: stored as the lists say\n"


def test_a_key_that_is_not_promoted_gets_the_lines_to_paste(store: str, tmp_path: Path) -> None:
    odd = "it's: #1 \U0001f600 \x7f\x85"
    bodies = [spans(span(1, i + 1, has={"order.id": value, odd: i})) for i, value in enumerate(["a", 1, 2.5, [1], {}])]
    sent(store, *bodies)
    for key, types in (("order.id", {"double", "int", "string"}), (odd, {"int"}), ("nobody's", {"string"})):
        done = run(store, tmp_path, "", "promote", key, "--signal", "spans", "--backfill")
        assert done.returncode == 2
        assert "not promoted; add this to " + str(tmp_path / "overrides.yaml") in done.stderr
        assert ("string is a guess" in done.stderr) == (key == "nobody's")
        (tmp_path / "pasted.yaml").write_text(done.stdout)
        assert load(overrides=tmp_path / "pasted.yaml").promoted_types("spans", key) == types
    assert done.stdout == 'promote:\n  spans:\n    string:\n      - "nobody\'s"\n'


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", ("promote", "a", "--signal", "span_events"), "--signal: attributes of span_events lie on their own rows"),
        ("", ("demote", "a", "--signal", "span_links"), "--signal: attributes of span_links lie on their own rows"),
        ("drop: {spans: ['order.*']}", PROMOTE, "drop.spans: order.id is dropped, which wins over promote"),
        (PROMOTED, DEMOTE, "promote.spans: order.id is promoted as string: take it off that list"),
        ("", ("demote", "http.route", "--signal", "spans"), "by the base list, which cannot be shortened"),
        (PROMOTED, ("demote", "http.route", "--signal", "spans"), "config/attribute-promotion.yaml: spans: http.route"),
    ],
)
def test_what_is_refused(store: str, tmp_path: Path, text: str, arguments: tuple[str, ...], said: str) -> None:
    done = run(store, tmp_path, text, *arguments, "--backfill")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_a_key_is_not_obeyed_by_a_terminal(store: str, tmp_path: Path) -> None:
    done = run(store, tmp_path, "", "demote", "a\x1b[2Jb", "--signal", "spans")
    assert (done.returncode, done.stdout) == (0, "spans: a\ufffd[2Jb: stored as the lists say\n")


def test_an_attribute_that_is_dropped_by_now_loses_its_typed_rows(store: str, tmp_path: Path) -> None:
    """Also one of the base list: dropped, it is not promoted any more."""
    sent(store, spans(span(1, 1, has={"http.route": "/a"})))
    assert len(ask(store, "SELECT FROM otel_span_series_attrs_string")) == 1
    done = run(
        store, tmp_path, "drop: {spans: [http.route]}", "demote", "http.route", "--signal", "spans", "--backfill"
    )
    assert (done.returncode, done.stdout) == (0, "spans: http.route: typed rows removed: 1\n")
    assert ask(store, "SELECT FROM otel_span_series_attrs_string") == []


SERIES = 30_000
FILL = f"""
INSERT INTO attribute_keys (key_hash, key) VALUES (sha256('order.id'), 'order.id');
INSERT INTO otel_scopes_dim (scope_id, dropped_attributes_count, scope_hash, name, version, schema_url, attributes)
VALUES (1, 0, '', 'lib', '', '', '{{}}');
INSERT INTO otel_span_series_dim (scope_id, kind_id, series_hash, name, attributes)
SELECT 1, 1, sha256(n::text::bytea), 'work', jsonb_build_object('order.id', 'o' || n)
FROM generate_series(1, {SERIES}) AS n
"""


@pytest.mark.parametrize("command", ["promote", "demote"])
def test_what_is_killed_goes_on(store: str, tmp_path: Path, command: str) -> None:
    ask(store, "SELECT", given=FILL)
    typed = "SELECT count(*) AS n FROM otel_span_series_attrs_string"
    if command == "demote":
        copied = "SELECT series_id, key_id, 'x' FROM otel_span_series_dim, attribute_keys"
        ask(store, f"INSERT INTO otel_span_series_attrs_string {copied} RETURNING 1")
    file = tmp_path / "overrides.yaml"
    file.write_text(PROMOTED if command == "promote" else "")
    arguments = [command, "order.id", "--signal", "spans", "--backfill", "--database-url", store]
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", *arguments],
        env=os.environ | {"POSTEL_ATTRIBUTE_OVERRIDES": str(file)},
        stderr=subprocess.DEVNULL,
    )
    first, last = (0, SERIES) if command == "promote" else (SERIES, 0)
    deadline = time.monotonic() + 60
    while (come := ask(store, typed)[0]["n"]) == first:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    come = ask(store, typed)[0]["n"]
    assert min(first, last) < come < max(first, last), "killed in the middle"
    done = postel(*arguments, POSTEL_ATTRIBUTE_OVERRIDES=str(file))
    told = f"typed rows {'written' if command == 'promote' else 'removed'}: {abs(last - come):,}"
    assert (done.returncode, told in done.stdout) == (0, True), done
    assert ask(store, typed) == [{"n": last}]
    assert ask(store, "SELECT FROM otel_backfills") == []
    if command == "promote":
        # It did not begin anew.
        assert int(done.stderr.split(": ")[1].split(" of ")[0].replace(",", "")) > come - 1000
