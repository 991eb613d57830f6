"""Every target can be met and can be missed, ratios are taken within a round, and what did not run is not judged."""

import pytest

from bench.corpus import SIGNALS
from bench.measure import Load
from bench.targets import TARGETS, Round, Target, json_ratio, missed, verdicts
from tests.bench.loads import MIB, load

RECORDS = 1_000
GOOD: Round = {
    "Postel": load(80_000, 100, python_cpu_s=0.006, postgres_cpu_s=0.004, peak_rss_bytes=256 * MIB),
    "Postel, JSON": load(60_000, 100),
    "J1": load(30_000, 1_000),
    "J2": load(50_000, 400),
    "P0": load(160_000),
}
POOR: Round = {
    "Postel": load(
        34_000, 300, python_cpu_s=0.0121, postgres_cpu_s=0.0151, peak_rss_bytes=257 * MIB, idle_rss_bytes=91 * MIB
    ),
    "Postel, JSON": load(25_000),
    "J1": load(30_000, 1_000),
    "J2": load(28_000, 400),
    "P0": load(70_000),
}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.title)
def test_each_target_is_met_and_missed(target: Target, signal: str) -> None:
    assert verdicts(target, {signal: [GOOD]})[signal].is_met
    assert not verdicts(target, {signal: [POOR]})[signal].is_met


def test_nothing_is_missed_by_a_good_run() -> None:
    assert missed({signal: [GOOD] * 3 for signal in SIGNALS}) == []
    assert len(missed({signal: [POOR] for signal in SIGNALS})) == len(TARGETS) * len(SIGNALS)


def test_missed_targets_are_named() -> None:
    poor = {**GOOD, "J2": load(80_000, 400)}
    assert missed({"spans": [poor]}) == ["spans: rate, Postel / J2: 1.00, the target is 1.40"]


def test_what_did_not_run_is_not_judged() -> None:
    only: dict[str, Load] = {side: POOR[side] for side in ("Postel", "J2")}
    titles = {line.split(": ")[1] for line in missed({"spans": [only]})}
    assert titles.isdisjoint({"rate, Postel / P0", "rate, JSON / protobuf", "bytes, Postel / J1"})
    assert {"rate, Postel / J2", "records/s", "memory, peak, MiB"} <= titles


def test_the_median_counts_but_the_worst_memory() -> None:
    by_title = {target.title: target for target in TARGETS}
    assert verdicts(by_title["rate, Postel / J2"], {"spans": [GOOD, POOR, GOOD]})["spans"].is_met
    assert not verdicts(by_title["memory, peak, MiB"], {"spans": [GOOD, POOR, GOOD]})["spans"].is_met


def test_ratios_are_taken_within_a_round() -> None:
    rate = TARGETS[0]
    rounds = [{"Postel": load(rate), "J2": load(10_000)} for rate in (5_000, 20_000)]
    assert verdicts(rate, {"spans": rounds})["spans"].values == [0.5, 2.0]


def test_json_is_compared_with_the_same_records() -> None:
    protobuf = load(1_000, records=1_000)
    protobuf.marks = [(1.0, 500), (1.5, 500)]
    # 500 records in the first second, the warm-up: that is what JSON's 500 have to be held against.
    assert json_ratio({"Postel": protobuf, "Postel, JSON": load(400, records=500)}) == pytest.approx(0.8)
