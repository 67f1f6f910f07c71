"""Runs for a list, each with the data that it read and its main metric."""

from collections import Counter
from collections.abc import Iterator

from mlflow.entities import DatasetInput

from analysis.entries.index import VIEWS
from analysis.listed import Listed, Part
from analysis.runs import values
from analysis.runs.search import NEWEST_FIRST, conditions, search
from pipelines import names
from pipelines.common.origins import files_of


def listed(entry: str = "all", where: str = "", since: str = "", limit: int = 0) -> Iterator[Listed]:
    """Every run that is not deleted, with the data that it read, newest first; `limit` is how many, 0 for all.

    Raises:
        InputError: see frames.find.
    """
    for run in search(" and ".join(conditions(entry, where, since)), order=NEWEST_FIRST, limit=limit):
        info, tags, metrics = run.info, run.data.tags, run.data.metrics
        made_by = values.text(tags.get(names.ENTRY)) or ""
        main = VIEWS[made_by].main if made_by in VIEWS else names.OBJECTIVE
        start, end = (values.time(each, Counter()) for each in (info.start_time, info.end_time))
        yield Listed(
            run_id=info.run_id,
            name=values.text(info.run_name) or "",
            status=info.status,
            entry=made_by,
            dataset=values.text(tags.get(names.DATASET)) or "",
            started=start and start.to_pydatetime(),
            ended=end and end.to_pydatetime(),
            data_digest=tags.get(names.DATA_DIGEST, ""),
            parts=[_part(given) for given in (run.inputs.dataset_inputs if run.inputs else [])],
            metric=main if main in metrics else "",
            value=values.number(metrics[main]) if main in metrics else None,
        )


def _part(given: DatasetInput) -> Part:
    context = next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), "")
    dataset = given.dataset
    return Part(values.text(dataset.name) or "", dataset.digest, values.text(context) or "", files_of(dataset.profile))
