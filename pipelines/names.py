"""Names of metrics, tags, parameters and artifacts, which pipelines writes and analysis reads."""

import hashlib
import re
from collections.abc import Mapping

# Parts of a data set, as a run logs them.
TRAINING_PART, VALIDATION_PART, TEST_PART = "training", "validation", "evaluation"

# A metric of detail has a group before its name: MLflow draws the charts of a group together.
_BY_SERIES, _BY_CLASS, _BEST, _BEST_STEP, _FIRST, _COST, _PRECISION = GROUPS = (
    "series",
    "class",
    "best",
    "best_step",
    "first",
    "cost",
    "precision",
)

# Metrics of forecasters. Percentages are 0-200; `_mw` are megawatts.
SMAPE = "smape"  # 100/n sum |F-A| / ((|F|+|A|)/2), mean over the series
SMAPE_REPORT = "smape_report"  # the published convention: a quarter of SMAPE
SMAPE_CURVE = "smape_curve"  # SMAPE on a fixed subset of test windows, step = update
MAE_MW = "mae_mw"
RMSE_MW = "rmse_mw"

# Metrics of any trained model, step = epoch. Losses are means, accuracies percentages of the images.
TRAIN_LOSS = "train_loss"
TRAIN_ACCURACY = "train_accuracy"
TEST_LOSS = "test_loss"
TEST_ACCURACY = "test_accuracy"
VAL_LOSS = "val_loss"
VAL_ACCURACY = "val_accuracy"
VAL_SMAPE = "val_smape"
SMAPE_CURVE_FP32 = f"{_PRECISION}/smape_curve.fp32"  # the last point of SMAPE_CURVE, evaluated in fp32

TEST_TOP5_ACCURACY = "test_top5_accuracy"
# Accuracy in lower precisions; TEST_ACCURACY is that in fp32.
TEST_ACCURACY_IN = {"bf16": f"{_PRECISION}/test_accuracy.bf16", "int8": f"{_PRECISION}/test_accuracy.int8"}
# Accuracy where the logits of so many views of an image are averaged, see batches.view_logits; TEST_ACCURACY is of one.
TEST_ACCURACY_OF_VIEWS = {2: "test_accuracy_two_views", 6: "test_accuracy_six_views"}
CALIBRATION_ERROR = "test_calibration_error"  # percentage points, see metrics.calibration_error
SHEET_ACCURACY = "sheet_accuracy"  # on the images of the sheet, see SHEET_FIGURE

OBJECTIVE = "objective"  # final value of a trial that was not pruned

# Cost.
TRAINING_TIME = "training_time_s"  # without evaluation and checkpoints
EVALUATION_TIME = "evaluation_time_s"  # of forecasters the test part once; of classifiers both sets after each epoch
WINDOWS_PER_S = "windows_per_s"  # trained (window) or evaluated targets a second
TARGETS_PER_S = f"{_COST}/targets_per_s"
IMAGES_PER_S = "images_per_s"  # trained on; of an entry that only evaluates, evaluated
PEAK_MEMORY = f"{_COST}/peak_memory_mb"
CPU_TIME = f"{_COST}/cpu_s"  # of all its processes, imports aside
ENERGY = f"{_COST}/energy_j"  # of the machine while it ran, where that tells
WEIGHT_COUNT = f"{_COST}/weights"  # number of a network's weights
MULTIPLY_ADDS = f"{_COST}/multiply_adds"  # of one image
MICRO_BATCH = f"{_COST}/micro_batch"  # logged when memory ran out, step = update

