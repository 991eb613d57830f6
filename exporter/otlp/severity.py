"""Names of log severities and the numbers that they stand for.

Source: opentelemetry-proto `logs.proto`, SeverityNumber.
"""

import re
from types import MappingProxyType
from typing import Final

SEVERITIES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""Names of severities; each has four numbers, from 1 on."""
_ALSO_CALLED: Final = MappingProxyType({"WARNING": "WARN", "ERR": "ERROR", "CRITICAL": "FATAL", "INFORMATION": "INFO"})


def severity_number(name: str) -> int | None:
    """The number of a name such as warn, ERROR2 or SEVERITY_NUMBER_INFO; None where it is none."""
    found = re.fullmatch("([A-Z]+)([2-4])?", name.strip().upper().removeprefix("SEVERITY_NUMBER_"))
    severity = _ALSO_CALLED.get(found[1], found[1]) if found else ""
    return SEVERITIES.index(severity) * 4 + int(found[2] or 1) if found and severity in SEVERITIES else None
