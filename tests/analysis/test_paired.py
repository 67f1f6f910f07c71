"""Tests by predictions, against statsmodels, hand calculation, and simulated data of which the truth is known."""

import math

import numpy as np
import pytest
from scipy.stats import permutation_test

from analysis.paired import Errors, diebold_mariano, mc_nemar, mean_errors

HOURS = np.arange(400)


def of_one_series(error: np.ndarray) -> Errors:
    return Errors(np.zeros(len(error), int), np.arange(len(error)), error)


def test_the_mean_difference_and_its_p_value_are_those_of_statsmodels():
    # statsmodels 0.14.5, the constant in OLS(difference, ones).fit(cov_type="HAC", cov_kwds={"maxlags": 50}), whose p
    # value is that of the normal distribution. A week has more than an eighth of 400 hours, so 50 lags are taken.
    found = diebold_mariano(of_one_series(np.sin(HOURS * 0.05) + 0.12), of_one_series(-np.cos(HOURS * 2.1)))
    assert found.difference == pytest.approx(0.14949066860280222)
    assert found.p == pytest.approx(0.424050294426884)


def test_each_series_has_the_same_weight():
    series, hour = np.repeat([0, 1], [300, 100]), np.r_[np.arange(300), np.arange(100)]
    ours = Errors(series, hour, np.repeat([1.0, 3.0], [300, 100]))
    assert diebold_mariano(ours, Errors(series, hour, np.zeros(400))).difference == 2.0


def test_the_same_hours_of_several_series_are_no_further_evidence():
    weather = np.random.default_rng(0).normal(0.1, 1.0, 400)
    one = diebold_mariano(of_one_series(weather), of_one_series(np.zeros(400)))
    twelve = Errors(np.repeat(np.arange(12), 400), np.tile(HOURS, 12), np.tile(weather, 12))
    many = diebold_mariano(twelve, Errors(twelve.series, twelve.hour, np.zeros(4800)))
    assert many.p == pytest.approx(one.p)
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_neighbouring_hours_that_are_alike_are_less_evidence():
    once = np.random.default_rng(0).normal(0.15, 1.0, 800)
    zero = of_one_series(np.zeros(800))
    apart, alike = (diebold_mariano(of_one_series(each), zero) for each in (once, np.repeat(once[::8], 8)))
    assert apart.p < 0.01 < alike.p
    assert alike.high - alike.low > 2 * (apart.high - apart.low)


def test_where_there_is_no_difference_one_in_twenty_is_found_significant():
    rng = np.random.default_rng(0)
    zero = of_one_series(np.zeros(3000))
    tests = [diebold_mariano(of_one_series(rng.normal(size=3000)), zero) for _ in range(200)]
    assert 0.02 <= np.mean([test.p < 0.05 for test in tests]) <= 0.10
    # The bootstrap's intervals hold zero as often as the tests do not reject it.
    assert 0.90 <= np.mean([test.low <= 0 <= test.high for test in tests]) <= 0.98


def test_equal_forecasts_have_no_test():
    found = diebold_mariano(of_one_series(np.ones(400)), of_one_series(np.ones(400)))
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert math.isnan(found.p)


def test_other_targets_are_refused():
    with pytest.raises(ValueError, match="same targets"):
        diebold_mariano(of_one_series(np.ones(400)), of_one_series(np.ones(399)))


def test_errors_of_seeds_are_averaged_target_by_target():
    mean = mean_errors([of_one_series(np.array([1.0, 2.0])), of_one_series(np.array([3.0, 6.0]))])
    assert mean.error.tolist() == [2.0, 4.0]


# 50 images that both classify right, 12 that only ours does, 4 that only theirs does, 30 that neither does.
OURS = np.repeat([True, True, False, False], [50, 12, 4, 30])[None]
THEIRS = np.repeat([True, False, True, False], [50, 12, 4, 30])[None]


def test_mc_nemars_exact_test_is_that_of_statsmodels():
    # statsmodels 0.14.5, mcnemar([[50, 12], [4, 30]], exact=True)
    found = mc_nemar(OURS, THEIRS)
    assert found.difference == pytest.approx(100 * 8 / 96)
    assert (found.p, found.method) == (pytest.approx(0.076812744140625), "McNemar exact")
    # The normal interval of the difference, 8/96 ± 1.96 sqrt(16/96 - (8/96)²) / sqrt(96), is 0.33 to 16.3 points.
    assert (found.low, found.high) == pytest.approx((0.33, 16.3), abs=1.1)


def test_two_seeds_that_are_alike_give_mc_nemars_statistic():
    # statsmodels 0.14.5, mcnemar([[50, 12], [4, 30]], exact=False, correction=False)
    found = mc_nemar(np.repeat(OURS, 2, axis=0), np.repeat(THEIRS, 2, axis=0))
    assert (found.p, found.method) == (pytest.approx(0.04550026389635839), "McNemar of means")
    assert found.difference == mc_nemar(OURS, THEIRS).difference


def test_the_test_of_means_over_seeds_is_that_of_exchanged_signs():
    rng = np.random.default_rng(3)
    easy = rng.random(2000)  # an image that one seed classifies right, another often does too
    ours, theirs = rng.random((3, 2000)) < easy, rng.random((2, 2000)) < easy - 0.001
    differences = ours.mean(0) - theirs.mean(0)
    expected = permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=20_000, rng=rng).pvalue
    assert 0.02 < expected < 0.6
    assert mc_nemar(ours, theirs).p == pytest.approx(expected, abs=0.015)


def test_classifiers_that_agree_on_every_image_do_not_differ():
    for right in (np.array([[True, False, True]]), np.array([[True, False, True], [False, False, True]])):
        assert (mc_nemar(right, right).difference, mc_nemar(right, right).p) == (0.0, 1.0)
