"""Agreement of a run with the one that it repeats: what has to be the same, and how much may differ."""

import math

import pytest

from pipelines.common import screen
from pipelines.launching.agreement import (
    DIFFERENT,
    IDENTICAL,
    WITHIN,
    agreements,
    is_exact,
    overall,
    table,
)
from pipelines.tracking.record import Snapshot

TAGS = {
    "code_digest": "1" * 16,
    "torch": "2.13.0",
    "numpy": "2.4.0",
    "scikit-learn": "1.9.0",
    "cpu": "a processor",
    "isa": "AVX512",
    "cores": "2",
    "host": "one",
}
JUDGED = ["smape_report", "train_loss", "training_time_s"]


def run(tags=(), device: str = "cpu", **metrics: float) -> Snapshot:
    return Snapshot("FINISHED", "1", {**TAGS, **dict(tags)}, {"device": device}, metrics)


def verdicts(then: Snapshot, now: Snapshot, seeds=()) -> dict[str, str]:
    return {each.metric: each.verdict for each in agreements(then, now, JUDGED, seeds)}


THEN = run(smape_report=0.25, smape=1.0)
NEXT = math.nextafter(0.25, 1)
OTHERS = [
    {"code_digest": "2" * 16},
    {"torch": "2.14.1"},
    {"numpy": "2.5.0"},
    {"cpu": "another processor"},
    {"isa": "AVX2"},
    {"cores": "8"},
]


def test_on_the_same_kind_of_machine_the_last_bit_counts_in_every_metric():
    now = run({"host": "another"}, smape_report=0.25, smape=math.nextafter(1.0, 2))
    assert is_exact(THEN, now)
    assert verdicts(THEN, now) == {"smape_report": IDENTICAL, "smape": DIFFERENT}


@pytest.mark.parametrize("tags", OTHERS)
@pytest.mark.parametrize(
    ("value", "verdict"), [(0.25, IDENTICAL), (NEXT, WITHIN), (0.2549, WITHIN), (0.2451, WITHIN), (0.2551, DIFFERENT)]
)
def test_elsewhere_two_per_cent_of_what_is_judged(tags, value, verdict):
    now = run(tags, smape_report=value, smape=1.5)
    assert not is_exact(THEN, now)
    assert verdicts(THEN, now) == {"smape_report": verdict, "smape": WITHIN}


def test_a_continued_run_has_the_code_that_it_ended_with():
    then = run({"resumed_code_digest": "2" * 16})
    assert not is_exact(then, run())
    assert is_exact(then, run({"code_digest": "2" * 16}))


def test_nothing_is_required_to_the_bit_on_a_gpu():
    assert not is_exact(run(device="cuda:0"), run(device="cuda:0"))


def test_the_spread_over_three_seeds_is_the_tolerance_where_it_is_known():
    """The deviation of 0.24, 0.25 and 0.26 is 0.01."""
    seeds = [{"smape_report": value} for value in (0.24, 0.25, 0.26)]
    for value, verdict in ((0.2799, WITHIN), (0.2801, DIFFERENT), (0.2201, WITHIN)):
        assert verdicts(THEN, run(OTHERS[0], smape_report=value), seeds) == {"smape_report": verdict}
    for few in (seeds[:2], [seeds[0]] * 3):  # too few, or alike by chance
        assert verdicts(THEN, run(OTHERS[0], smape_report=0.2551), few) == {"smape_report": DIFFERENT}


def test_times_memory_and_what_one_run_lacks_are_left_out():
    costs = dict.fromkeys(
        ("training_time_s", "images_per_s", "cost/peak_memory_mb", "cost/cpu_s", "cost/micro_batch"), 1.0
    )
    then = run(**costs, smape_report=0.25, mae_mw=3.0)
    now = run(**dict.fromkeys(costs, 2.0), smape_report=0.25, rmse_mw=4.0)
    assert verdicts(then, now) == {"smape_report": IDENTICAL}


def test_a_metric_with_an_earlier_name_is_compared_with_its_present_one():
    assert verdicts(run(parameters=5.0), run(**{"cost/weights": 5.0})) == {"cost/weights": IDENTICAL}


def test_twenty_images_are_not_judged():
    then, now = run(sheet_accuracy=80.0), run(OTHERS[0], sheet_accuracy=75.0)
    assert [each.verdict for each in agreements(then, now, ["sheet_accuracy"])] == [WITHIN]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"smape_report": 0.25, "smape": 1.0}, IDENTICAL),
        ({"smape_report": 0.25, "smape": 1.1}, WITHIN),
        ({"smape_report": 0.3, "smape": 1.0}, DIFFERENT),
        ({}, DIFFERENT),
    ],
)
def test_two_runs_are_identical_if_all_metrics_are_and_different_if_one_is(values, verdict):
    assert overall(agreements(THEN, run(OTHERS[0], **values), JUDGED)) == verdict


def test_the_table_shows_what_is_judged_and_what_differs_and_counts_the_rest():
    then = run(smape_report=0.25, a=1.0, b=2.0, c=3.0)
    drawn = table(agreements(then, run(smape_report=0.25, a=1.0, b=2.5, c=3.0), JUDGED), JUDGED, "again")
    shown = [
        line.split() for line in screen.draw([drawn], screen.Screen(80)).splitlines() if "0" in line or "2" in line
    ]
    assert ["smape_report", "0.25", "0.25", "0", "identical"] in shown
    assert ["b", "2", "2.5", "+0.5", "different"] in shown
    assert "further metrics: 2, all of them identical" in screen.draw([drawn], screen.Screen(80))
