"""One peer's trial: a rich span, the load, a body sent twice, and kill -9 after an acknowledgement."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from msgspec import Struct

from bench.measure import count_rows, database_bytes
from bench.peers.client import Body, Sending, send
from bench.peers.database import Postgres, Seen, dump, wait_for_rows
from bench.peers.peer import Peer, Place
from bench.peers.process import Process, free_port, running
from bench.peers.results import Killed, Load, Repeated, Trial
from bench.peers.rich import BYTES_ATTRIBUTE, rich_span
from exporter.errors import PostelError


class Patience(Struct, frozen=True):
    """How long a peer is waited for at most, so that every run ends."""

    sending_s: float = 60.0
    """After this no body is begun any more."""
    quiet_s: float = 20.0
    """Without one more row: nothing comes any more."""
    visible_s: float = 180.0
    unwanted_s: float = 8.0
    """For rows that should not come, as of a body sent twice."""
    trial_s: float = 900.0


class Stage(Struct, frozen=True):
    """Who is tried, and on what."""

    peer: Peer
    postgres: Postgres
    database_url: str
    folder: Path
    patience: Patience

    async def count(self) -> int:
        """The spans that are visible now."""
        return await count_rows(self.database_url, [self.peer.table])

    async def send(self, process: Process, bodies: Sequence[Body]) -> Sending:
        """Give the peer some bodies, as its documentation wants them."""
        return await send(process.url, self.peer.headers, bodies, self.patience.sending_s)

    async def wait_for(self, rows: int, sending: Sending) -> Seen:
        """Wait for so many spans to be visible, of which the last was acknowledged as `sending` says."""
        patience = self.patience
        return await wait_for_rows(
            self.count, rows, since=sending.ended, quiet_s=patience.quiet_s, at_most_s=patience.visible_s
        )


async def try_peer(
    peer: Peer, postgres: Postgres, bodies: Sequence[Body], folder: Path, patience: Patience | None = None
) -> Trial:
    """Everything about one peer on a database of its own; its last `kill_bodies` bodies are kept for the kill.

    Ends in any case: what goes wrong with a peer, its time running out among it, is the trial's `problem`.
    """
    trial = Trial(peer.name, peer.title, peer.version(), peer.given)
    patience = patience or Patience()
    try:
        async with asyncio.timeout(patience.trial_s), postgres.empty(f"peer_{peer.name}") as url:
            await _try(Stage(peer, postgres, url, folder, patience), bodies, trial)
    except TimeoutError:
        trial.problem = f"gave up after {patience.trial_s:,.0f} s"
    except (PostelError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        trial.problem = str(error)
    return trial


async def _try(stage: Stage, bodies: Sequence[Body], trial: Trial) -> None:
    kept = stage.peer.kill_bodies
    place = _place(stage)
    command = stage.peer.command(place)
    async with running(command, place.folder, place.port, stage.peer.ready_path) as process:
        trial.missing_fields = await missing_fields(stage, process)
        await process.settle()
        trial.load = await load(stage, process, bodies[:-kept])
        trial.repeated = await repeat(stage, process, bodies[0])
        before = await stage.count()
        sending = await stage.send(process, bodies[-kept:])
        await process.kill()
    # It is started again, as what it has kept on a disk of its own is not lost.
    async with running(command, place.folder, place.port, stage.peer.ready_path):
        seen = await stage.wait_for(before + sending.acknowledged, sending)
    trial.killed = Killed(sending.acknowledged, seen.rows - before)


async def missing_fields(stage: Stage, process: Process) -> list[str] | None:
    """The fields of a rich span that are found in none of the rows that came of it; None where it stored none.

    It is the first span at all, so it warms a server up too.
    """
    before, rows = await dump(stage.database_url), await stage.count()
    for with_bytes in (True, False):
        rich = rich_span(with_bytes=with_bytes)
        sending = await stage.send(process, [rich.body])
        seen = await stage.wait_for(rows + 1, sending)
        if seen.rows > rows:
            missing = rich.missing(await dump(stage.database_url) - before)
            return missing if with_bytes else [f"{BYTES_ATTRIBUTE} (the whole span is lost with it)", *_others(missing)]
    return None


def _others(fields: Sequence[str]) -> list[str]:
    return [field for field in fields if field != BYTES_ATTRIBUTE]


async def load(stage: Stage, process: Process, bodies: Sequence[Body]) -> Load:
    """Send the bodies, and wait until all spans that were acknowledged are visible, or none comes any more."""
    idle, rows, size = process.rss_bytes(), await stage.count(), await database_bytes(stage.database_url)
    server_s, postgres_s = process.cpu_s(), stage.postgres.cpu_s()
    sending = await stage.send(process, bodies)
    seen = await stage.wait_for(rows + sending.acknowledged, sending)
    return Load(
        sent=sending.spans,
        acknowledged=sending.acknowledged,
        acknowledged_s=sending.ended - sending.began,
        stored=seen.rows - rows,
        stored_s=seen.at - sending.began,
        refused=dict(sending.refused),
        grown_bytes=await database_bytes(stage.database_url) - size,
        idle_rss_bytes=idle,
        peak_rss_bytes=process.peak_rss_bytes(),
        server_cpu_s=process.cpu_s() - server_s,
        postgres_cpu_s=stage.postgres.cpu_s() - postgres_s,
        client_cpu_s=sending.cpu_s,
    )


async def repeat(stage: Stage, process: Process, body: Body) -> Repeated:
    """Send a body again that was stored already, as a sender does whose connection broke before the answer."""
    before = await stage.count()
    sending = await stage.send(process, [body])
    quiet_s = stage.patience.unwanted_s
    seen = await wait_for_rows(
        stage.count, before + body.spans, since=sending.ended, quiet_s=quiet_s, at_most_s=10 * quiet_s
    )
    return Repeated(body.spans, sending.acknowledged, seen.rows - before, dict(sending.refused))


def _place(stage: Stage) -> Place:
    folder = stage.folder / stage.peer.name
    folder.mkdir()
    return Place(
        database_url=stage.database_url,
        database=f"peer_{stage.peer.name}",
        socket_dir=stage.postgres.socket_dir,
        socket_port=stage.postgres.socket_port,
        port=free_port(),
        other_port=free_port(),
        folder=folder,
    )
