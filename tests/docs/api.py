"""`make docs`: writes docs/api.md anew, with the answers of a server to what it says."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from exporter.embedded import EmbeddedPostgres
from tests.docs import page, records, shown
from tests.running import Server, serving

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def write(server: Server) -> str:
    """The page, of a server that holds nothing yet."""
    now = shown.asked_at()
    records.send(server, now)
    return page.page(server, now)


def main() -> int:
    """Start an own PostgreSQL and a server, write the page; returns the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="postel-docs-"))
    folder.chmod(0o755)
    with asyncio.Runner() as runner:
        embedded = EmbeddedPostgres(folder)
        try:
            with serving(runner.run(embedded.start())) as server:
                PAGE.write_text(write(server))
        finally:
            runner.run(embedded.stop())
            shutil.rmtree(folder, ignore_errors=True)
    print(f"wrote {PAGE.relative_to(Path.cwd())}" if PAGE.is_relative_to(Path.cwd()) else f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
