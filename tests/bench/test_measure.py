"""Figures are taken from the right place: processes, their children, and the second half of a round."""

import os
import subprocess
import sys
import time

import pytest

from bench.measure import Clock, Load, children, cpu_s, late_rate, parent_of, peak_rss_bytes, postgres_cpu_s, rss_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")
BUSY = "import time; t = time.process_time()\nwhile time.process_time() - t < 0.2: pass"


def test_late_rate_is_that_of_the_second_half() -> None:
    assert late_rate([(1.0, 10), (11.0, 10), (12.0, 10), (13.0, 10)]) == 10
    assert late_rate([(1.0, 10)]) == 0


def test_a_process_knows_its_parent_and_its_children() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert parent_of(child.pid) == os.getpid()
    assert child.pid in children(os.getpid())
    child.communicate()
    assert child.pid not in children(os.getpid())


def test_cpu_of_children_counts_after_their_end() -> None:
    before = postgres_cpu_s(os.getpid())
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert postgres_cpu_s(os.getpid()) - before >= 0.18


def test_memory_is_plausible() -> None:
    assert 2**20 < rss_bytes(os.getpid()) <= peak_rss_bytes(os.getpid()) < 2**40


def test_clock_adds_up_its_marks() -> None:
    clock = Clock(100.0, os.getpid(), os.getpid())
    before = cpu_s(os.getpid())
    while cpu_s(os.getpid()) - before < 0.05:
        time.monotonic()
    clock.mark(101.0, 50)
    clock.mark(102.0, 50)
    load = clock.load()
    assert (load.records, load.rate, load.late_rate) == (100, 50, 50)
    assert load.python_cpu_s >= 0.05
    assert load.marks == [(1.0, 50), (2.0, 50)]


def test_rate_of_the_first_records() -> None:
    load = Load(300, 30, 0, 0, 0, 0, marks=[(2.0, 100), (8.0, 100), (10.0, 100)])
    assert (load.rate_of_first(100), load.rate_of_first(200), load.rate_of_first(300)) == (50, 25, 30)
    with pytest.raises(ValueError, match="300 of 301"):
        load.rate_of_first(301)


def test_figures_are_per_record() -> None:
    load = Load(1_000, 30, 0, 0.012, 0.015, 0, bytes_loaded=400_000)
    assert (load.bytes_per_record, load.python_us, load.postgres_us) == pytest.approx((400, 12, 15))
