"""A CPU limit for one process, as Kubernetes sets it for `limits: cpu: 500m`: a cgroup with a quota.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), https://docs.kernel.org/scheduler/sched-bwc.html
(cpu.cfs_quota_us of version 1).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from exporter.errors import PostelError

_PERIOD_US = 100_000
_ROOT = Path("/sys/fs/cgroup")
_V1 = ("cpu", "cpu,cpuacct")


class CannotLimit(PostelError):
    """No cgroup with a quota can be made here."""


class Throttled(Struct, frozen=True):
    """Periods with work, and those of them in which the quota was used up and the rest had to wait."""

    periods: int = 0
    waited: int = 0

    def share_since(self, before: "Throttled") -> float:
        """The share of the periods since then in which there was a wait."""
        return (self.waited - before.waited) / max(1, self.periods - before.periods)


class Cell(Struct, frozen=True):
    """A cgroup: the command that enters it and becomes the one behind it, and its folder."""

    launcher: Sequence[str]
    folder: Path

    def throttled(self) -> "Throttled":
        """What its processes had to wait so far."""
        counts = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        return Throttled(int(counts["nr_periods"]), int(counts["nr_throttled"]))


@contextmanager
def limited(cores: float, root: Path = _ROOT) -> Iterator[Cell]:
    """A cell with so much of a core, until the block ends; what runs inside has to be over by then.

    Raises CannotLimit where cgroups may not be written, or have no quota for CPU time.
    """
    folder = _made(int(cores * _PERIOD_US), root)
    try:
        yield Cell(("sh", "-c", f'echo $$ > "{folder}/cgroup.procs" && exec "$@"', "sh"), folder)
    finally:
        with suppress(OSError):
            folder.rmdir()


def _made(quota_us: int, root: Path) -> Path:
    v1 = {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota_us)}
    v2 = {"cpu.max": f"{quota_us} {_PERIOD_US}"}
    problems = []
    for place, settings in [*((root / name, v1) for name in _V1), (root, v2)]:
        try:
            return _with_settings(place / f"postel-bench-{os.getpid()}", settings)
        except OSError as error:
            problems.append(str(error))
    raise CannotLimit(
        "the CPU time of a process cannot be limited here, so this cannot be measured: it takes cgroups that may be"
        f" written, as root on a machine of one's own ({'; '.join(problems)})"
    )


def _with_settings(folder: Path, settings: Mapping[str, str]) -> Path:
    folder.mkdir()
    try:
        for name, value in settings.items():
            # Not created: outside cgroups a file of that name would limit nothing.
            with (folder / name).open("r+") as file:
                file.write(value)
    except OSError:
        folder.rmdir()
        raise
    return folder
