"""Conformal intervals: by an example that is worked out here, and by their coverage of errors to come."""

import numpy as np
import pytest

from pipelines.forecasting.intervals import calibrated


def test_limits_are_order_statistics_of_the_relative_errors():
    forecast = np.full((9, 1), 200.0)
    actual = forecast + 2 * np.array([-1, 2, -3, 4, -5, 6, -7, 8, -9])[:, None]  # errors of 1 to 9 %
    found = calibrated(forecast, actual, levels=(80,))
    # ⌈10 × 0.8⌉ = 8: the second largest.
    assert found.reach.tolist() == pytest.approx(np.array([[0.08]]))
    low, high = found.of(np.array([[100.0]]))
    assert (low.item(), high.item()) == pytest.approx((92, 108))
    assert found.errors == 9


@pytest.mark.parametrize(("errors", "limited"), [(0, 0), (3, 0), (4, 1), (18, 1), (19, 2)])
def test_a_level_needs_enough_errors(errors, limited):
    # A further error exceeds the largest of n with a probability of 1 / (n + 1): a fifth for 4, a twentieth for 19.
    forecast = np.full((errors, 1), 10.0)
    found = calibrated(forecast, forecast + np.arange(errors)[:, None])
    some = np.full((2, 1), 10.0)
    for limits in (found.reach, *found.of(some[:1]), found.coverage(some, some)):
        assert np.isfinite(limits).sum() == limited


@pytest.mark.parametrize("skewed", [False, True])
def test_errors_to_come_are_covered_as_often_as_promised(skewed):
    rng = np.random.default_rng(0)

    def errors(count: int) -> np.ndarray:
        normal = rng.normal(0, 1, (count, 3)) * np.array([0.01, 0.05, 0.1])
        return np.exp(normal) - 1 if skewed else normal

    coverages = []
    for _ in range(200):
        forecast = np.full((200, 3), 50.0)
        intervals = calibrated(forecast, forecast * (1 + errors(200)))
        coverages.append(intervals.coverage(forecast, forecast * (1 + errors(200))))
    # The promise is of the mean over calibrations; it is 1 / (n + 1) of the errors more at most, for each tail.
    assert np.mean(coverages, axis=0) == pytest.approx(np.broadcast_to([80.5, 95.5], (3, 2)), abs=1)


def test_negative_forecasts_have_their_limits_on_the_right_sides():
    intervals = calibrated(np.full((9, 1), 200.0), 200 + 2.0 * np.arange(1, 10)[:, None], levels=(80,))
    low, high = intervals.of(np.array([[-100.0]]))
    assert (low.item(), high.item()) == pytest.approx((-108, -92))
