"""Overrides while the server runs: what is taken over, what is kept, and what is said of it."""

import asyncio
import gc
import logging
import os
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import asyncpg
import pytest

from exporter import overrides as module
from exporter import promotion
from exporter.database import Database
from exporter.documents import did_you_mean
from exporter.errors import ConfigurationError
from exporter.ingest import Ingest
from exporter.overrides import ABSENT, IN_FORCE, REFUSED, Overrides
from exporter.promotion import OWNERS, Promotion
from exporter.sidecar import Sidecar
from exporter.telemetry import Telemetry
from tests.exporter.mounting import Mount
from tests.exporter.sending import attributes, gauge, log, logs, metrics, point, run, send, span, spans
from tests.sql.rows import ask

Said = Callable[[], list[str]]
SECRET = "hunter2"
DROPS = f"drop: {{{', '.join(f'{owner}: [password]' for owner in OWNERS)}}}\n"
PLANTED = [
    f"{SECRET}: [a]",
    f"drop: {{{SECRET}: [a]}}",
    f"drop: {{logs: {{{SECRET}: a}}}}",
    f"drop: {{logs: {SECRET}}}",
    f"drop: {{logs: ['{SECRET}*x']}}",
    f"drop: {{logs: [!!int {SECRET}]}}",
    f"drop: {{logs: [!{SECRET} a]}}",
    f"drop: {SECRET}",
    f"drop: !{SECRET} a",
    f"promote: {{logs: {{string: ['{SECRET}*']}}}}",
    f"promote: {{logs: {{{SECRET}: [a]}}}}",
    f"promote: {{logs: {{string: {{{SECRET}: a}}}}}}",
    f"promote: {{logs: {{string: {SECRET}}}}}",
    f"drop: {{logs: [*{SECRET}]}}",
    f"drop: &{SECRET} {{}}\npromote: &{SECRET} {{}}\n...\n%{SECRET}",
    f"drop: {{logs: [!{SECRET}!a b]}}",
    f'drop: "\\{SECRET}',
    f"{SECRET}: &{SECRET} [a\n",
    f"? {{{SECRET}: a}}\n: b",
    f"{SECRET}: 1\n{SECRET}: 2",
    f"drop: {{logs: ['\x02{SECRET}\x03']}}",
    f"drop: {{hash: {SECRET}}}",
    f"drop: {{hash: ['{SECRET}*x']}}",
    f"drop: {{hash: [{{{SECRET}: a}}]}}",
    f"drop: {{log_body: {SECRET}}}",
    f"drop: {{log_body: ['{SECRET}[']}}",
    f"drop: {{log_body: [{{{SECRET}: a}}]}}",
    f"drop: {{log_body: [{{key: '{SECRET}*x'}}]}}",
    f"drop: {{log_body: [{{key: [{SECRET}]}}]}}",
    f'drop: {{logs: ["{SECRET}\\UFFFFFFFF"]}}',
    f'drop: {{logs: ["{SECRET}\\uD800"]}}',
]
"""Files that cannot be loaded, with a secret in each place that a problem may repeat."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes while these tests look."""
    monkeypatch.setattr(module, "_SETTLE_S", 0)


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "config", "")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    """The lines of the log so far."""
    caplog.set_level(logging.INFO, "postel")
    return lambda: caplog.messages


def watching(path: Path | None) -> Overrides:
    return Overrides(path, promotion.load(overrides=path))


def look(watched: Overrides) -> bool:
    return asyncio.run(watched.look())


def test_another_file_is_taken_over_once(mount: Mount) -> None:
    watched = watching(mount.file)
    assert watched.state.name == IN_FORCE and not look(watched)
    began = watched.since_unix_nano
    mount.put("drop: {logs: [a]}")
    assert look(watched) and not look(watched)
    assert watched.promotion == promotion.load(overrides=mount.file)
    assert began < watched.since_unix_nano <= time.time_ns()
    assert watched.counts == {"loaded": 1, "refused": 0, "vanished": 0}


def test_the_same_lists_in_another_file_change_nothing(mount: Mount, said: Said) -> None:
    """Another key of the ConfigMap has changed: caches are worth keeping."""
    watched = watching(mount.file)
    before, since = watched.promotion, watched.since_unix_nano
    mount.put("drop: {}\n")
    assert not look(watched)
    assert watched.promotion is before and watched.since_unix_nano == since and not said()


@pytest.mark.parametrize("text", PLANTED)
def test_what_is_not_good_is_refused_without_a_word_of_it(mount: Mount, text: str, caplog: Any) -> None:
    mount.put("drop: {logs: [a]}")
    watched = watching(mount.file)
    good = watched.promotion
    mount.put(text)
    assert not look(watched) and not look(watched)
    assert watched.promotion is good and watched.state.name == REFUSED
    assert watched.counts["refused"] == 1
    (line,) = (record.message for record in caplog.records if record.levelno == logging.WARNING)
    assert str(mount.file) in line and line.isprintable()
    assert SECRET not in line and SECRET not in repr(watched.state)
    with pytest.raises(ConfigurationError) as caught:
        promotion.load(overrides=mount.file)
    assert all(problem.isprintable() for problem in (*caught.value.problems, *caught.value.unquoted))


