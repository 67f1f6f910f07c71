"""Reading and marking runs on the tracking server: frames of finished runs, flat records, histories, artifacts."""

import contextlib
import itertools
import math
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Metric, Run
from mlflow.exceptions import MlflowException

from analysis import earlier
from analysis.entries import tune
from analysis.entries.index import VIEWS
from analysis.errors import InputError
from analysis.listed import Listed, Part
from analysis.server import is_empty, reach, settled, unreadable, uri
from analysis.tables.columns import ENTRY, FOREIGN, IDENTITY, SEED, STUDY, THEIR_TAGS, TRIAL, WORDS, unknown
from pipelines import names
from pipelines.common import addresses, command, launcher
from pipelines.common.origins import files_of
from pipelines.common.run_ids import Known, resolve
from pipelines.common.server import one_line
from pipelines.common.streams import announce
from pipelines.errors import UserError, meant

# Runs in one request; fewer from a server, since a busy one takes 9 s for 1000, which exceeds the time limit.
PAGE = 1000
SERVER_PAGE = 250

# Runs that finish while we read come last and shift no page.
OLDEST_FIRST = "attributes.start_time ASC"
NEWEST_FIRST = "attributes.start_time DESC"

# Of MLflow's own tags those that tell where a run comes from; the rest repeat what stands elsewhere, or are bulky.
KEPT_TAGS = {
    f"tags.mlflow.{tag}" for tag in ("user", "source.name", "source.type", "source.git.commit", "source.git.dirty")
}
# Entries that a launch of ours, or a trial, may say in its tag, and what every run of ours names as its source.
_LAUNCHES = {*VIEWS, "main", "prepare", tune.NAME, "report"}
_SOURCE = "tags.mlflow.source.name"

