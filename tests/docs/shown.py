"""Answers as docs/api.md shows them: the same whenever they were asked for, and no longer than they tell something."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import httpx

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
SHOWN_AT = int(datetime(2026, 1, 31, 9, 30, tzinfo=UTC).timestamp()) * _SECOND
"""When the page was asked, as far as it says: the real time is whole days away, so clocks are the same."""
_WIDTH = 110
_MOST_RECORDS, _MOST_FLAT = 1, 3
_NANO = re.compile(r"\b[0-9]{19}\b")
_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d(?::\d\d)?)(\.\d+)?")
_LOG_ID = re.compile(r'"log_id":([0-9]+)')
_CURSOR = re.compile(r'("next_cursor":"|cursor=)([\w-]{8})[\w-]*')
_FIRST_LOG_ID = 2_718_281_828_459_045


def asked_at() -> int:
    """The latest 09:30, in unix nanoseconds."""
    now = time.time_ns()
    return now - (now - SHOWN_AT) % _DAY


class Shown:
    """Puts answers into the page: their times as if now were SHOWN_AT, for what is random what stays the same."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._log_ids: dict[str, str] = {}

    def answer(self, answer: httpx.Response, most_lines: int = 40) -> str:
        """The text of an answer."""
        text = self.still(answer.text)
        is_json = answer.headers["content-type"] == "application/json"
        lines = (pretty(json.loads(text, parse_float=_rounded)) if is_json else text).rstrip().splitlines()
        left = len(lines) - most_lines
        return "\n".join([*lines[:most_lines], *([f"… {left} more lines"] if left > 0 else [])])

    def still(self, text: str) -> str:
        """The text with nothing in it that differs from run to run."""
        text = _LOG_ID.sub(lambda found: f'"log_id":{self._log_id(found[1])}', text)
        text = _CURSOR.sub(r"\1\2…", text)
        text = _NANO.sub(self._nano, text)
        text = _TIME.sub(self._time, text)
        real, shown = (datetime.fromtimestamp(at // _SECOND, UTC) for at in (self._now, SHOWN_AT))
        return text.replace(f"{real:%Y-%m-%d}", f"{shown:%Y-%m-%d}").replace(f"{real:%b %d}", f"{shown:%b %d}")

    def _log_id(self, found: str) -> str:
        return self._log_ids.setdefault(found, str(_FIRST_LOG_ID + len(self._log_ids)))

    def _nano(self, found: re.Match[str]) -> str:
        ago = self._now - int(found[0])
        # What is later is told by the clock of the machine.
        return str(SHOWN_AT - max(ago, 0)) if abs(ago) < 2 * _DAY else found[0]

    def _time(self, found: re.Match[str]) -> str:
        day, between, clock, _ = found.groups()
        at = int(datetime.fromisoformat(f"{day}T{clock}+00:00").timestamp()) * _SECOND
        if at < self._now:
            return found[0]
        # When something was last seen is told by the clock of the machine.
        moment = datetime.fromtimestamp(SHOWN_AT // _SECOND, UTC)
        return f"{moment:%Y-%m-%d}{between}{moment:%H:%M:%S}"[: len(day) + 1 + len(clock)]


def _rounded(text: str) -> float:
    # Sums of the same numbers may differ in the last digit.
    return float(f"{float(text):.9g}")


def pretty(found: Any, margin: int = 0) -> str:
    """JSON in lines that are filled; of a long list of objects the first ones."""
    flat = json.dumps(found, ensure_ascii=False)
    if len(flat) + margin <= _WIDTH or not isinstance(found, dict | list):
        return flat
    if isinstance(found, dict):
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {pretty(part, margin + 2)}" for name, part in found.items()]
        return "{\n" + _filled(parts, margin + 2) + "\n" + " " * margin + "}"
    parts = [pretty(part, margin + 2) for part in found]
    if isinstance(found[0], dict):
        most = _MOST_RECORDS if "\n" in parts[0] else _MOST_FLAT
        parts = parts[:most] + ([f"… {len(found) - most} more"] if len(found) > most else [])
    return "[\n" + _filled(parts, margin + 2) + "\n" + " " * margin + "]"


def _filled(parts: list[str], margin: int) -> str:
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}, {part}" if lines else ""
        if joined and "\n" not in joined and len(joined) + margin < _WIDTH:
            lines[-1] = joined
        else:
            lines.append(part)
    return ",\n".join(" " * margin + line for line in lines)