def test_check_config_quotes_what_stands_there(mount: Mount) -> None:
    mount.put(f"drop: {{logs: ['{SECRET}*x'], {SECRET}: [a]}}\npromote: {{logs: [1]}}\n")
    with pytest.raises(ConfigurationError) as caught:
        promotion.load(overrides=mount.file)
    assert caught.value.problems == (
        f"{mount.file}:1: drop.logs[0]: a pattern is a beginning and one star, such as user.*; is {SECRET}*x",
        f"{mount.file}:1: drop.{SECRET}: unknown key, {did_you_mean(SECRET, OWNERS)}",
        f"{mount.file}:2: promote.logs: must be a mapping of string, int, double, bool, bytes; is a list",
    )
    assert caught.value.unquoted == tuple(
        problem.replace("hunter2*x", "…").replace(SECRET, "…") for problem in caught.value.problems
    )


def test_many_problems_are_one_line(mount: Mount, said: Said) -> None:
    watched = watching(mount.file)
    mount.put("drop:\n  logs:\n" + "  - 1\n" * 1000)
    look(watched)
    assert len(watched.state.problems) == 11
    assert watched.state.problems[-1] == "and 990 more: `postel check-config` names all"
    assert len(said()) == 1 and len(said()[0]) < 2000


def test_a_good_file_after_a_bad_one(mount: Mount, said: Said) -> None:
    watched = watching(mount.file)
    mount.put("drop: 1")
    look(watched)
    mount.put("")
    assert not look(watched), "the lists are those of before"
    assert watched.state == module.State(IN_FORCE) and watched.counts["loaded"] == 1
    assert said()[-1] == "attribute overrides: in force, the same lists"


def test_what_is_gone_stays_in_force(mount: Mount, said: Said) -> None:
    mount.put(DROPS)
    watched = watching(mount.file)
    mount.put(None)
    assert [look(watched) for _ in range(3)] == [False] * 3
    assert "password" in watched.promotion.dropped("spans")
    assert watched.state.name == ABSENT and watched.state.problems
    assert len(said()) == 1 and f"{mount.file}: is gone" in said()[0]
    mount.put("drop: {logs: [b]}")
    assert look(watched) and watched.state == module.State(IN_FORCE)
    assert watched.counts == {"loaded": 1, "refused": 0, "vanished": 1}


def test_a_file_that_comes_later_is_found(tmp_path: Path) -> None:
    """The ConfigMap is optional: a folder of the file's name, or none at all, until there is one."""
    folder = tmp_path / "config"
    watched = watching(folder / "attribute-overrides.yaml")
    assert not look(watched) and watched.state == module.State(ABSENT)
    Mount(folder, "drop: {logs: [a]}")
    assert look(watched) and "a" in watched.promotion.dropped("logs")


def test_a_first_file_that_is_bad_and_goes(tmp_path: Path) -> None:
    mount = Mount(tmp_path / "config", None)
    watched = watching(mount.file)
    mount.put("drop: 1")
    assert not look(watched) and watched.state.name == REFUSED
    mount.put(None)
    assert not look(watched) and watched.state == module.State(ABSENT), "nothing is missing: it was never in force"


