"""Whether a file is still the one that was read: for what is read again when somebody changes it.

Kubernetes changes what it mounts by exchanging a symbolic link to the folder, so where a path leads belongs to it.
"""

import os
from pathlib import Path
from stat import S_ISREG

Stamp = tuple[str, int, int, int]
"""Where the path leads, when that was changed (unix nanoseconds), its inode and its size in bytes.

Changed, not written: whoever copies a file may keep the time of writing, and rights to read it are a change, too."""


def stamp(path: Path) -> Stamp | None:
    """What tells one content of a file from another; None where there is no file. Raises OSError where it cannot be
    seen."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    # A subPath mount of an optional ConfigMap that does not exist leaves a folder of that name.
    if not S_ISREG(found.st_mode):
        return None
    return os.path.realpath(path), found.st_ctime_ns, found.st_ino, found.st_size
