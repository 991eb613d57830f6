"""What a trial of one peer has found out, in figures."""

from msgspec import Struct


class Load(Struct):
    """What a peer made of its spans."""

    sent: int
    acknowledged: int
    acknowledged_s: float
    """From the first byte to the last acknowledgement."""
    stored: int
    stored_s: float
    """From the first byte until the last row was visible."""
    refused: dict[str, int]
    """Answer -> spans."""
    grown_bytes: int
    """By how much its tables, indexes and TOAST grew."""
    idle_rss_bytes: int
    peak_rss_bytes: int
    server_cpu_s: float
    postgres_cpu_s: float
    client_cpu_s: float

    @property
    def rate(self) -> float:
        """Durable spans/s."""
        return self.stored / self.stored_s if self.stored else 0.0

    @property
    def acknowledged_rate(self) -> float:
        """Acknowledged spans/s."""
        return self.acknowledged / self.acknowledged_s if self.acknowledged else 0.0

    @property
    def lag_s(self) -> float:
        """From the last acknowledgement until the last row was visible."""
        return max(0.0, self.stored_s - self.acknowledged_s)

    @property
    def bytes_per_span(self) -> float:
        """By how much the tables grew a stored span."""
        return self.grown_bytes / self.stored if self.stored else 0.0


class Repeated(Struct):
    """A body that was stored already, sent again: what came of it."""

    spans: int
    acknowledged: int
    added: int
    """Rows."""
    refused: dict[str, int]


class Killed(Struct):
    """All processes of the server got SIGKILL at the last acknowledgement, and it was started again."""

    acknowledged: int
    stored: int


class Trial(Struct):
    """One peer's whole trial; what could not be found out is None, and `problem` says why."""

    name: str
    title: str
    version: str
    given: str
    load: Load | None = None
    missing_fields: list[str] | None = None
    repeated: Repeated | None = None
    killed: Killed | None = None
    problem: str = ""