# Metrics of which less is better, and of which more is; of others, such as the number of parameters, neither.
LESS_IS_BETTER = frozenset(
    {
        *(SMAPE, SMAPE_REPORT, SMAPE_CURVE, SMAPE_CURVE_FP32, VAL_SMAPE, MAE_MW, RMSE_MW),
        *(TRAIN_LOSS, TEST_LOSS, VAL_LOSS, CALIBRATION_ERROR),
        *(TRAINING_TIME, EVALUATION_TIME, PEAK_MEMORY, CPU_TIME, ENERGY),
    }
)
MORE_IS_BETTER = frozenset(
    {
        *(TRAIN_ACCURACY, TEST_ACCURACY, VAL_ACCURACY, TEST_TOP5_ACCURACY, SHEET_ACCURACY),
        *(*TEST_ACCURACY_IN.values(), *TEST_ACCURACY_OF_VIEWS.values()),
        *(WINDOWS_PER_S, TARGETS_PER_S, IMAGES_PER_S),
    }
)

# Metrics that depend on the load of the machine too, and so are never the same twice.
_OF_THE_MOMENT = frozenset(
    {
        *(TRAINING_TIME, EVALUATION_TIME, PEAK_MEMORY, CPU_TIME, ENERGY, MICRO_BATCH),
        *(WINDOWS_PER_S, TARGETS_PER_S, IMAGES_PER_S),
    }
)

BACKTEST_MAPE = "backtest_mape"  # of a forecaster on the last weeks: mean over lead times and series
FORECAST_MAPE = "forecast_mape"  # of an earlier forecast, by the loads that came

# What an experiment ends with: the main metrics of forecasters and of classifiers.
OUTCOMES = (SMAPE_REPORT, TEST_ACCURACY)


# MLflow admits letters, digits and these; "/" would make a group.
_NOT_IN_NAMES = re.compile(r"[^\w.\- ]")
_LONGEST_PART = 60
MOST_PARTS = 100  # series or classes of which each has a metric of its own; of more there are tables only


def per_series(metric: str, series: str) -> str:
    """Name of `metric` measured on one series, e.g. ``series/smape.AEP``."""
    return f"{_BY_SERIES}/{metric}.{_part(series)}"


def per_class(metric: str, label: str) -> str:
    """Name of `metric` measured on the images of one class, e.g. ``class/test_accuracy.cat``."""
    return f"{_BY_CLASS}/{metric}.{_part(label)}"


def _part(label: str) -> str:
    """A series or class as MLflow admits it in a name; where that is not as it is written, with digits of its own."""
    kept = _NOT_IN_NAMES.sub("_", label)[:_LONGEST_PART].strip()
    if kept == label and label not in ("", ".", ".."):
        return label
    return f"{kept.strip('.')}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"


def best(metric: str) -> str:
    """Name of the best value of `metric` over the epochs."""
    return f"{_BEST}/{metric}"


def best_step(metric: str) -> str:
    """Name of the step at which `best(metric)` was measured."""
    return f"{_BEST_STEP}/{metric}"


def first(metric: str) -> str:
    """Name of the value of `metric` before the first update."""
    return f"{_FIRST}/{metric}"


def lowest_is_best(metric: str) -> bool | None:
    """Tell whether the lowest value of `metric`, or of a part, the best or the first value of one, is the best.

    None where neither the lowest nor the highest is known to be.
    """
    metric = present(metric)
    parts = {metric, *re.split(r"[./]", metric)}
    if metric.startswith(best_step("")) or not parts & (LESS_IS_BETTER | MORE_IS_BETTER):
        return None
    return bool(parts & LESS_IS_BETTER)


def is_of_the_moment(metric: str) -> bool:
    """Tells whether a metric is a time, a rate, or what memory and energy were used: it depends on the load too."""
    return metric in _OF_THE_MOMENT


def is_first(metric: str) -> bool:
    """Tells whether a name is one of `first`."""
    return metric.startswith(f"{_FIRST}/")


def is_derived(metric: str) -> bool:
    """Tells whether a metric is derived from another one: its best or first value, or its value on a part."""
    return metric.partition("/")[0] in (_BY_SERIES, _BY_CLASS, _BEST, _BEST_STEP, _FIRST)


