"""Runs as flat records, whoever made them and however they ended: all of them, one, or the launches of studies."""

from collections import Counter
from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from analysis.entries import tune
from analysis.errors import InputError
from analysis.runs import sorting, values
from analysis.runs.search import NEWEST_FIRST, OLDEST_FIRST, conditions, search
from analysis.server import is_empty, reach, uri
from analysis.tables.columns import PARTS, STUDY
from pipelines import names
from pipelines.common.run_ids import Known, resolve
from pipelines.common.server import one_line
from pipelines.errors import UserError


def every(
    entry: str = "all",
    where: str = "",
    since: str = "",
    experiment: str = "",
    sort: str = "",
    limit: int = 0,
    left_empty: Counter[str] | None = None,
) -> Iterator[dict[str, object]]:
    """Every run that is not deleted, whoever made it and however it ended, one page in memory at a time.

    Args:
        entry: see frames.find.
        where: see frames.find.
        since: see frames.find.
        experiment: name of the only experiment to read.
        sort: metric to sort by, or a name as MLflow's search has it (``params.lr``, ``start_time``); a leading ``-``
            for descending. The server sorts; runs without it come last. Default: oldest first.
        limit: how many runs; 0 for all.
        left_empty: counts the values that were invalid and are left empty, by what was wrong with them.

    Yields:
        Flat records: ``run_id``, ``run_name``, ``experiment``, ``status``, ``start_time`` and ``end_time`` (UTC, None
        while running, and outside the years 1 to 9999), ``duration_s`` (None where a run ends before it starts),
        ``parent_run_id``, ``datasets`` and ``models`` (joined by ``; ``), ``params.*`` and ``tags.*`` (text; of
        MLflow's own tags only those in values.KEPT_TAGS), ``metrics.*`` (last value logged).

    Raises:
        InputError: see frames.find; or none of the runs has what to sort by.
    """
    condition = " and ".join(conditions(entry, where, since))
    found = search(condition, experiment, sorting.order(sort) if sort else OLDEST_FIRST, limit)
    if sort:
        found = sorting.sortable(found, sort, condition, experiment)
    experiments: dict[str, str] = {}
    for run in found:
        number = run.info.experiment_id
        if number not in experiments:
            experiments[number] = MlflowClient().get_experiment(number).name
        yield _record(run, experiments[number], Counter() if left_empty is None else left_empty)


def studies() -> Iterator[dict[str, object]]:
    """Launches of studies that are not running any more, flat records as of `every`, oldest first."""
    for record in every(entry=tune.NAME, where="attributes.status != 'RUNNING'"):
        if record.get(STUDY) and all(record.get(column) is None for column in PARTS):
            yield record


def one(given: str) -> dict[str, object]:
    """The flat record of the run of an id, of the beginning of one, or of a name, see `every`.

    Raises:
        InputError: there is none, or there are several.
    """
    if is_empty():
        raise InputError(f"no run {given} at {uri()}: nothing was ever logged there")
    client = reach()
    try:
        run_id = resolve(given, _known, uri())
        run = client.get_run(run_id)
        return _record(run, client.get_experiment(run.info.experiment_id).name, Counter())
    except UserError as error:
        raise InputError(str(error)) from error
    except MlflowException as error:
        raise InputError(f"no run {given} at {uri()}: {one_line(error)}; runs lists those there are") from error


def _known(condition: str, limit: int) -> list[Known]:
    found = search(condition, order=NEWEST_FIRST, limit=limit)
    tags = [(run.info, run.data.tags.get(names.ENTRY)) for run in found]
    return [Known.of(info.run_id, info.run_name, info.start_time, entry) for info, entry in tags]


def _record(run: Run, experiment: str, left_empty: Counter[str]) -> dict[str, object]:
    info, inputs, outputs = run.info, run.inputs, run.outputs
    datasets = [f"{given.dataset.name}:{given.dataset.digest}" for given in (inputs.dataset_inputs if inputs else [])]
    models = [model.model_id for model in (outputs.model_outputs if outputs else [])]
    record = {
        "run_id": info.run_id,
        "run_name": info.run_name,
        "experiment": experiment,
        "status": info.status,
        "start_time": values.time(info.start_time, left_empty),
        "end_time": values.time(info.end_time, left_empty),
        "duration_s": values.duration(info.start_time, info.end_time, left_empty),
        "parent_run_id": run.data.tags.get(names.PARENT_RUN),
        "datasets": "; ".join(dict.fromkeys(datasets)) or None,
        "models": "; ".join(dict.fromkeys(models)) or None,
    }
    data = {key: value for key, value in values.flat(run).items() if key not in record}
    return record | {key: value for key, value in data.items() if values.is_kept(key)}