_KINDS = ("metrics", "params", "tags")
_ATTRIBUTES = {"start_time", "end_time", "status", "run_name", "run_id"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Part of MLflow's error for a run without a start time, which it cannot read; and the condition that excludes these.
_NO_START, _HAS_START = "start_time cannot be None", f"attributes.start_time >= {-(2**63)}"

# mlflow stores an infinite metric as the largest double.
_LARGEST = sys.float_info.max

_UNQUOTED_PARAM = re.compile(r"(\bparam(?:eter)?s?\.(?:`[^`]+`|\"[^\"]+\"|[\w.-]+)\s*!?=\s*)([^\s'\"]+)")


def find(entry: str = "all", where: str = "", since: str = "", experiment: str = "") -> pd.DataFrame:
    """Finished runs of catalogue rows, of all experiments, oldest first.

    Args:
        entry: the entry that made them, e.g. ``recurrent``, or ``all``.
        where: more conditions in MLflow's search syntax, joined by ``and``; the value of a parameter, which MLflow
            compares as text, may stand without quotes.
        since: ISO date or time (local unless it has an offset) of the earliest start.
        experiment: name of the only experiment to read, and there also the runs of other projects: their entry is the
            experiment's name, their row, dataset and training are empty, their seed is that of a parameter in
            names.SEED_PARAMETERS. Our own launches and trials are left out.

    Returns:
        One line for each run. Columns ``run_id``, ``start_time`` (UTC), ``tags.*`` and ``params.*`` (text; the tags of
        IDENTITY always exist, empty where a run lacks them), ``metrics.*`` (float, last value logged, NaN where a
        run lacks it) and FOREIGN, whether the run is another project's. Its tags that have the name of one of this
        project's are in columns that begin with THEIR_TAGS.

    Raises:
        InputError: bad filter or date, or a tracking server that cannot be read.
    """
    conditions = ["attributes.status = 'FINISHED'"]
    if not experiment:
        conditions.append(f"tags.{names.ROW} LIKE '%'")
    conditions += _conditions(entry, where, since)
    return _of_rows(_frame(_search(" and ".join(conditions), experiment)), experiment)


def trials(where: str = "", since: str = "", experiment: str = "") -> pd.DataFrame:
    """Trials of studies that ran to their end or were given up early, like what `find` returns, oldest first.

    Their entry is ``tune`` and the name of the study, so that a study has a table of its own, and their row
    ``trial-`` and the number. The arguments are those of `find`.
    """
    conditions = [f"tags.{names.TRIAL} LIKE '%'", *_conditions(tune.NAME, where, since)]
    ended = ("attributes.status = 'FINISHED'", f"attributes.status = 'KILLED' and tags.{names.PRUNED} LIKE '%'")
    found = [run for end in ended for run in _search(" and ".join([end, *conditions]), experiment)]
    frame = _frame(sorted(found, key=lambda run: run.info.start_time)).assign(**{FOREIGN: False})
    return tune.named(frame) if len(frame) else frame


def studies() -> Iterator[dict[str, object]]:
    """Launches of studies that are not running any more, flat records as of `every`, oldest first."""
    for record in every(entry=tune.NAME, where="attributes.status != 'RUNNING'"):
        if record.get(TRIAL) is None and record.get(STUDY):
            yield record


def _frame(found: Iterable[Run]) -> pd.DataFrame:
    """A line for each run, with the tags of IDENTITY."""
    frame = pd.DataFrame([_record(run) for run in found])
    for column in IDENTITY:
        frame[column] = frame[column].fillna("") if column in frame else ""
    return frame


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
        entry: see `find`.
        where: see `find`.
        since: see `find`.
        experiment: name of the only experiment to read.
        sort: metric to sort by, or a name as MLflow's search has it (``params.lr``, ``start_time``); a leading ``-``
            for descending. The server sorts; runs without it come last. Default: oldest first.
        limit: how many runs; 0 for all.
        left_empty: counts the values that were invalid and are left empty, by what was wrong with them.

    Yields:
        Flat records: ``run_id``, ``run_name``, ``experiment``, ``status``, ``start_time`` and ``end_time`` (UTC, None
        while running, and outside the years 1 to 9999), ``duration_s`` (None where a run ends before it starts),
        ``parent_run_id``, ``datasets`` and ``models`` (joined by ``; ``), ``params.*`` and ``tags.*`` (text; of
        MLflow's own tags only those in KEPT_TAGS), ``metrics.*`` (last value logged).

    Raises:
        InputError: see `find`; or none of the runs has what to sort by.
    """
    condition = " and ".join(_conditions(entry, where, since))
    found = _search(condition, experiment, _order(sort) if sort else OLDEST_FIRST, limit)
    if sort:
        found = _sortable(found, sort, condition, experiment)
    experiments: dict[str, str] = {}
    for run in found:
        number = run.info.experiment_id
        if number not in experiments:
            experiments[number] = MlflowClient().get_experiment(number).name
        yield _whole_record(run, experiments[number], Counter() if left_empty is None else left_empty)


def listed(entry: str = "all", where: str = "", since: str = "", limit: int = 0) -> Iterator[Listed]:
    """Every run that is not deleted, with the data that it read, newest first; `limit` is how many, 0 for all.

    Raises:
        InputError: see `find`.
    """
    for run in _search(" and ".join(_conditions(entry, where, since)), order=NEWEST_FIRST, limit=limit):
        info, tags, metrics = run.info, run.data.tags, run.data.metrics
        made_by = _text(tags.get(names.ENTRY)) or ""
        main = VIEWS[made_by].main if made_by in VIEWS else names.OBJECTIVE
        start, end = (_time(each, Counter()) for each in (info.start_time, info.end_time))
        yield Listed(
            run_id=info.run_id,
            name=_text(info.run_name) or "",
            status=info.status,
            entry=made_by,
            dataset=_text(tags.get(names.DATASET)) or "",
            started=start and start.to_pydatetime(),
            ended=end and end.to_pydatetime(),
            data_digest=tags.get(names.DATA_DIGEST, ""),
            parts=[_part(given) for given in (run.inputs.dataset_inputs if run.inputs else [])],
            metric=main if main in metrics else "",
            value=_finite_or_inf(metrics[main]) if main in metrics else None,
        )


def _part(given: DatasetInput) -> Part:
    context = next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), "")
    dataset = given.dataset
    return Part(_text(dataset.name) or "", dataset.digest, _text(context) or "", files_of(dataset.profile))


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
        return _whole_record(run, client.get_experiment(run.info.experiment_id).name, Counter())
    except UserError as error:
        raise InputError(str(error)) from error
    except MlflowException as error:
        raise InputError(f"no run {given} at {uri()}: {one_line(error)}; runs lists those there are") from error


def _known(condition: str, limit: int) -> list[Known]:
    found = _search(condition, order=NEWEST_FIRST, limit=limit)
    tags = [(run.info, run.data.tags.get(names.ENTRY)) for run in found]
    return [Known.of(info.run_id, info.run_name, info.start_time, entry) for info, entry in tags]


def kill(run_id: str, reason: str) -> None:
    """Marks a run KILLED, with `reason` in its tag FAILURE."""
    client = reach()
    client.set_tag(run_id, names.FAILURE, reason)
    client.set_terminated(run_id, "KILLED")


def mark_refused(arguments: Sequence[str], reason: str) -> None:
    """Names the run that `mlflow run` made for a command which was refused, and tags it with the reason.

    Without one, or without a server, nothing is done: the command has printed its error.

    Args:
        arguments: of the command line, its name first.
        reason: why it was refused.
    """
    run_id = os.environ[launcher.RUN_ID]
    with contextlib.suppress(InputError, MlflowException):
        client = reach()
        run = client.get_run(run_id)
        if run.info.status == "RUNNING" and any(tag.startswith(names.PROJECT_TAGS) for tag in run.data.tags):
            for tag, value in command.refused("analysis", arguments, reason).items():
                client.set_tag(run_id, tag, value)


def histories(run_ids: Iterable[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Every logged value of `metrics`: columns ``run_id``, ``metric``, ``step``, ``value``, in order of these.

    A resumed run logs some steps twice; the later value counts.

    Raises:
        InputError: a tracking server that cannot be read.
    """
    client = reach()
    points = []
    for run_id, metric in itertools.product(run_ids, metrics):
        history = _history(client, run_id, metric)
        latest = {point.step: point.value for point in sorted(history, key=lambda point: (point.step, point.timestamp))}
        points += [(run_id, metric, step, _finite_or_inf(value)) for step, value in latest.items()]
    return pd.DataFrame(points, columns=["run_id", "metric", "step", "value"])


def points(run_id: str, metrics: Iterable[str], left_empty: Counter[str] | None = None) -> Iterator[dict[str, object]]:
    """Every logged value of a run's `metrics`: records of ``run_id``, ``metric``, ``step``, ``timestamp``, ``value``.

    `left_empty` counts invalid timestamps, see `every`.

    Raises:
        InputError: a tracking server that cannot be read.
    """
    client = MlflowClient()
    for metric in metrics:
        for point in _history(client, run_id, metric):
            stamp = _time(point.timestamp, Counter() if left_empty is None else left_empty)
            value = _finite_or_inf(point.value)
            yield {"run_id": run_id, "metric": metric, "step": point.step, "timestamp": stamp, "value": value}


def _history(client: MlflowClient, run_id: str, metric: str) -> list[Metric]:
    """Every logged value of a metric, which an earlier version may have logged under another name."""
    try:
        found = client.get_metric_history(run_id, metric)
        name = names.earlier(metric)
        return found if found or name == metric else client.get_metric_history(run_id, name)
    except MlflowException as error:
        raise unreadable(error) from error


def artifact(run_id: str, path: str) -> Path | None:
    """A local copy of an artifact, None where the run has none of that name or its store is out of reach."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path))
    except (MlflowException, OSError):
        return None


def log_report(folder: Path, files: Iterable[Path], command: str) -> str:
    """Logs `files` of `folder`, which `command` made, as artifacts of a run of their own, and returns its id.

    Raises:
        InputError: the server or its store of artifacts does not take them; the run is then FAILED.
    """
    client = reach()
    found = client.get_experiment_by_name(names.EXPERIMENT)
    if found is None:
        location = addresses.artifact_location(settled(), names.EXPERIMENT)
        experiment = client.create_experiment(names.EXPERIMENT, location)
    else:
        experiment = found.experiment_id
    note = "Comparison of the runs there were, as a page: report.html."
    tags = {names.ENTRY: "report", names.DESCRIPTION: note, names.COMMAND: command}
    run_id = client.create_run(experiment, run_name="report", tags=tags).info.run_id
    try:
        for file in files:
            inside = file.relative_to(folder).parent.as_posix()
            client.log_artifact(run_id, str(file), None if inside == "." else inside)
    except (MlflowException, OSError) as error:
        client.set_terminated(run_id, "FAILED")
        raise InputError(f"{folder} is written, but {uri()} does not take it: {one_line(error)}") from error
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _conditions(entry: str, where: str, since: str) -> list[str]:
    conditions = []
    if entry != "all":
        conditions.append(f"tags.{names.ENTRY} = '{entry}'")
    if since:
        conditions.append(f"attributes.start_time >= {milliseconds(since)}")
    if where:
        conditions.append(_UNQUOTED_PARAM.sub(r"\1'\2'", where))
    return conditions


def _order(sort: str) -> str:
    kind, key = _kind(sort)
    return f"{f'{kind}.`{key}`' if kind else key} {'DESC' if sort.startswith('-') else 'ASC'}"


def _kind(sort: str) -> tuple[str, str]:
    """Kind and name of what to sort by; the kind of MLflow's own attributes is ""."""
    name = sort.removeprefix("-")
    if name.removeprefix("attributes.") in _ATTRIBUTES:
        return "", name.removeprefix("attributes.")
    kind, _, key = name.partition(".")
    return (kind, key) if key and kind in _KINDS else ("metrics", name)


def _sortable(found: Iterator[Run], sort: str, condition: str, experiment: str) -> Iterator[Run]:
    """The runs `found`, sorted; the first lacks what they are sorted by only if all do, and then that is refused."""
    kind, key = _kind(sort)
    first = list(itertools.islice(found, 1))
    for run in first:
        if kind and not {key, names.present(key), names.earlier(key)} & getattr(run.data, kind).keys():
            raise unknown("sort", sort.removeprefix("-"), _sortables(_search(condition, experiment)))
    return itertools.chain(first, found)


def _sortables(runs: Iterable[Run]) -> set[str]:
    """What `runs` can be sorted by, as `--sort` takes it."""
    full = {(kind, key) for run in runs for kind in _KINDS for key in getattr(run.data, kind)}
    named = {names.present(key) if kind == "metrics" else f"{kind}.{key}" for kind, key in full}
    return _ATTRIBUTES | {name for name in named if _is_kept(name)}


def _of_rows(frame: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """The rows' runs of `frame`, and in an `experiment` those of other projects; launches and trials of ours are not.

    Tags of other projects' runs are never taken for this project's, whatever their names.
    """
    ours = (frame[[f"tags.{mark}" for mark in names.ROW_MARKS]] != "").all(axis="columns")
    if not experiment:
        return frame[ours].assign(**{FOREIGN: False})
    source = frame.get(_SOURCE, pd.Series("", frame.index))
    frame = frame[ours | ~(frame[ENTRY].isin(_LAUNCHES) | (source == names.EXPERIMENT))].copy()
    foreign = ~ours[frame.index]
    moved = {}
    for column in [column for column in WORDS if column in frame]:
        moved[column.replace("tags.", THEIR_TAGS)] = frame[column].where(foreign & (frame[column] != ""), None)
        frame.loc[foreign, column] = "" if column in IDENTITY else None
    frame = frame.assign(**{column: values for column, values in moved.items() if values.notna().any()})
    frame.loc[foreign, ENTRY] = experiment
    for parameter in names.SEED_PARAMETERS:
        column = f"params.{parameter}"
        if column in frame:
            frame.loc[foreign & (frame[SEED] == ""), SEED] = frame[column].fillna("")
    return frame.assign(**{FOREIGN: foreign})


def _search(filter_string: str, experiment: str = "", order: str = OLDEST_FIRST, limit: int = 0) -> Iterator[Run]:
    """Runs that are not deleted, a page at a time; all at once where metrics in the condition or order had other names.

    MLflow's search knows no "or", so each spelling is a search of its own.
    """
    if is_empty():
        return
    client = reach()
    experiments = experiment_ids(client, experiment)
    spelled = earlier.spellings(filter_string, order)
    if len(spelled) == 1:
        yield from search(client, experiments, filter_string, order, limit)
        return
    conditions = dict.fromkeys(condition for condition, _ in spelled)
    found = {run.info.run_id: run for condition in conditions for run in search(client, experiments, condition)}
    yield from _ordered(found.values(), spelled[0][1])[: limit or None]


def _ordered(runs: Iterable[Run], order: str) -> list[Run]:
    """Sort runs as the server does by such an `order`, those without a value last."""
    column, _, direction = order.rpartition(" ")
    kind, dot, key = column.replace("`", "").partition(".")

    def value(run: Run) -> Any:
        if kind == "metrics":
            metrics = run.data.metrics
            number = metrics.get(key, metrics.get(names.earlier(key), math.nan))
            return None if math.isnan(number) else number
        if kind in ("params", "tags"):
            return getattr(run.data, kind).get(key)
        return getattr(run.info, key if dot else kind)

    valued = [run for run in runs if value(run) is not None]
    missing = [run for run in runs if value(run) is None]
    return sorted(valued, key=value, reverse=direction == "DESC") + missing


def search(
    client: MlflowClient, experiments: Sequence[str], filter_string: str, order: str = OLDEST_FIRST, limit: int = 0
) -> Iterator[Run]:
    """Runs of these experiments that are not deleted, a page at a time.

    Args:
        client: one whose server has answered.
        experiments: their ids.
        filter_string: in MLflow's search syntax.
        order: in MLflow's syntax.
        limit: how many runs; 0 for all.

    Raises:
        InputError: bad filter, or a tracking server that cannot be read.
    """
    token = None
    left = limit or sys.maxsize
    page_size = SERVER_PAGE if settled().startswith("http") else PAGE
    while experiments and left:
        try:
            page = client.search_runs(
                list(experiments), filter_string, max_results=min(page_size, left), order_by=[order], page_token=token
            )
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE":
                raise InputError(
                    f"bad filter, MLflow's search does not take it: {one_line(error)} (a name with a space, a hyphen "
                    "or the like stands in backticks, after its kind: params.`x y` = 1, metrics.`f1-score` > 0.5)"
                ) from error
            if _NO_START in str(error) and _HAS_START not in filter_string:
                # Nothing of this page was given yet, so that its offset is right for the others too.
                announce("left out: runs without a start time, which MLflow does not read")
                filter_string = " and ".join(filter(None, (filter_string, _HAS_START)))
                continue
            raise unreadable(error) from error
        yield from page
        left -= len(page)
        token = page.token
        if not token:
            return


def experiment_ids(client: MlflowClient, name: str = "") -> list[str]:
    """Ids of all experiments, or of the one of that name.

    Raises:
        InputError: there is none of that name.
    """
    ids: dict[str, str] = {}
    token = None
    while True:
        page = client.search_experiments(max_results=SERVER_PAGE, page_token=token)
        ids |= {experiment.name: experiment.experiment_id for experiment in page}
        token = page.token
        if not token:
            break
    if not name:
        return list(ids.values())
    if name not in ids:
        raise InputError(f"experiment: {name!r} is not at {uri()}; {meant(name, sorted(ids))}")
    return [ids[name]]


def _record(run: Run) -> dict[str, object]:
    metrics = earlier.present(run.data.metrics, run.data.tags)
    return {
        "run_id": run.info.run_id,
        "start_time": _time(run.info.start_time, Counter()),
        # Whoever made the run, what a table or an export shows of it has no secrets.
        **{f"tags.{key}": _text(value) for key, value in run.data.tags.items()},
        **{f"params.{key}": _text(value) for key, value in run.data.params.items()},
        **{f"metrics.{key}": _finite_or_inf(value) for key, value in metrics.items()},
    }


def _whole_record(run: Run, experiment: str, left_empty: Counter[str]) -> dict[str, object]:
    info, inputs, outputs = run.info, run.inputs, run.outputs
    datasets = [f"{given.dataset.name}:{given.dataset.digest}" for given in (inputs.dataset_inputs if inputs else [])]
    models = [model.model_id for model in (outputs.model_outputs if outputs else [])]
    record = {
        "run_id": info.run_id,
        "run_name": info.run_name,
        "experiment": experiment,
        "status": info.status,
        "start_time": _time(info.start_time, left_empty),
        "end_time": _time(info.end_time, left_empty),
        "duration_s": _duration(info.start_time, info.end_time, left_empty),
        "parent_run_id": run.data.tags.get(names.PARENT_RUN),
        "datasets": "; ".join(dict.fromkeys(datasets)) or None,
        "models": "; ".join(dict.fromkeys(models)) or None,
    }
    data = {key: value for key, value in _record(run).items() if key not in record}
    return record | {key: value for key, value in data.items() if _is_kept(key)}


def _is_kept(column: str) -> bool:
    return not column.startswith("tags.mlflow.") or column in KEPT_TAGS


def _text(value: str | bytes | None) -> str | None:
    """A parameter or tag without secrets; a database may have it as bytes, or as nothing."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    return text and addresses.redacted(text)


def _time(milliseconds: int | None, left_empty: Counter[str]) -> pd.Timestamp | None:
    if not milliseconds:
        return None
    try:
        return pd.Timestamp(_EPOCH + timedelta(milliseconds=milliseconds))
    except OverflowError:
        left_empty["times outside the years 1 to 9999"] += 1
        return None


def _duration(start: int | None, end: int | None, left_empty: Counter[str]) -> float | None:
    if not start or not end:
        return None
    if end < start:
        left_empty["durations of runs that end before they start"] += 1
        return None
    return (end - start) / 1000


def _finite_or_inf(value: float) -> float:
    return float(np.copysign(np.inf, value)) if abs(value) >= _LARGEST else value


def milliseconds(date: str) -> int:
    """Milliseconds since 1970 of an ISO date or time, local unless it has an offset.

    Raises:
        InputError: it is none.
    """
    try:
        return int(datetime.fromisoformat(date).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise InputError(f"since: {date!r} is not an ISO date; write e.g. 2026-11-22") from error
