"""The JavaScript SDK in a page: a server that has the page, and a headless Chromium that visits it."""

import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from tests.e2e.senders.programs import LANGUAGES, page_script
from tests.e2e.toolchains import command, require

_VISIT_S = 90
_PAGE = b'<!doctype html><meta charset="utf-8"><title>Shop</title><script type="module" src="/page.js"></script>'


class Page(Struct):
    """A page that is served, and what it says that it sent."""

    port: int
    told: queue.Queue[Any]

    def origin(self, host: str = "127.0.0.1") -> str:
        """The page's origin; it is served to any name of this machine."""
        return f"http://{host}:{self.port}"

    def visit(self, to: str, host: str = "127.0.0.1") -> Any:
        """Open the page in Chromium: what it sent to the server `to` as OTLP/JSON requests by signal, and `error`."""
        folder = tempfile.mkdtemp(prefix="postel-chromium-")
        flags = ["--headless=new", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}"]
        if os.geteuid() == 0:
            # Chromium does not sandbox for root, and says so rather than start.
            flags.append("--no-sandbox")
        address = f"{self.origin(host)}/?{urlencode({'to': to})}"
        with subprocess.Popen(
            [command("chromium"), *flags, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as browser:
            try:
                return self.told.get(timeout=_VISIT_S)
            finally:
                browser.terminate()
                browser.wait()
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def page() -> Iterator[Page]:
    """The page, served until the block ends."""
    require("chromium", LANGUAGES["javascript"])
    script = page_script().read_bytes()
    told: queue.Queue[Any] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/page.js":
                self._answer("text/javascript", script)
            elif self.path.startswith("/?"):
                self._answer("text/html", _PAGE)
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            told.put(msgspec.json.decode(self.rfile.read(int(self.headers["content-length"]))))
            self._answer("text/plain", b"")

        def _answer(self, media_type: str, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            """Nothing: the page tells what it did."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Page(server.server_address[1], told)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