# Names that earlier versions logged, and the present ones.
_EARLIER = {
    "parameters": WEIGHT_COUNT,
    "peak_memory_mb": PEAK_MEMORY,
    "multiply_adds": MULTIPLY_ADDS,
    "targets_per_s": TARGETS_PER_S,
    "micro_batch": MICRO_BATCH,
    "smape_curve_fp32": SMAPE_CURVE_FP32,
    **{f"{TEST_ACCURACY}_{precision}": name for precision, name in TEST_ACCURACY_IN.items()},
}
_LATER = {present: earlier for earlier, present in _EARLIER.items()}
_EARLIER_ENDINGS = {".best": best, ".best_step": best_step, ".first": first}


def present(metric: str) -> str:
    """The present name of a metric of a row or trial, whichever version of this project logged it."""
    if metric in _EARLIER or "/" in metric:
        return _EARLIER.get(metric, metric)
    for ending, form in _EARLIER_ENDINGS.items():
        if metric.endswith(ending):
            return form(metric.removesuffix(ending))
    whole, dot, part = metric.partition(".")
    form_of_parts = {SMAPE: per_series, TEST_ACCURACY: per_class}.get(whole)
    return form_of_parts(whole, part) if dot and form_of_parts else metric


def earlier(metric: str) -> str:
    """The name that earlier versions had for a metric with a present name."""
    group, slash, name = metric.partition("/")
    ending = {_BY_SERIES: "", _BY_CLASS: "", _BEST: ".best", _BEST_STEP: ".best_step", _FIRST: ".first"}.get(group)
    return name + ending if slash and ending is not None else _LATER.get(metric, metric)


_MEASURED_ON = {
    "train_": TRAINING_PART,
    "val_": VALIDATION_PART,
    **dict.fromkeys(("test_", SMAPE, MAE_MW, RMSE_MW, SHEET_ACCURACY), TEST_PART),
}


def part_of(metric: str) -> str:
    """The part of the data that `metric` is measured on, "" of a cost and of what is not known here."""
    name = metric.partition("/")[2] or metric
    return next((part for beginning, part in _MEASURED_ON.items() if name.startswith(beginning)), "")


def best_found(what: str) -> str:
    """Name of a parameter or metric of the best trial so far, on the run of a study's launch, e.g. ``best_lr``."""
    return f"best_{what}"


# Tags, by which analysis finds runs, across experiments. A run with the tag ROW is the run of a row.
ENTRY = "entry"
ROW = "row"
SEED = "seed"
TRAINING = "training"
DATASET = "dataset"
PRESET = "preset"
DATA_DIGEST = "data_digest"
PRECISION = "precision_used"  # of the timing: int8 or bf16 if its accuracy agrees with that of fp32
COMPARED_ON = "compared_on"  # of a model version: data on which its metric was measured
REGISTERED = "registered"  # name and version in the model registry
MODEL_USED = "model"  # tag of a forecast: address of the model that made it
CHAMPION = "champion"  # alias of the best version
VERIFIED = "verified"  # "true" if the data, and weights from a known source, are the published ones
OWN_DATA = "own"  # its value for data of a user's own, which nobody published
WEIGHTS_VERIFIED = "weights_verified"  # "true" if the digest was known beforehand; absent if the source is unknown
ACCURACY_CHECK = "accuracy_check"  # agreement of the measured accuracy with the published one, see resnet/row.py
RESUMES = "resumes"
SPENT = "spent"  # CPU_TIME and ENERGY of the processes that were at work on a run and did not finish it
CONTINUED_AFTER = "continued_after"  # what cut a row short on another machine, from where its launch continued it
WIDTH = "width"  # of a launch whose seeds are added: what the 95 % interval of each row's mean is to be narrower than
REUSED = "reused"  # of a launch that takes finished runs of earlier ones: how many it took, see REUSED_RUNS
# Of a run that repeats an earlier one, with how they agree; and of the earlier one, which is pointed to.
REPRODUCES, REPRODUCTION = "reproduces", "reproduction"
REPRODUCED_BY, REPRODUCED = "reproduced_by", "reproduced"
CLAIM = "claim"  # of a launch: the process that works on it, with the time of its last sign of life
COMMIT, DIRTY = "mlflow.source.git.commit", "mlflow.source.git.dirty"
CODE = "code_digest"
RESUMED_COMMIT, RESUMED_CODE = "resumed_commit", "resumed_code_digest"  # of a run that was continued with other code
COMMAND = "command"  # command line that created the run, without passwords; nested runs have that of their launch
LIKE = "like"  # of a row of a user's own: the catalogue's row that it is like
CHANGES = "changes"  # of the same: the settings that it has of its own
STUDY = "study"  # name of an Optuna study: on its launches, its trials, and its winner's runs
TRIAL = "trial"  # number of a trial, from 0
FINALIST = "finalist"  # number of the trial whose settings a finalist of a study has
PARTS = (ROW, TRIAL, FINALIST)  # a run with one of these is a part of a launch
PRUNED = "pruned"  # epoch after which a trial was pruned
HOST = "host"
CPU, ISA = "cpu", "isa"  # name of the processor, and which of its instructions PyTorch uses
GPU = "gpu"  # name of the GPU that trained the run
PID = "pid"
PROCESS_START = "process_start"  # seconds since 1970, by the system clock, which may be changed
PROCESS_TICKS = "process_ticks"  # since the boot
BOOT = "boot_id"
PID_NAMESPACE = "pid_namespace"
MACHINE = "machine_id"  # a digest
RANKS = "ranks"  # tag: number of processes of torchrun that trained the run
DESCRIPTION = "mlflow.note.content"
RUN_NAME = "mlflow.runName"
PARENT_RUN = "mlflow.parentRunId"
PROJECT_TAGS = "mlflow.project."  # prefix of the tags that `mlflow run` gives to its runs
FAILURE = "failure"

