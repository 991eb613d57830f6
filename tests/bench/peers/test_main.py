"""The command takes a part of the peers, says which are not here, and refuses what it does not know."""

import sys
from pathlib import Path

import pytest

from bench.peers import __main__ as command
from bench.peers import install
from bench.peers.install import install_python, pinned_version
from bench.peers.peer import Missing
from bench.peers.postgresexporter import PostgresExporter

LOCKS = sorted(Path(install.__file__).parent.glob("*.txt"))


@pytest.mark.parametrize(
    "flags", [["--peers", "jaeger"], ["--spans", "phoenix=1500"], ["--spans", "jaeger=1000"], ["--spans", "phoenix=0"]]
)
def test_bad_flags_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(flags)
    assert ended.value.code == 2
    assert flags[0] in capsys.readouterr().err


def test_a_peer_that_is_not_here_is_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Absent(PostgresExporter):
        def install(self) -> None:
            raise Missing("none here")

    peers = {**command.PEERS, "postgresexporter": Absent()}
    monkeypatch.setattr(command, "PEERS", peers)
    monkeypatch.setattr(peers["postel"], "kill_bodies", 1, raising=False)
    out = tmp_path / "peers.md"
    flags = ["--peers", "postgresexporter", "--spans", "postel=1000", "--out", str(out)]
    assert command.main(flags) == 0
    text = out.read_text()
    assert text in capsys.readouterr().out
    assert "| spans stored | 1,000 | - |" in text
    assert "| lost by kill -9 after the acknowledgement | 0 of 1,000 | - |" in text
    assert "  - Not finished: `none here`." in text
    assert "PostgreSQL 18" in text


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `install` finds requirements, and makes its environments below `build`."""
    monkeypatch.setattr(install, "__file__", str(tmp_path / "install.py"))
    monkeypatch.setattr(install, "BUILD", tmp_path / "build")
    (tmp_path / "some.txt").write_text("anything==1\n")
    return tmp_path


@pytest.fixture
def commands(place: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What an installation would have run."""
    run: list[tuple[str, ...]] = []

    def note(name: str, *command: str) -> None:
        (place / "build" / name).mkdir(parents=True, exist_ok=True)
        run.append(command)

    monkeypatch.setattr(install, "_run", note)
    return run


def test_it_is_installed_again_only_when_its_lock_has_changed(place: Path, commands: list[tuple[str, ...]]) -> None:
    for _ in range(2):
        assert install_python("some") == place / "build" / "some" / "bin"
    assert [command[2] for command in commands] == ["venv", "pip"]
    assert {"--require-hashes", str(place / "some.txt")} <= set(commands[1])
    (place / "some.txt").write_text("anything==2\n")
    install_python("some")
    assert len(commands) == 4


def test_what_cannot_be_installed_says_why(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Missing, match="some cannot be installed: no room"):
        install._run("some", sys.executable, "-c", "raise SystemExit('no room')")
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    with pytest.raises(Missing, match=r"some: .*No such file"):
        install_python("some")


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_locks_pin_what_is_asked_for(path: Path) -> None:
    text, asked = path.read_text(), path.with_suffix(".in").read_text().splitlines()[0]
    package, version = asked.split("==")
    assert pinned_version(path.stem, package.partition("[")[0]) == version
    assert text.count("==") <= text.count("--hash=sha256:")
    assert "://" not in text