def test_a_file_that_is_still_written_waits(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place, not exchanged: what is there so far is good, and would loosen what is dropped."""
    mount.put(DROPS)
    watched = watching(mount.file)
    monkeypatch.setattr(module, "_SETTLE_S", 0.2)

    async def session() -> bool:
        mount.file.write_text("")
        looking = asyncio.create_task(watched.look())
        await asyncio.sleep(0.05)
        mount.file.write_text(DROPS + "# and one more line\n")
        return await looking

    assert asyncio.run(session()) is False
    assert "password" in watched.promotion.dropped("logs")
    assert not look(watched) and watched.state == module.State(IN_FORCE)


def test_a_file_that_changes_while_it_is_read_waits(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    mount.put(DROPS)
    watched = watching(mount.file)

    def load(overrides: Path) -> Promotion:
        found = promotion.load(overrides=overrides)
        mount.file.write_text(DROPS + "# and one more line\n")
        return found

    mount.file.write_text("")
    monkeypatch.setattr(module, "load", load)
    assert not look(watched)
    monkeypatch.undo()
    assert "password" in watched.promotion.dropped("logs")
    assert not look(watched) and watched.state == module.State(IN_FORCE)


def test_a_file_that_keeps_its_time_of_writing_is_another(tmp_path: Path) -> None:
    """As `cp -p` and `rsync --inplace --times` write it."""
    file = tmp_path / "overrides.yaml"
    file.write_text("drop: {logs: [a]}")
    watched, before = watching(file), file.stat()
    assert not look(watched)
    file.write_text("drop: {logs: [b]}")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look(watched) and "b" in watched.promotion.dropped("logs")


def test_what_cannot_be_seen_is_refused(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not look into the folder does not know that nothing is there."""
    mount.put(DROPS)
    watched = watching(mount.file)

    def forbidden(_path: Path, **_options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", forbidden)
    assert not look(watched)
    assert watched.state == module.State(REFUSED, (f"{mount.file}: cannot be read: Permission denied",))
    assert "password" in watched.promotion.dropped("logs")


def test_nothing_is_looked_for_where_there_is_no_path() -> None:
    watched = watching(None)
    assert not look(watched) and watched.state == module.State(ABSENT)


def test_looking_at_the_same_file_costs_next_to_nothing(mount: Mount) -> None:
    watched = watching(mount.file)

    async def session() -> float:
        await watched.look()
        began = time.process_time()
        for _ in range(1000):
            await watched.look()
        return time.process_time() - began

    assert asyncio.run(session()) / 1000 < 0.001


def dropping(folder: Path) -> Promotion:
    file = folder / "drops.yaml"
    file.write_text(DROPS)
    return promotion.load(overrides=file)


def bodies(number: int, secret: str) -> list[tuple[str, bytes]]:
    has = {"password": secret, "n": number}
    full = span(1, number, has=has)
    full.events.add(name="e", attributes=attributes(has))
    full.links.add(attributes=attributes(has))
    resource = {"service.name": "shop", "password": secret}
    return [
        spans(full, resource=resource),
        logs(log("l", has=has), resource=resource),
        metrics(gauge("g", point(number, has=has)), resource=resource),
    ]


ELSEWHERE = (type, ModuleType, FunctionType, Database, asyncio.Lock)
"""What leads to everything else there is."""


def held(root: object, text: str) -> list[object]:
    """The strings and bytes that hold a text, of all that can be reached from here."""
    found: list[object] = []
    seen, left = set[int](), [root]
    while left:
        thing = left.pop()
        if id(thing) in seen or isinstance(thing, ELSEWHERE):
            continue
        seen.add(id(thing))
        if (isinstance(thing, str) and text in thing) or (isinstance(thing, bytes) and text.encode() in thing):
            found.append(thing)
        left += gc.get_referents(thing)
    return found


def test_other_lists_forget_what_was_remembered(store: str, tmp_path: Path) -> None:
    async def session(running: Sidecar) -> None:
        for signal, body in bodies(1, SECRET):
            await send(running, signal, body)
        kept = running.ingest._kept
        kept.traces.cardinality.learn(["user.id"])
        assert held(kept, SECRET)
        gone = weakref.ref(kept)
        del kept
        running.ingest.use(dropping(tmp_path))
        for signal, body in bodies(2, SECRET):
            await send(running, signal, body)
        gc.collect()
        assert gone() is None
        assert not held(running.ingest._kept, SECRET)
        assert running.ingest.traces.cardinality.high == {"user.id"}, "verdicts are of no list"

    run(store, session)


def test_a_request_under_way_keeps_its_lists_and_teaches_nothing(store: str, tmp_path: Path) -> None:
    async def session(running: Sidecar) -> None:
        ingest: Ingest = running.ingest
        blocker = await asyncpg.connect(store)
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE otel_resources_dim IN ACCESS EXCLUSIVE MODE")
            under_way = [asyncio.create_task(send(running, *body)) for body in bodies(1, SECRET)]
            await asyncio.sleep(0.3)
            ingest.use(dropping(tmp_path))
            later = [asyncio.create_task(send(running, *body)) for body in bodies(2, "later")]
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in (*under_way, *later))
        await asyncio.gather(*under_way, *later)
        await blocker.close()
        assert not held(ingest._kept, SECRET) and not held(ingest._kept, "later")

    run(store, session)
    found = ask(store, "SELECT attributes, events, links, resource_attributes FROM v_otel_spans_enriched")
    by_number = {row["attributes"]["n"]: row for row in found}
    assert str(by_number[1]).count(SECRET) == 4, "wholly as it began"
    assert "password" not in str(by_number[2])


def test_lists_that_changed_before_the_database_came_are_those_of_the_first_request(store: str, tmp_path: Path) -> None:
    async def session(running: Sidecar) -> None:
        share = running._share_verdicts

        async def meanwhile(ingest: Ingest) -> None:
            await share(ingest)
            running.overrides.promotion = dropping(tmp_path)

        running._share_verdicts = meanwhile  # type: ignore[method-assign]
        running.telemetry = Telemetry()
        await running._live()
        for body in bodies(1, SECRET):
            await send(running, *body)

    run(store, session)
    assert "password" not in str(ask(store, "SELECT * FROM v_otel_spans_enriched"))
