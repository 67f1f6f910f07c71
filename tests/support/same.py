"""What two launches of the same row have in common, wherever it was run."""

from pipelines import names

# Time and memory are measured, and differ from run to run.
MEASURED = {names.CPU_TIME, names.ENERGY, names.TRAINING_TIME, names.EVALUATION_TIME, names.PEAK_MEMORY}


def result(place, name):
    """What a run has but for what was measured of time and memory, and for where it was run."""
    run = place.runs()[name]
    metrics = {key: value for key, value in run.data.metrics.items() if key not in MEASURED and "_per_s" not in key}
    inputs = sorted(each.dataset.digest for each in run.inputs.dataset_inputs)
    tags = {key: run.data.tags.get(key) for key in ("entry", "row", "seed", "training", "dataset", "data_digest")}
    artifacts = sorted(each.path for each in place.client.list_artifacts(run.info.run_id))
    histories = {key: place.history(run, key) for key in (names.TRAIN_LOSS, names.SMAPE_CURVE)}
    return run.info.status, run.data.params, metrics, inputs, tags, artifacts, histories
