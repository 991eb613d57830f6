"""MLflow's tracking server with PostgreSQL as its store: acknowledges a body once its spans are committed.

Source: https://mlflow.org/docs/latest/genai/tracing/opentelemetry/ingest
"""

import os
from collections.abc import Mapping

from bench.peers.install import install_python, pinned_version
from bench.peers.peer import Command, Place

_DEFAULT_EXPERIMENT = "0"
_WORKERS = len(os.sched_getaffinity(0))


class MLflow:
    """`mlflow server` of PyPI's mlflow."""

    name = "mlflow"
    title = "MLflow"
    spans = 20_000
    kill_bodies = 3
    headers: Mapping[str, str] = {"x-mlflow-experiment-id": _DEFAULT_EXPERIMENT}
    ready_path = "/health"
    table = "spans"
    given = f"{_WORKERS} workers, one a core (of 1, 2 and 4, the default, two stored most); no telemetry of its own"

    def install(self) -> None:
        """From bench/peers/mlflow.txt."""
        install_python(self.name)

    def version(self) -> str:
        """That of mlflow."""
        return pinned_version(self.name, "mlflow")

    def command(self, place: Place) -> Command:
        """On PostgreSQL's socket; what it would write to disk goes to the peer's folder."""
        url = f"postgresql+psycopg2://postgres@/{place.database}?host={place.socket_dir}&port={place.socket_port}"
        folder = install_python(self.name)
        arguments = (
            *(str(folder / "mlflow"), "server", "--backend-store-uri", url, "--host", "127.0.0.1"),
            *(
                "--port",
                str(place.port),
                "--workers",
                str(_WORKERS),
                "--artifacts-destination",
                str(place.folder / "artifacts"),
            ),
        )
        # It starts its workers by their names.
        environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PATH": f"{folder}:/usr/bin:/bin"}
        return Command(arguments, environment)
