import numpy as np
import pytest

from pipelines import names
from pipelines.training.metrics import class_accuracies, confusion, forecast_metrics, smape


def test_smape_is_the_formula_worked_by_hand():
    # |100-300| / 200 = 1 and |50-50| / 50 = 0, so 100/2 (1 + 0) = 50 %.
    assert smape(np.array([100.0, 50.0]), np.array([300.0, 50.0])) == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("forecast", "actual", "percent"),
    [
        ([0.0], [7.0], 200.0),  # the largest there is
        ([-7.0], [7.0], 200.0),  # magnitudes in the denominator: |F + A| would divide by zero
        ([0.0, 0.0], [0.0, 7.0], 100.0),  # 0/0 is no error, and counts as a target
    ],
)
def test_smape_at_its_limits(forecast, actual, percent):
    assert smape(np.array(forecast), np.array(actual)) == pytest.approx(percent)


def test_smape_of_a_diverged_forecast_is_not_a_number():
    assert np.isnan(smape(np.array([np.nan, 1.0]), np.array([1.0, 1.0])))


def test_smape_computes_float32_in_double_precision():
    # In float32 the sum of a million terms of 2/3 loses the fifth digit.
    forecast, actual = np.full(1_000_000, 1.0, np.float32), np.full(1_000_000, 2.0, np.float32)
    assert smape(forecast, actual) == pytest.approx(200 / 3, rel=1e-12)


@pytest.mark.parametrize(("forecast", "actual"), [(np.ones((3, 1)), np.ones(3)), (np.ones(0), np.ones(0))])
def test_smape_refuses_shapes_that_would_broadcast_and_nothing(forecast, actual):
    with pytest.raises(ValueError, match="shape"):
        smape(forecast, actual)


def test_forecast_metrics_worked_by_hand():
    # Series A: 50 %, as above, with errors 200 and 0; B: |2-6| / 4 = 100 %, with error 4.
    forecasts = [np.array([100.0, 50.0]), np.array([2.0])]
    actuals = [np.array([300.0, 50.0]), np.array([6.0])]
    metrics = forecast_metrics(forecasts, actuals, ["A", "B"])
    assert metrics == pytest.approx(
        {
            names.SMAPE: 75.0,  # of the series: over the targets it would be 66.7
            names.SMAPE_REPORT: 18.75,
            names.MAE_MW: 68.0,
            names.RMSE_MW: np.sqrt((200**2 + 4**2) / 3),
            "series/smape.A": 50.0,
            "series/smape.B": 100.0,
        }
    )
    assert all(type(value) is float for value in metrics.values())


def test_the_reports_convention_is_the_tutorials_code():
    forecast, actual = np.array([90.0, 130.0, 100.0]), np.array([100.0, 100.0, 160.0])
    as_coded = np.mean(abs(forecast - actual) / (forecast + actual) / 2) * 100
    assert forecast_metrics([forecast], [actual], ["A"])[names.SMAPE_REPORT] == pytest.approx(as_coded)


def test_forecast_metrics_needs_a_forecast_for_each_series():
    with pytest.raises(ValueError):
        forecast_metrics([np.ones(2)], [np.ones(2), np.ones(2)], ["A", "B"])


def test_confusion_and_class_accuracies_worked_by_hand():
    # Of class a one of two is told right, of b its only one, of c two of three; of d there are none.
    counts = confusion(np.array([0, 0, 1, 2, 2, 2], np.uint8), np.array([0, 1, 1, 0, 2, 2]), "abcd")
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    accuracies = class_accuracies(counts, "abcd")
    assert accuracies == pytest.approx({"a": 50.0, "b": 100.0, "c": 200 / 3, "d": np.nan}, nan_ok=True)
    assert all(type(value) is float for value in accuracies.values())


def test_a_class_that_is_only_predicted_has_its_column():
    assert confusion(np.array([0, 0]), np.array([2, 2]), "abc").tolist() == [[0, 0, 2], [0, 0, 0], [0, 0, 0]]
