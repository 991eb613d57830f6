"""What redaction costs: CPU of this process a record, without HTTP, under several lists in turn.

`python -m bench.redaction`; the figures of docs/decisions/0021-redaction.md are its own.
"""

import asyncio
import gc
import gzip
import time
from pathlib import Path
from statistics import median

from bench.corpus import LOGS, RECORDS_PER_BODY, SPANS, make_corpus, read_bodies
from bench.database import empty_database
from bench.stage import Stage, on_stage
from exporter import promotion
from exporter.ingest import Ingest
from exporter.otlp.http import Encoding
from exporter.promotion import Promotion
from exporter.settings import load
from exporter.sidecar import Sidecar

WARM, MEASURED, ROUNDS = 20, 40, 3
_RULES = (r"'\b\d{16}\b'", r"'(?i)password=\S+'", r"'[\w.]+@[\w.]+'", r"'Bearer \S+'", r"'AKIA\w{16}'")
LISTS = {
    "none": "",
    "drop, not met": "drop: {spans: [no.such], logs: [no.such]}",
    "drop, one key": "drop: {spans: [server.address], logs: [log.file.path]}",
    "drop, 20 patterns": "drop: {spans: [%s], logs: [%s]}" % ((", ".join(f"k{i}.*" for i in range(20)),) * 2),
    "hash, one key": "drop: {hash: [app.user.id]}",
    "log_body, one rule": f"drop: {{log_body: [{_RULES[0]}]}}",
    "log_body, five rules": f"drop: {{log_body: [{', '.join(_RULES)}]}}",
}


async def measure(stage: Stage) -> dict[str, dict[str, float]]:
    """CPU microseconds a record by signal and lists, the median of the rounds."""
    await asyncio.to_thread(
        make_corpus, stage.folder, dict.fromkeys((SPANS, LOGS), (WARM + MEASURED) * RECORDS_PER_BODY), with_json=False
    )
    found: dict[str, dict[str, list[float]]] = {signal: {name: [] for name in LISTS} for signal in (SPANS, LOGS)}
    for signal, rounds in found.items():
        bodies = [gzip.decompress(body) for body in read_bodies(stage.folder, signal)]
        for _ in range(ROUNDS):
            for name, text in LISTS.items():
                (file := stage.folder / "overrides.yaml").write_text(text)
                async with empty_database(stage.url) as url:
                    rounds[name].append(await _cpu_us(url, promotion.load(overrides=Path(file)), signal, bodies))
    return {signal: {name: median(each) for name, each in rounds.items()} for signal, rounds in found.items()}


async def _cpu_us(url: str, lists: Promotion, signal: str, bodies: list[bytes]) -> float:
    sidecar = Sidecar(load(environ={}), lists, url)
    sidecar.start()
    try:
        ingest = await sidecar.ready()
        await _take(ingest, signal, bodies[:WARM])
        gc.collect()
        began = time.process_time()
        await _take(ingest, signal, bodies[WARM:])
        return (time.process_time() - began) / (MEASURED * RECORDS_PER_BODY) * 1e6
    finally:
        await sidecar.stop(5)


async def _take(ingest: Ingest, signal: str, bodies: list[bytes]) -> None:
    for body in bodies:
        digest = ingest.digest(signal, Encoding.PROTOBUF, body)
        await ingest.take(signal, Encoding.PROTOBUF, body, digest)


def main() -> None:
    """Print a table."""
    found, machine = asyncio.run(on_stage(measure))
    for signal, by_lists in found.items():
        for name, cost_us in by_lists.items():
            print(f"| {signal} | {name} | {cost_us:.2f} | {cost_us - by_lists['none']:+.2f} |")
    print(machine)


if __name__ == "__main__":
    main()
