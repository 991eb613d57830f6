"""Bad configurations: each one refused with one line that names file, line and key."""

from pathlib import Path

import pytest

from exporter import promotion, settings
from exporter.errors import ConfigurationError

SETTINGS = [
    # (text of the mounted file, what the only problem says after the file's name)
    ("bnid: a:1", ":1: bnid: unknown key, did you mean bind?"),
    ("\nmax_body: 1MiB", ":2: max_body: unknown key, did you mean max_body_bytes?"),
    ("retention: {spanz: 7d}", ":1: retention.spanz: unknown key, did you mean spans?"),
    ("retention: {traces: 7d}", ":1: retention.traces: unknown key, did you mean spans?"),
    ("retention:\n  logs: 14", ":2: retention.logs: must be a duration with its unit"),
    ("retention: 7d", ":1: retention: must be a mapping of spans, logs, metrics, max_size, rules; is a string: 7d"),
    ("retention: [7d]", ":1: retention: must be a mapping of spans, logs, metrics, max_size, rules; is a list"),
    ("verdict: {min_distnct: 3}", ":1: verdict.min_distnct: unknown key, did you mean min_distinct?"),
    ("verdict: {new_value_share: 80}", ":1: verdict.new_value_share: must be a number from 0 to 1; is 80"),
    ("verdict: {records_per_series: 0}", ":1: verdict.records_per_series: must be from 1 to 1000000000; is 0"),
    ("verdict: {min_distinct: 2000}", ":1: verdict.min_distinct: must be less than verdict.max_distinct"),
    ("bind: 4318", ":1: bind: must be HOST:PORT"),
    ("bind: [a, b]", ":1: bind: must be one value; is a list"),
    ("bind: {host: a}", ":1: bind: must be one value; is a mapping"),
    ("bind: ", ":1: bind: must be HOST:PORT"),
    ("bind: !host a:1", ":1: bind: must be one value; is tagged !host: a:1"),
    ("writers: two", ":1: writers: must be an integer; is two"),
    ("writers: 0", ":1: writers: must be from 1 to 16; is 0"),
    ("readers: true", ":1: readers: must be an integer; is true"),
    ("max_attributes: 1.5", ":1: max_attributes: must be an integer; is 1.5"),
    ("max_body_bytes: 20 megabytes", ":1: max_body_bytes: must be a size in bytes"),
    ("max_body_bytes: -1", ":1: max_body_bytes: must be a size in bytes"),
    ("max_body_bytes: 1B", ":1: max_body_bytes: must be from 1KiB to 1024GiB; is 1B"),
    ("max_inflight_bytes: 1MiB", ":1: max_inflight_bytes: must be at least 4 times max_body_bytes"),
    ("statement_timeout: 9s", ":1: statement_timeout: must be shorter than request_deadline"),
    ("request_deadline: 9", ":1: request_deadline: must be a duration with its unit"),
    ("partition_intervals: {logs: 2h}", ":1: partition_intervals.logs: must be one of 1h, 6h, 1d, 1w; is 2h, did you"),
    ("retention: {max_size: 10Gi}", ":1: retention.max_size: must be a size in bytes, such as 512KiB or 20MiB"),
    ("retention: {max_size: 1KB}", ":1: retention.max_size: must be from 1MiB to 1024TiB; is 1KB"),
    ("partition_interval: 2h", ":1: partition_interval: must be one of 1h, 6h, 1d, 1w; is 2h, did you mean 1h?"),
    ("partition_interval: day", ":1: partition_interval: must be one of 1h, 6h, 1d, 1w; is day, did you mean 1d?"),
    ("accept_past: for ever", ":1: accept_past: must be a duration with its unit"),
    ("shutdown_grace: 1s", ":1: shutdown_grace: must be from 3s to 1h; is 1s"),
    ("attribute_overrides: /nowhere/o.yaml", ":1: attribute_overrides: no such file; is /nowhere/o.yaml"),
    ("database_url: mysql://a/b", ":1: database_url: must be a URL that begins with postgresql://"),
    ("writers: 1\nwriters: 2", ":2: writers: stands here twice"),
    ("- writers", ":1: top level: must be a mapping of bind, data_dir"),
    ("writers: [1", ":1: is not one YAML document: "),
    ("\twriters: 1", ":1: is not one YAML document: "),
    ("writers: 1\n---\nwriters: 2", ":2: is not one YAML document: "),
    ("writers: *unknown", ":1: is not one YAML document: "),
    ('"a\\nb": 1', ":1: a\\nb: unknown key"),
]

