"""What the options `auto` and `all` stand for, here and now."""

from pathlib import Path
from types import ModuleType

from pipelines.common.streams import announce
from pipelines.data.protocol import SAMPLE
from pipelines.errors import UserError


def available_dataset(given: str, report: str, data: ModuleType, data_dir: str) -> str:
    """The data set to use: `auto` is the report's where it has been prepared, else the sample, and says so.

    Args:
        given: `auto` or a data set's name.
        report: name of the report's data set.
        data: the module that prepares and loads it (pipelines.data).
        data_dir: folder of the prepared data.

    Raises:
        UserError: a data set is asked for, not prepared, and cannot be downloaded; or `auto` finds it damaged.
    """
    if given == "auto":
        if (Path(data_dir) / report / data.META_FILE).exists():
            data.load(report, data_dir)
            return report
        announce(
            f"dataset=auto: no {report} data in {data_dir}, using the embedded sample; for the real data: "
            f"python -m pipelines prepare --dataset {report} --data-dir {data_dir}"
        )
        return SAMPLE
    if not data.is_prepared(given, data_dir):
        try:
            data.prepare(given, data_dir)
        except UserError as error:
            command = f"python -m pipelines prepare --dataset {given} --data-dir {data_dir}"
            raise UserError(f"dataset={given} is not prepared, and `{command}` says: {error}") from error
    return given
