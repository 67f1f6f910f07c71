"""The data of a launch."""

from pipelines.common.command import hint
from pipelines.data.datasets import find
from pipelines.data.files.meta import elsewhere
from pipelines.errors import UserError


def digest_of(name: str, kind: str, data_dir: str) -> str:
    """The digest of a prepared data set.

    Raises:
        UserError: it is not prepared; names the command that prepares it.
    """
    dataset = find(name, kind, data_dir)
    if not dataset.is_prepared(data_dir):
        remedy = hint(f"python -m pipelines prepare --dataset {name}{elsewhere(data_dir)}")
        raise UserError(f"{name} is not prepared in {data_dir}: {remedy}")
    return dataset.load(data_dir).digest