# Tags that every run of a row has. A run without them that is not a launch belongs to another project.
ROW_MARKS = (ENTRY, ROW, DATASET)

# Artifacts. The data of each figure are logged beside it, with the same stem.
FIGURES = "figures"
TABLES = "tables"
CURVE_FIGURE = f"{FIGURES}/smape_curve.png"
CURVE_DATA = f"{TABLES}/smape_curve.csv"
FORECAST_DATA = f"{TABLES}/forecasts.csv"
# What a row predicted for each test target: for a load `series`, `time`, `holiday`, `actual_mw` and `forecast_mw`; for
# an image `label` and the probability of each class, in order, under PROBABILITY and its name.
PROBABILITY = "probability."
PREDICTIONS = f"{TABLES}/predictions.parquet"
BREAKDOWN_DATA = f"{TABLES}/breakdown.csv"  # errors of forecasts by hour, weekday, month, holiday and series
BREAKDOWN_FIGURE = f"{FIGURES}/breakdown.png"
SERIES_TABLE = f"{TABLES}/per_series.csv"
LOSS_FIGURE = f"{FIGURES}/loss.png"
ACCURACY_FIGURE = f"{FIGURES}/accuracy.png"
EPOCH_DATA = f"{TABLES}/epochs.csv"  # loss and accuracy on both sets after each epoch
SHEET_FIGURE = f"{FIGURES}/sheet.png"
SHEET_DATA = f"{TABLES}/sheet.csv"
SHEET_IMAGES = f"{TABLES}/sheet.npy"
FLIPS_DATA = f"{TABLES}/flips.csv"  # images that one of two rows classifies right and the other wrong
FLIPS_IMAGES = f"{TABLES}/flips.npy"  # the first of them
FLIPS_FIGURE = f"{FIGURES}/flips.png"
CHART_FIGURE = f"{FIGURES}/accuracies.png"
CHART_DATA = f"{TABLES}/accuracies.csv"
CONFUSION_FIGURE = f"{FIGURES}/confusion.png"
CONFUSION_DATA = f"{TABLES}/confusion.csv"
CLASS_TABLE = f"{TABLES}/per_class.csv"
TRIALS = f"{TABLES}/trials.csv"  # of a study: a line for each trial
TRIAL_VALUES = f"{TABLES}/trial_values.csv"  # what each trial reported after each epoch
FINALISTS = f"{TABLES}/finalists.csv"  # of a study: a line for each finalist, best first
IMPORTANCES = f"{TABLES}/importances.csv"
METHOD = "method"  # of the importances; a table without it is of PED-ANOVA
HISTORY_FIGURE = f"{FIGURES}/study_history.png"
SLICE_FIGURE = f"{FIGURES}/study_slice.png"
CONTOUR_FIGURE = f"{FIGURES}/study_contour.png"
IMPORTANCES_FIGURE = f"{FIGURES}/study_importances.png"
TRIAL_VALUES_FIGURE = f"{FIGURES}/study_trial_values.png"
DATA_COUNTS = f"{TABLES}/data_counts.json"
DATA_FOUND = f"{TABLES}/data_found.json"  # sentences on how the files were read
COMPARISON = f"{TABLES}/comparison.csv"
AGREEMENT = f"{TABLES}/agreement.csv"  # of a launch that repeats a run: a line for each metric
INTERVALS = f"{TABLES}/intervals.csv"  # of a launch with the tag WIDTH: the interval of each row
REUSED_RUNS = f"{TABLES}/reused.csv"  # of a launch: the runs of earlier launches that are part of its results
PLAN = "plan.json"  # of a parent run: the jobs that it started, with all settings
ROWS_FILE = "rows.toml"  # of a parent run: the file with the user's own rows, as it was read
SOURCE = "source"  # folder of the file that defines a model of the user's own
CHECKPOINT = "checkpoint"
MODEL = "model"  # of runs of earlier versions; now a model is named after its run
WEIGHTS = "weights/weights.safetensors"  # a plain state dict, which can be folded or fine-tuned, unlike MODEL
WEIGHTS_RECIPE = "weights/recipe.json"  # stem and normalisation, which are not in the state dict
STEM, MEAN, DEVIATION, SHA256 = "stem", "mean", "deviation", "sha256"  # keys of the recipe; SHA256 is of WEIGHTS