OVERRIDES = [
    ("spans: {string: [a]}", ":1: spans: unknown key, did you mean drop?"),
    ("promot: {}", ":1: promot: unknown key, did you mean promote?"),
    ("promote: [a]", ":1: promote: must be a mapping of resource, scope, logs, spans"),
    ("promote:\n  traces: {string: [a]}", ":2: promote.traces: unknown key, did you mean spans?"),
    ("promote:\n  span_event: {string: [a]}", ":2: promote.span_event: unknown key, did you mean span_events?"),
    ("promote: {spans: {str: [a]}}", ":1: promote.spans.str: unknown key, did you mean string?"),
    ("promote: {spans: {float: [a]}}", ":1: promote.spans.float: unknown key, did you mean double?"),
    ("promote: {spans: [a]}", ":1: promote.spans: must be a mapping of string, int, double, bool, bytes; is a list"),
    ("promote: {spans: {string: a}}", ":1: promote.spans.string: must be a list of attribute keys; is a string: a"),
    ("promote: {logs: {int: [a, 42]}}", ":1: promote.logs.int[1]: must be a string (quote it); is an integer: 42"),
    ("promote: {logs: {bool: [yes]}}", ":1: promote.logs.bool[0]: must be a string (quote it); is a boolean: yes"),
    ("promote:\n  logs:\n    string:\n    -\n", ":4: promote.logs.string[0]: must be a string (quote it); is empty"),
    ("promote: {logs: {string: [{a: b}]}}", ":1: promote.logs.string[0]: must be a string (quote it); is a mapping"),
    ("promote: {logs: {string: [[a]]}}", ":1: promote.logs.string[0]: must be a string (quote it); is a list"),
    (
        "promote: {logs: {string: [app.*]}}",
        ":1: promote.logs.string[0]: only what is dropped may be named by a pattern",
    ),
    (
        "drop:\n  spans:\n  - a\n  - us*er",
        ":4: drop.spans[1]: a pattern is a beginning and one star, such as user.*; is us*er",
    ),
    ("drop: {spans: ['*.password']}", ":1: drop.spans[0]: a pattern is a beginning and one star, such as user.*"),
    ("drop: {spans: ['a**']}", ":1: drop.spans[0]: a pattern is a beginning and one star, such as user.*; is a**"),
    ("drop: {spans: ['*']}", ":1: drop.spans[0]: a pattern is a beginning and one star, such as user.*; is *"),
    ("drop: [a]", ":1: drop: must be a mapping of resource, scope, logs, spans"),
    ("drop: {metric: [a]}", ":1: drop.metric: unknown key, did you mean metrics?"),
    ("drop: {hashes: [a]}", ":1: drop.hashes: unknown key, did you mean hash?"),
    ("drop: {log_bodies: [a]}", ":1: drop.log_bodies: unknown key, did you mean log_body?"),
    ("drop: {hash: user.id}", ":1: drop.hash: must be a list of attribute keys; is a string: user.id"),
    ("drop: {hash: {spans: [a]}}", ":1: drop.hash: must be a list of attribute keys; is a mapping"),
    ("drop:\n  hash:\n  - a\n  - 42", ":4: drop.hash[1]: must be a string (quote it); is an integer: 42"),
    ("drop: {hash: ['*.id']}", ":1: drop.hash[0]: a pattern is a beginning and one star, such as user.*; is *.id"),
    ('drop: {logs: ["\\UFFFFFFFF"]}', ": is not one YAML document: an escape is no character"),
    ('drop: {logs: ["\\U00110000"]}', ": is not one YAML document: an escape is no character"),
    ('drop: {logs: ["a\\uD800"]}', ":1: drop.logs[0]: half a character, which no sender can send: a\\ud800"),
    ("drop: {hash: [a], hash: [b]}", ":1: drop.hash: stands here twice"),
    (
        "drop: {log_body: card}",
        ":1: drop.log_body: must be a list of regular expressions and {key: NAME}; is a string: card",
    ),
    ("drop: {log_body: [card, 42]}", ":1: drop.log_body[1]: must be a string (quote it); is an integer: 42"),
    ("drop:\n  log_body:\n  - (card", ":3: drop.log_body[0]: is no regular expression of RE2: missing ): (card"),
    (
        "drop: {log_body: ['a(?=b)']}",
        ":1: drop.log_body[0]: is no regular expression of RE2: invalid perl operator: (?=",
    ),
    ("drop: {log_body: [{}]}", ":1: drop.log_body[0]: must name a member, such as {key: password}"),
    ("drop: {log_body: [{keys: a}]}", ":1: drop.log_body[0].keys: unknown key, did you mean key?"),
    ("drop: {log_body: [{key: 1}]}", ":1: drop.log_body[0].key: must be a string (quote it); is an integer: 1"),
    (
        "drop: {log_body: [{key: 'a*b'}]}",
        ":1: drop.log_body[0].key: a pattern is a beginning and one star, such as user.*; is a*b",
    ),
    ("drop: {log_body: [{key: a, key: b}]}", ":1: drop.log_body[0].key: stands here twice"),
    ("drop: {logs: {string: [a]}}", ":1: drop.logs: must be a list of attribute keys; is a mapping"),
    ("drop: {logs: secret}", ":1: drop.logs: must be a list of attribute keys; is a string: secret"),
    ("drop: {logs: [1.5]}", ":1: drop.logs[0]: must be a string (quote it); is a number: 1.5"),
    ("drop: {logs: [a], logs: [b]}", ":1: drop.logs: stands here twice"),
    ("drop: {logs: [a]}\ndrop: {spans: [b]}", ":2: drop: stands here twice"),
    ("promote: {logs: {string: [a], string: [b]}}", ":1: promote.logs.string: stands here twice"),
    ("promote: {[a]: {}}", ":1: promote.a list: unknown key"),
    ("just words", ":1: top level: must be a mapping of promote, drop; is a string: just words"),
    ("drop: {logs: [a}", ":1: is not one YAML document: "),
    ("drop: \x00", ": is not one YAML document: special characters are not allowed"),
]

