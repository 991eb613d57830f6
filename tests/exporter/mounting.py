"""A folder as the kubelet mounts a ConfigMap: a link `..data` to a folder named after the time, which is exchanged."""

import shutil
from itertools import count
from pathlib import Path

NAME = "attribute-overrides.yaml"


class Mount:
    """A mounted ConfigMap of one file, or without any."""

    def __init__(self, folder: Path, text: str | None) -> None:
        self._folder, self._numbers = folder, count()
        folder.mkdir()
        self.file = folder / NAME
        self.put(text)

    def put(self, text: str | None) -> None:
        """Exchange what is mounted, in the order of the kubelet (pkg/volume/util/atomic_writer.go)."""
        data = self._folder / "..data"
        before = data.resolve() if data.exists() else None
        new = self._folder / f"..2026_11_29_00_00_00.{next(self._numbers)}"
        new.mkdir()
        if text is not None:
            (new / NAME).write_text(text)
        (self._folder / "..data_tmp").symlink_to(new.name)
        (self._folder / "..data_tmp").rename(data)
        if text is None:
            self.file.unlink(missing_ok=True)
        elif not self.file.is_symlink():
            self.file.symlink_to(f"..data/{NAME}")
        if before is not None:
            shutil.rmtree(before)
