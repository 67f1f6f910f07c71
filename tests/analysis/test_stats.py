"""Digits, intervals and tests of significance against published examples and figures worked out by hand."""

import math

import pytest

from analysis import stats

# Student's own example (1908, Biometrika 6, 1-25): hours of sleep gained by ten patients with each of two drugs. R
# ships it as `sleep`; the figures below are those of R's t.test on it.
FIRST = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
SECOND = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))


def renumbered(values: dict, start: int) -> dict:
    return {seed + start: value for seed, value in values.items()}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.230, 0.232, 0.234], "0.2320 ± 0.0020"),
        ([100, 110, 120], "110 ± 10"),
        ([1000, 1300], "1150 ± 210"),  # std 212.13
        ([12340, 12900], "12620 ± 400"),  # std 395.98
        ([10.0, 10.1408], "10.07 ± 0.10"),  # std 0.09956 rounds up to 0.10
        ([5, 5, 5], "5.000 ± 0.000"),
        ([0.1 + 0.2, 0.3], "0.3000000000 ± 0.0000000000"),
        ([763.7], "763.7"),
        ([1302.24], "1302"),
        ([7.13], "7.130"),
        ([0.000123456], "0.0001235"),
        ([0.0], "0.000"),
        ([-1e-20], "-1e-20"),
        ([1e300], "1e+300"),
        ([0.5, math.nan, math.inf], "0.5000"),
        ([math.nan], "–"),
        ([], "–"),
    ],
)
def test_figures_have_the_digits_that_their_spread_supports(values, text):
    assert str(stats.summarize(values)) == text


def test_summary_has_the_sample_deviation():
    # Hand-computed: mean 5, squared deviations 9 1 1 1 0 0 4 16 sum to 32, over n - 1 = 7.
    summary = stats.summarize([2, 4, 4, 4, 5, 5, 7, 9])
    assert (summary.mean, summary.n) == (5, 8)
    assert summary.std == pytest.approx(math.sqrt(32 / 7))


def test_late_change_compares_the_last_quarter_with_the_second():
    steps = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    values = [99, 99, 99, 4, 6, 99, 99, 1, 3]  # second quarter: steps 3 and 4, last: 7 and 8
    assert stats.late_change(steps, values) == 2 - 5
    assert math.isnan(stats.late_change([], []))
    assert math.isnan(stats.late_change([0, 10], [5, 1]))


def test_runs_of_one_seed_are_paired():
    test = stats.compare_means(FIRST, SECOND)
    assert test.method == stats.PAIRED
    assert test.p == pytest.approx(0.002833, abs=5e-7)


def test_runs_without_common_seeds_are_two_samples_of_unequal_variance():
    test = stats.compare_means(FIRST, renumbered(SECOND, 100))
    assert test.method == stats.WELCH
    assert test.p == pytest.approx(0.07939, abs=5e-6)


def test_seeds_that_one_side_lacks_are_left_out_of_the_pairs():
    missing = {**SECOND, 3: math.nan, 77: 5.0, 78: math.inf}
    del missing[8]
    kept = [seed for seed in FIRST if seed not in (3, 8)]
    alike = stats.compare_means({seed: FIRST[seed] for seed in kept}, {seed: SECOND[seed] for seed in kept})
    assert stats.compare_means(FIRST, missing) == alike
    assert alike.method == stats.PAIRED


def test_what_is_free_of_chance_is_a_constant():
    # Mean 2, deviation 1, n 3: t = 2 / (1 / sqrt 3), whose two-sided p with 2 degrees of freedom is
    # 1 - t / sqrt(t² + 2) = 1 - sqrt(6 / 7).
    runs, constant = {"0": 2.0, "1": 3.0, "2": 4.0}, {"0": 1.0}
    for sides in ((runs, constant), (constant, runs)):
        test = stats.compare_means(*sides, exact=True)
        assert test.method == stats.ONE_SAMPLE
        assert test.p == pytest.approx(1 - math.sqrt(6 / 7))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"0": 1.0}, {"0": 2.0, "1": 3.0}),
        ({"0": 1.0}, {"0": 2.0}),
        ({}, {"0": 2.0, "1": 3.0}),
        ({"0": math.nan, "1": math.nan}, {"0": 2.0, "1": 3.0}),
        ({"0": 1.0, "1": 1.0}, {"0": 2.0, "1": 2.0}),
        ({"0": 1.0, "1": 1.0}, {"2": 2.0, "3": 2.0}),
        ({"0": 1.0, "1": 2.0}, {"0": 1.0, "1": 2.0}),
        ({"0": 0.1 + 0.2, "1": 0.5}, {"0": 0.3, "1": 0.5}),  # their difference is float noise
    ],
)
def test_nothing_is_tested_without_runs_or_spread(ours, theirs):
    test = stats.compare_means(ours, theirs)
    assert math.isnan(test.p)
    assert test.method == ""


def test_interval_of_the_mean():
    # R: t.test(sleep$extra[1:10] - sleep$extra[11:20])$conf.int
    summary = stats.summarize([FIRST[seed] - SECOND[seed] for seed in FIRST])
    assert summary.interval == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_interval_at_its_edges():
    assert all(math.isnan(end) for end in stats.summarize([5.0]).interval)
    assert all(math.isnan(end) for end in stats.summarize([]).interval)
    assert stats.summarize([5.0, 5.0]).interval == (5.0, 5.0)
    # With one degree of freedom t is Cauchy's: its 97.5 % point is tan(0.475 π) = 12.706.
    low, high = stats.summarize([1.0, 3.0]).interval
    assert (high - low) / 2 == pytest.approx(math.tan(0.475 * math.pi))


def test_holm_by_hand():
    # Four tests: 4 x 0.005, then 3 x 0.01, then 2 x 0.03, and 0.04 is no less than the one before it.
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    corrected = stats.holm([math.nan, 0.02, math.nan, 0.03])
    assert corrected[1::2] == pytest.approx([0.04, 0.04])
    assert math.isnan(corrected[0])
    assert stats.holm([]) == []


@pytest.mark.parametrize(("p", "text"), [(0.04, "0.04"), (0.1234, "0.12"), (0.0009, "<0.001"), (1.0, "1")])
def test_probabilities_are_printed_short(p, text):
    assert stats.probability(p) == text
    assert stats.probability(math.nan) == stats.MISSING
