"""`make fuzz`: the three decoders under a coverage-guided fuzzer, which begins with the shop's own telemetry.

A body's first byte says which decoder gets the rest, and which signal it is. What ends the fuzzer is left in
`build/fuzz` and belongs in `tests/fuzz/test_decoders.py` as a case of its own once it is mended.
"""

import gzip
import hashlib
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]
import zstandard

with atheris.instrument_imports(include=["exporter.otlp"]):
    from exporter.otlp.records import LOGS, METRICS, SPANS
    from tests.fuzz.oracle import CODECS, CODINGS, bodies, decoded, decoded_in_pieces, inflated

SIGNALS = (SPANS, LOGS, METRICS)
WAYS = [(name, signal) for name in CODECS for signal in SIGNALS]
SEEDS = Path("build/fuzz/seeds")


def one_input(data: bytes) -> None:
    """One body, decoded whole and in pieces, or decompressed."""
    if not data:
        return
    way, body = data[0] % (len(WAYS) + len(CODINGS)), data[1:]
    if way >= len(WAYS):
        inflated(CODINGS[way - len(WAYS)], body)
        return
    assert decoded(*WAYS[way], body) == decoded_in_pieces(*WAYS[way], body)


def plant() -> None:
    """Write what the fuzzer begins with."""
    SEEDS.mkdir(parents=True, exist_ok=True)
    squeeze: tuple[Callable[[bytes], bytes], ...] = (gzip.compress, zlib.compress, zstandard.ZstdCompressor().compress)
    for signal in SIGNALS:
        for name, body in bodies(signal):
            found = [bytes((WAYS.index((name, signal)),)) + body]
            found += [bytes((len(WAYS) + i,)) + compress(body) for i, compress in enumerate(squeeze)]
            for seed in found:
                SEEDS.joinpath(hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    plant()
    atheris.Setup([*sys.argv, str(SEEDS)], one_input)
    atheris.Fuzz()
