"""Sending a request again as OTLP/HTTP asks of its clients: when it may help, how long after, and until when.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp (responses, retries, throttling).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import TypeAlias

import httpx

Sleep: TypeAlias = Callable[[float], Awaitable[object]]

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
"""All others say that the same request would fail again."""
RETRYABLE_ERRORS = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)
FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 30.0

_KEPT_PROBLEMS = 5


@dataclass(slots=True)
class Attempts:
    """How often requests were sent again, and why."""

    retried: int = 0
    problems: dict[str, int] = field(default_factory=dict)
    """What servers and the network said -> how often; the first few that differ."""

    def note(self, problem: str) -> None:
        """Count a problem, if it is among the first few that differ."""
        if problem in self.problems or len(self.problems) < _KEPT_PROBLEMS:
            self.problems[problem] = self.problems.get(problem, 0) + 1


@dataclass(slots=True)
class Retry:
    """Sends a request until it is answered; `sleep` and `clock` (seconds) are what it waits by."""

    give_up_s: float = 300.0
    sleep: Sleep = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    rng: Random = field(default_factory=Random)

    async def send(
        self,
        request: Callable[[], Awaitable[httpx.Response]],
        explain: Callable[[httpx.Response], str],
        attempts: Attempts,
    ) -> httpx.Response | None:
        """The answer, after as many attempts as it takes; `attempts` counts them.

        Where it would not help to try again, or `give_up_s` have passed: the last answer, which is no success, or
        None where there was none. `explain` gives what the server says in such an answer.
        """
        began = self.clock()
        attempt = 0
        while True:
            response, problem, retryable = await self._try(request, explain)
            if response is not None and response.is_success:
                return response
            attempts.note(problem)
            wait_s = self._wait_s(response, attempt)
            if not retryable or self.clock() + wait_s - began > self.give_up_s:
                return response
            await self.sleep(wait_s)
            attempt += 1
            attempts.retried += 1

    async def _try(
        self, request: Callable[[], Awaitable[httpx.Response]], explain: Callable[[httpx.Response], str]
    ) -> tuple[httpx.Response | None, str, bool]:
        """The answer, or what went wrong and whether trying again may help."""
        try:
            response = await request()
        except httpx.RequestError as error:
            return None, f"{type(error).__name__}: {error}".rstrip(": "), isinstance(error, RETRYABLE_ERRORS)
        problem = "" if response.is_success else f"{response.status_code}: {explain(response)}".rstrip(": ")
        return response, problem, response.status_code in RETRYABLE_STATUSES

    def _wait_s(self, response: httpx.Response | None, attempt: int) -> float:
        """Seconds to the next attempt: what the server asks for, else a back-off that doubles, with jitter."""
        if response is not None:
            asked_s = retry_after_s(response.headers.get("Retry-After", ""), datetime.now(UTC))
            if asked_s is not None:
                return asked_s
        longest = min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(attempt, 20))
        return longest * self.rng.uniform(0.5, 1.0)


def retry_after_s(header: str, now: datetime) -> float | None:
    """Seconds that a Retry-After header (seconds or an HTTP date) asks for; None when it asks for nothing readable."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    # "-0000" gives a time without zone, which means UTC too.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