VARIABLES = [
    ("POSTEL_BNID", "x", "POSTEL_BNID: unknown variable, did you mean POSTEL_BIND?"),
    ("POSTEL_RETENTION", "7d", "POSTEL_RETENTION: unknown variable, did you mean POSTEL_RETENTION_"),
    ("POSTEL_PORT", "4318", "POSTEL_PORT: unknown variable, did you mean POSTEL_"),
    ("POSTEL_BIND", "", "POSTEL_BIND: bind: must be HOST:PORT"),
    ("POSTEL_DATA_DIR", "", "POSTEL_DATA_DIR: data_dir: must be a path"),
    ("POSTEL_DATABASE_URL", "", "POSTEL_DATABASE_URL: database_url: must be a URL"),
    ("POSTEL_WRITERS", "2\n3", "POSTEL_WRITERS: writers: must be an integer; is 2\\n3"),
    ("POSTEL_VERDICT_MIN_DISTINCT", "1024", "POSTEL_VERDICT_MIN_DISTINCT: verdict.min_distinct: must be less than"),
    ("POSTEL_CONFIG", "/nowhere/p.yaml", "/nowhere/p.yaml: cannot be read: No such file or directory"),
    ("POSTEL_CONFIG", "/", "/: cannot be read: Is a directory"),
]


def problem(caught: pytest.ExceptionInfo[ConfigurationError]) -> str:
    """The only problem, which is one line."""
    assert len(caught.value.problems) == 1, caught.value.problems
    (line,) = caught.value.problems
    assert line.isprintable()
    return line


@pytest.mark.parametrize(("text", "expected"), SETTINGS)
def test_settings_file(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        settings.load(file, {})
    assert problem(caught).startswith(f"{file}{expected}")


@pytest.mark.parametrize(("text", "expected"), OVERRIDES)
def test_overrides_file(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        promotion.load(overrides=file)
    assert problem(caught).startswith(f"{file}{expected}")


@pytest.mark.parametrize(("name", "text", "expected"), VARIABLES)
def test_variable(name: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.load(environ={name: text})
    assert problem(caught).startswith(expected)


@pytest.mark.parametrize("key", settings.KEYS)
def test_every_key_is_named_in_its_error(key: str, tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    section, _, name = key.rpartition(".")
    file.write_text(f"{section}:\n  {name}: []\n" if section else f"\n{name}: []\n")
    with pytest.raises(ConfigurationError) as caught:
        settings.load(file, {})
    assert problem(caught) == f"{file}:2: {key}: must be one value; is a list"


def test_unknown_flag_key() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.load(environ={}, flags={"data_dri": "x"})
    assert problem(caught) == "--data-dri: data_dri: unknown key, did you mean data_dir?"


def test_invalid_utf8(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_bytes(b"drop: {logs: [\xff]}")
    with pytest.raises(ConfigurationError) as caught:
        promotion.load(overrides=file)
    assert problem(caught).startswith(f"{file}: is not one YAML document: ")


def test_a_file_that_would_take_long_to_read(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_text("#" * (1 << 20))
    assert promotion.load(overrides=file) == promotion.load()
    file.write_text("#" * (1 << 20) + "#")
    with pytest.raises(ConfigurationError) as caught:
        promotion.load(overrides=file)
    assert problem(caught) == f"{file}: is longer than 1 MiB, which is all that a ConfigMap holds"


def test_a_link_to_itself(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.symlink_to(file)
    said = "cannot be read: Too many levels of symbolic links"
    with pytest.raises(ConfigurationError) as caught:
        promotion.load(overrides=file)
    assert problem(caught) == f"{file}: {said}"
    with pytest.raises(ConfigurationError) as caught:
        settings.load(environ={"POSTEL_ATTRIBUTE_OVERRIDES": str(file)})
    assert problem(caught) == f"POSTEL_ATTRIBUTE_OVERRIDES: attribute_overrides: {said}; is {file}"


def test_every_problem_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_text("promote:\n  spam: {}\n  logs: {integer: [a]}\ndrop:\n  spans: [1]\n")
    with pytest.raises(ConfigurationError) as caught:
        promotion.load(overrides=file)
    assert [line.removeprefix(f"{file}:").split(": ")[:2] for line in caught.value.problems] == [
        ["2", "promote.spam"],
        ["3", "promote.logs.integer"],
        ["5", "drop.spans[0]"],
    ]