# Metric to its name in print, and its unit.
IN_PRINT: Mapping[str, tuple[str, str]] = {
    SMAPE: ("sMAPE", "%"),
    SMAPE_REPORT: ("sMAPE, published convention", "%"),
    SMAPE_CURVE: ("sMAPE on a subset", "%"),
    VAL_SMAPE: ("validation sMAPE", "%"),
    MAE_MW: ("MAE", "MW"),
    RMSE_MW: ("RMSE", "MW"),
    TRAIN_LOSS: ("training loss", ""),
    TEST_LOSS: ("test loss", ""),
    VAL_LOSS: ("validation loss", ""),
    TRAIN_ACCURACY: ("training accuracy", "%"),
    TEST_ACCURACY: ("test accuracy", "%"),
    VAL_ACCURACY: ("validation accuracy", "%"),
    TEST_ACCURACY_OF_VIEWS[2]: ("test accuracy, two views", "%"),
    TEST_ACCURACY_OF_VIEWS[6]: ("test accuracy, six views", "%"),
    TEST_TOP5_ACCURACY: ("top-5 test accuracy", "%"),
    SHEET_ACCURACY: ("accuracy on the sheet", "%"),
    CALIBRATION_ERROR: ("calibration error", "points"),
    TRAINING_TIME: ("training time", "s"),
    EVALUATION_TIME: ("evaluation time", "s"),
    WINDOWS_PER_S: ("windows", "per s"),
    TARGETS_PER_S: ("targets", "per s"),
    IMAGES_PER_S: ("images", "per s"),
    PEAK_MEMORY: ("peak memory", "MB"),
    CPU_TIME: ("processor time", "s"),
    ENERGY: ("energy", "J"),
    WEIGHT_COUNT: ("weights", ""),
    MULTIPLY_ADDS: ("multiply-adds", ""),
}

# Names of the parameter that holds the seed in other projects.
SEED_PARAMETERS = (SEED, "random_state", "random_seed")

EXPERIMENT = "nn-experiment-registry"
