"""The vocabulary shared by what writes runs (pipelines) and what reads them (analysis).

Metrics are keyed by plain strings in MLflow; every such string that both sides need stands here once.
"""

from collections.abc import Collection

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
SMAPE_CURVE_FP32 = "smape_curve_fp32"  # the last point of SMAPE_CURVE, evaluated in fp32

TEST_TOP5_ACCURACY = "test_top5_accuracy"
# TEST_ACCURACY being that of fp32.
TEST_ACCURACY_IN = {"bf16": "test_accuracy_bf16", "int8": "test_accuracy_int8"}
CALIBRATION_ERROR = "test_calibration_error"  # percentage points, see metrics.calibration_error
SHEET_ACCURACY = "sheet_accuracy"  # on the sample sheet's images, beside TEST_ACCURACY

OBJECTIVE = "objective"  # what a trial that was not given up is judged by

# Cost.
TRAINING_TIME = "training_time_s"  # without evaluation and checkpoints
EVALUATION_TIME = "evaluation_time_s"  # of forecasters the test part once; of classifiers both sets after each epoch
WINDOWS_PER_S = "windows_per_s"  # trained (window) or evaluated targets a second
TARGETS_PER_S = "targets_per_s"
IMAGES_PER_S = "images_per_s"  # trained on; of an entry that only evaluates, evaluated
PEAK_MEMORY = "peak_memory_mb"
PARAMETERS = "parameters"
MULTIPLY_ADDS = "multiply_adds"  # of one image
MICRO_BATCH = "micro_batch"  # logged when memory ran out, step = update


def per_series(metric: str, series: str) -> str:
    """Name of `metric` measured on one series, e.g. ``smape.AEP``."""
    return f"{metric}.{series}"


def per_row(metric: str, row: str) -> str:
    """Name of the mean of `metric` over a row's seeds, on the run of a launch, e.g. ``test_accuracy.cnn``."""
    return f"{metric}.{row}"


def per_class(metric: str, label: str) -> str:
    """Name of `metric` measured on the images of one class, e.g. ``test_accuracy.cat``."""
    return f"{metric}.{label}"


def best(metric: str) -> str:
    """Name of the best value of `metric` over the epochs."""
    return f"{metric}.best"


def best_step(metric: str) -> str:
    """Name of the step at which `best(metric)` was measured."""
    return f"{metric}.best_step"


def first(metric: str) -> str:
    """Name of the value of `metric` before the first update."""
    return f"{metric}.first"


def derived(metrics: Collection[str]) -> set[str]:
    """Those of `metrics` that say more of another one among them: its best value, its first, its parts."""
    forms = {form(metric) for metric in metrics for form in (best, best_step, first)}
    parts = tuple(f"{whole}." for whole in (SMAPE, TEST_ACCURACY) if whole in metrics)
    return {metric for metric in metrics if metric in forms or metric.startswith(parts)}


def best_found(what: str) -> str:
    """Name of a parameter or metric of the best trial so far, on the run of a study's launch, e.g. ``best_lr``."""
    return f"best_{what}"


