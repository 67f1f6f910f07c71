"""Names of metrics: those of earlier versions, the present ones, and what is told by them."""

import pytest
from mlflow.utils.validation import _validate_metric_name

from pipelines import names

RENAMED = {
    "parameters": "cost/weights",
    "peak_memory_mb": "cost/peak_memory_mb",
    "multiply_adds": "cost/multiply_adds",
    "targets_per_s": "cost/targets_per_s",
    "micro_batch": "cost/micro_batch",
    "smape_curve_fp32": "precision/smape_curve.fp32",
    "test_accuracy_bf16": "precision/test_accuracy.bf16",
    "test_accuracy_int8": "precision/test_accuracy.int8",
    "smape.AEP": "series/smape.AEP",
    "smape.PJM.E": "series/smape.PJM.E",
    "test_accuracy.cat": "class/test_accuracy.cat",
    "smape_curve.first": "first/smape_curve",
    "train_loss.best": "best/train_loss",
    "test_accuracy.best": "best/test_accuracy",
    "test_accuracy.best_step": "best_step/test_accuracy",
}
# The contract's.
KEPT = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "val_loss", "val_accuracy"),
    *("smape", "smape_report", "smape_curve", "val_smape", "mae_mw", "rmse_mw", "objective"),
    *("training_time_s", "evaluation_time_s", "windows_per_s", "images_per_s"),
)


@pytest.mark.parametrize(("earlier", "present"), RENAMED.items())
def test_an_earlier_name_and_the_present_one_are_known_by_each_other(earlier, present):
    assert names.present(earlier) == present
    assert names.present(present) == present
    assert names.earlier(present) == earlier


@pytest.mark.parametrize("name", KEPT)
def test_a_main_name_stays(name):
    assert names.present(name) == names.earlier(name) == name
    assert not names.is_derived(name)


def test_what_is_derived_from_another_metric_is_known_by_its_group():
    derived = {present for present in RENAMED.values() if names.is_derived(present)}
    assert derived == {present for present in RENAMED.values() if not present.startswith(("cost/", "precision/"))}


@pytest.mark.parametrize(
    ("part", "metrics"),
    [
        ("training", ["train_loss", "train_accuracy", "best/train_loss"]),
        ("validation", ["val_loss", "val_smape", "best_step/val_accuracy"]),
        ("evaluation", ["smape", "series/smape.AEP", "class/test_accuracy.train_", "first/smape_curve", "mae_mw"]),
        ("", ["training_time_s", "cost/weights", "images_per_s", "something"]),
    ],
)
def test_the_part_of_the_data_that_a_metric_is_measured_on(part, metrics):
    assert {names.part_of(metric) for metric in metrics} == {part}


@pytest.mark.parametrize(
    ("metric", "lowest"),
    [
        ("smape_report", True),
        ("smape.AEP", True),
        ("series/smape.AEP", True),
        ("test_loss.best", True),
        ("best/test_loss", True),
        ("cost/peak_memory_mb", True),
        ("precision/smape_curve.fp32", True),
        ("training_time_s", True),
        ("test_accuracy", False),
        ("test_accuracy.cat", False),
        ("class/test_accuracy.cat", False),
        ("precision/test_accuracy.int8", False),
        ("cost/targets_per_s", False),
        ("val_accuracy.best", False),
        ("images_per_s", False),
        ("val_accuracy.best_step", None),
        ("best_step/val_accuracy", None),
        ("cost/weights", None),
        ("parameters", None),
        ("objective", None),
        ("auc", None),
    ],
)
def test_whether_less_of_a_metric_is_better(metric, lowest):
    assert names.lowest_is_best(metric) is lowest


@pytest.mark.parametrize("label", ["AEP", "Süd 2", "a.b-c_d"])
def test_a_label_that_mlflow_admits_stands_in_a_metric_as_it_is(label):
    assert names.per_series("smape", label) == f"series/smape.{label}"
    assert names.per_class("test_accuracy", label) == f"class/test_accuracy.{label}"


@pytest.mark.parametrize("label", ["oak & co.", "a/b", "../..", ".", "", "a" * 200, "100 %", "café\n"])
def test_any_other_label_has_a_name_of_its_own_that_mlflow_admits(label):
    name = names.per_class("test_accuracy", label)
    _validate_metric_name(name)
    assert name.count("/") == 1
    assert len({names.per_class("test_accuracy", other) for other in (label, f"{label}!", f"{label}?")}) == 3


def test_a_long_label_keeps_its_beginning():
    assert names.per_series("smape", "x" * 60 + "y").startswith(f"series/smape.{'x' * 60}-")
