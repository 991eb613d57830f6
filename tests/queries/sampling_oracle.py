"""What a tracestate says of sampling, in plain Python and exact fractions, and random tracestates to ask it about.

Source: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
"""

import math
from fractions import Fraction
from random import Random

MILLION = 10**6
_DIGITS = frozenset("0123456789abcdefABCDEF")


def adjusted_count(trace_state: str | None) -> Fraction | None:
    """How many spans one with this tracestate stands for, to six digits; None where it does not tell."""
    members = (member.partition("=") for member in _without_blanks(trace_state or "").split(","))
    told = next((value for key, _, value in members if key == "ot"), "")
    parts = (part.partition(":") for part in told.split(";"))
    threshold = next((value for key, _, value in parts if key == "th"), "")
    if not 1 <= len(threshold) <= 14 or not set(threshold) <= _DIGITS:
        return None
    rejected = Fraction(int(threshold, 16), 16 ** len(threshold))
    return Fraction(math.floor(MILLION / (1 - rejected) + Fraction(1, 2)), MILLION)


def _without_blanks(text: str) -> str:
    return text.replace(" ", "").replace("\t", "")


def random_trace_state(rng: Random) -> str:
    """A tracestate: thresholds among others' members, or none, or nearly one."""
    digits = "".join(rng.choice("0123456789abcdef") for _ in range(rng.randrange(1, 15)))
    threshold = rng.choice((digits, digits, digits, "0", "8", "c", "ffffffffffffff", "fffffffffffffe", "FD70a"))
    broken = rng.choice(("", "g", "0x8", "-8", "8.0", "123456789012345", "8=", " ", "٣"))
    of_sampling = [f"th:{threshold}" if rng.random() < 0.8 else f"th:{broken}"]
    of_sampling += [found for found in ("rv:6e6d1a75832a2f", "p:8", "xth:4", "th:e", "") if rng.random() < 0.2]
    rng.shuffle(of_sampling)
    member = f"{rng.choice(('ot', 'ot', 'ot', 'ot', 'OT', 'dot', 'ot@x', 'otx'))}={';'.join(of_sampling)}"
    others = [found for found in ("vendor=ot=th:8", "a=b;th:8", "x@ot=th:c", "", "ot=rv:1") if rng.random() < 0.15]
    found = [member, *others] if rng.random() < 0.9 else others
    rng.shuffle(found)
    return rng.choice((",", ", ", "\t,", " , ")).join(found)
