"""The `postel` command from the outside: exit codes, one line per problem, and what each command hands on."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from exporter import cli
from exporter.errors import ConfigurationError, StorageUnavailable
from exporter.settings import Settings


def postel(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, without any POSTEL_ variable but these."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("POSTEL_")}
    command = [sys.executable, "-W", "error", "-m", "exporter", *arguments]
    return subprocess.run(command, env=clean | environ, capture_output=True, text=True, timeout=60)


def test_version() -> None:
    done = postel("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("postel ")


def test_check_config_of_the_defaults() -> None:
    done = postel("check-config")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("configuration is good: ")
    assert done.stdout.count("\n") == 1


def test_check_config_of_good_files(tmp_path: Path) -> None:
    (tmp_path / "postel.yaml").write_text("writers: 3\n")
    (tmp_path / "overrides.yaml").write_text("drop: {logs: [password], hash: [a], log_body: [b, {key: c}]}\n")
    overrides = str(tmp_path / "overrides.yaml")
    done = postel("check-config", "--config", str(tmp_path / "postel.yaml"), POSTEL_ATTRIBUTE_OVERRIDES=overrides)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"1 dropped, 1 hashed, 2 rules for log bodies, overrides: {overrides}" in done.stdout


def test_check_config_names_every_problem_on_a_line(tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text("wirters: 3\nretention: {logs: 14}\n")
    done = postel("check-config", "--config", str(file), "--bind", "x", POSTEL_BNID="y")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        [f"{file}:1", "wirters"],
        ["POSTEL_BNID", "unknown variable, did you mean POSTEL_BIND?"],
        [f"{file}:2", "retention.logs"],
        ["--bind", "bind"],
    ]


def test_check_config_reads_the_overrides(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yaml"
    file.write_text("promote:\n  span: {string: [a]}\n")
    done = postel("check-config", POSTEL_ATTRIBUTE_OVERRIDES=str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{file}:2: promote.span: unknown key, did you mean spans?\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["nope"], "nope"),
        (["serve", "--bnid", "a:1"], "--bnid"),
        (["serve", "--data", "x"], "--data"),
        (["serve", "--bind"], "--bind"),
        (["serve", "extra"], "extra"),
        (["serve", "--bind", "4318"], "--bind: bind: "),
        (["serve", "--config", "/nowhere/postel.yaml"], "/nowhere/postel.yaml: "),
        (["maintain", "--database-url", "host=a"], "--database-url: database_url: "),
        (["migrate"], "--database-url: database_url: "),
        (["check-config", "--wait"], "--wait"),
        (["export", "--signal", "traces"], "--signal"),
        (["export", "--url", "localhost:4318"], "--url: "),
        (["hash", "\udcff"], "VALUE: must be UTF-8"),
        (["promote", "\udcff", "--signal", "spans"], "KEY: must be UTF-8"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments: list[str], named: str) -> None:
    done = postel(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert named in done.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["sevre"], "argument COMMAND: 'sevre' is unknown, did you mean serve?"),
        (["serve", "--bnid", "a:1"], "--bnid is unknown, did you mean --bind?"),
        (["serve", "--database_url=x"], "--database_url is unknown, did you mean --database-url?"),
        (
            ["serve", "--attribute-overrides", "x"],
            "--attribute-overrides is no flag of this command: set POSTEL_ATTRIBUTE_OVERRIDES, or attribute_overrides "
            "in the file of --config",
        ),
        (
            ["serve", "--retention-spans", "7d"],
            "--retention-spans is no flag of this command: set POSTEL_RETENTION_SPANS, or retention.spans in the file "
            "of --config",
        ),
        (["export", "--signal", "tracs"], "argument --signal: 'tracs' is unknown, did you mean spans?"),
        (["load", "--signals", "traces,lgos"], "did you mean logs?"),
    ],
)
def test_what_is_unknown_ends_in_what_was_meant(arguments: list[str], meant: str) -> None:
    done = postel(*arguments)
    assert done.returncode == 2
    assert done.stderr.endswith(f"{meant}\n")


class Stub(ModuleType):
    """Stands in for a module that a command imports when it runs; keeps what it was called with."""

    def __init__(self, name: str, *failures: BaseException) -> None:
        super().__init__(name)
        self.failures = list(failures)
        self.calls: list[object] = []

    async def _call(self, given: object) -> int:
        self.calls.append(given)
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return 0

    serve = migrate = run_once = _call


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Put in the place of everything that serves, migrates or maintains; no setting from outside."""
    for name in [name for name in os.environ if name.startswith("POSTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(cli, "_RETRY_S", 0.0)
    module = Stub("stub")
    for name in ("exporter.serve", "exporter.migrations", "exporter.maintenance"):
        monkeypatch.setitem(sys.modules, name, module)
    return module


def test_flags_reach_the_server(stub: Stub) -> None:
    flags = ["--bind", "0.0.0.0:0", "--data-dir", "d", "--database-url", "postgresql://a/b"]
    assert cli.main(["serve", *flags]) == 0
    (given,) = stub.calls
    assert isinstance(given, Settings)
    assert (given.bind, given.data_dir, given.database_url) == ("0.0.0.0:0", Path("d"), "postgresql://a/b")


def test_serves_without_uvloop(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert cli.main(["serve"]) == 0
    assert len(stub.calls) == 1


def test_maintain(stub: Stub) -> None:
    assert cli.main(["maintain", "--data-dir", "d"]) == 0
    (given,) = stub.calls
    assert isinstance(given, Settings)
    assert given.data_dir == Path("d")


@pytest.mark.parametrize("command", ["serve", "maintain"])
@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (StorageUnavailable("the database is down"), 1, "postel {}: the database is down\n"),
        (OSError("address in use"), 1, "postel {}: address in use\n"),
        (ConfigurationError("file:1: key: one", "file:2: key: two"), 2, "file:1: key: one\nfile:2: key: two\n"),
        (KeyboardInterrupt(), 1, ""),
    ],
)
def test_failures(
    command: str, failure: BaseException, code: int, said: str, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.failures = [failure]
    assert cli.main([command]) == code
    assert capsys.readouterr().err == said.format(command)


def test_migrate_fails_where_the_database_cannot_be_reached(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.failures = [StorageUnavailable("refused")]
    assert cli.main(["migrate", "--database-url", "postgresql://a/b"]) == 1
    assert capsys.readouterr().err == "postel migrate: refused\n"


def test_migrate_can_wait_and_says_for_what_once(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.failures = [StorageUnavailable("refused"), StorageUnavailable("refused"), OSError("no route")]
    assert cli.main(["migrate", "--wait", "--database-url", "postgresql://a/b"]) == 0
    assert stub.calls == ["postgresql://a/b"] * 4
    assert capsys.readouterr().err == (
        "postel migrate: waiting for the database: refused\npostel migrate: waiting for the database: no route\n"
    )


def test_bench_has_the_flags_of_make_bench_and_says_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    done = postel("bench", "--signals", "spams")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such signal: spams" in done.stderr
    monkeypatch.setattr(cli, "_COMMANDS", {"bench": ("benchmarks_of_nobody.__main__", "")})
    assert cli.main(["bench"]) == 2
