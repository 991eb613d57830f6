"""Loads as a round has them, with the figures that a test wants."""

from typing import Any

from bench.measure import Load

MIB = 2**20


def load(rate: float = 10_000.0, size: int = 600, records: int = 1_000, **other: Any) -> Load:
    """So many records at a steady rate, of which each takes `size` bytes; `other` figures are Load's own."""
    figures: dict[str, Any] = {
        "latencies_s": [0.010, 0.020],
        "python_cpu_s": 0.012,
        "postgres_cpu_s": 0.010,
        "peak_rss_bytes": 100 * MIB,
        "idle_rss_bytes": 50 * MIB,
    }
    return Load(
        records=records,
        rate=rate,
        late_rate=rate * 2,
        marks=[((number + 1) * records / 10 / rate, records // 10) for number in range(10)],
        bytes_loaded=size * records,
        bytes_vacuumed=size * records,
        **(figures | other),
    )