# Tags. Analysis finds runs by these, across experiments, and counts runs that have ROW.
ENTRY = "entry"
ROW = "row"
SEED = "seed"
TRAINING = "training"
DATASET = "dataset"
PRESET = "preset"
DATA_DIGEST = "data_digest"
PRECISION = "precision_used"  # of the times: int8 or bf16 where its accuracy agrees
COMPARED_ON = "compared_on"  # of a model version: what its metric was measured on
REGISTERED = "registered"  # name and version in the model registry
CHAMPION = "champion"  # alias of the best version
VERIFIED = "verified"  # whether the data, and weights that are said to be a publisher's, were the published ones
WEIGHTS_VERIFIED = "weights_verified"  # whether a digest known before said so; absent of weights of no known source
ACCURACY_CHECK = "accuracy_check"  # what the measured accuracy says of how the weights were read
RESUMES = "resumes"
CLAIM = "claim"  # of a launch: who works on it, with a sign of life
COMMIT, DIRTY = "mlflow.source.git.commit", "mlflow.source.git.dirty"
CODE = "code_digest"
RESUMED_COMMIT, RESUMED_CODE = "resumed_commit", "resumed_code_digest"  # of a run that other code has continued
COMMAND = "command"  # the command line that made the run, without passwords; nested runs have that of their launch
STUDY = "study"  # name of an Optuna study: on its launches, its trials, and its winner's runs
TRIAL = "trial"  # number of a trial, from 0
PRUNED = "pruned"  # epoch after which a trial was given up
HOST = "host"
PID = "pid"
PROCESS_START = "process_start"  # seconds since 1970, by a clock that may be set
PROCESS_TICKS = "process_ticks"  # since the boot
BOOT = "boot_id"
PID_NAMESPACE = "pid_namespace"
MACHINE = "machine_id"  # a digest
DESCRIPTION = "mlflow.note.content"
RUN_NAME = "mlflow.runName"
PARENT_RUN = "mlflow.parentRunId"
PROJECT_TAGS = "mlflow.project."  # what the tags begin with that `mlflow run` gives to its runs
FAILURE = "failure"

# Tags that every run of a row has; a run without them, and no launch of ours, is another project's.
ROW_MARKS = (ENTRY, ROW, DATASET)

# Artifacts. Each figure has its data beside it under the same stem.
FIGURES = "figures"
TABLES = "tables"
CURVE_FIGURE = f"{FIGURES}/smape_curve.png"
CURVE_DATA = f"{TABLES}/smape_curve.csv"
FORECAST_DATA = f"{TABLES}/forecasts.csv"
SERIES_TABLE = f"{TABLES}/per_series.csv"
LOSS_FIGURE = f"{FIGURES}/loss.png"
ACCURACY_FIGURE = f"{FIGURES}/accuracy.png"
EPOCH_DATA = f"{TABLES}/epochs.csv"  # loss and accuracy on both sets after each epoch
SHEET_FIGURE = f"{FIGURES}/sheet.png"
SHEET_DATA = f"{TABLES}/sheet.csv"
SHEET_IMAGES = f"{TABLES}/sheet.npy"
CHART_FIGURE = f"{FIGURES}/accuracies.png"
CHART_DATA = f"{TABLES}/accuracies.csv"
CONFUSION_FIGURE = f"{FIGURES}/confusion.png"
CONFUSION_DATA = f"{TABLES}/confusion.csv"
CLASS_TABLE = f"{TABLES}/per_class.csv"
TRIALS = f"{TABLES}/trials.csv"  # of a study: a line for each trial
TRIAL_VALUES = f"{TABLES}/trial_values.csv"  # what each trial reported after each epoch
IMPORTANCES = f"{TABLES}/importances.csv"
HISTORY_FIGURE = f"{FIGURES}/study_history.png"
SLICE_FIGURE = f"{FIGURES}/study_slice.png"
CONTOUR_FIGURE = f"{FIGURES}/study_contour.png"
IMPORTANCES_FIGURE = f"{FIGURES}/study_importances.png"
TRIAL_VALUES_FIGURE = f"{FIGURES}/study_trial_values.png"
DATA_COUNTS = f"{TABLES}/data_counts.json"
COMPARISON = f"{TABLES}/comparison.csv"
PLAN = "plan.json"  # of a parent run: all that it was to run, with every setting
CHECKPOINT = "checkpoint"
MODEL = "model"
WEIGHTS = "weights/weights.safetensors"  # a plain state dict, which can be folded or fine-tuned, unlike MODEL
WEIGHTS_RECIPE = "weights/recipe.json"  # how the network must be built and fed, which the state dict does not tell
STEM, MEAN, DEVIATION, SHA256 = "stem", "mean", "deviation", "sha256"  # keys of the recipe; SHA256 is of WEIGHTS

# Parameters by which projects call what the tag SEED says.
SEED_PARAMETERS = (SEED, "random_state", "random_seed")

EXPERIMENT = "nn-experiment-registry"
