"""What every run logs about the data that it reads."""

from collections.abc import Mapping

from pipelines import names
from pipelines.data.energy.series import EnergyDataset
from pipelines.data.images.dataset import ImageDataset
from pipelines.tracking.artifacts import log_dataset, log_json
from pipelines.tracking.run import Run


def log_data(run: Run, dataset: EnergyDataset | ImageDataset, parts: Mapping[str, int]) -> None:
    """Log the digest of the data, what was counted and found when they were read, and the parts that the run uses.

    Args:
        run: gets them.
        dataset: the data.
        parts: number of windows or images of each part, by its role, such as "training".
    """
    verified = names.OWN_DATA if dataset.verified is None else str(dataset.verified).lower()
    run.set_tags({names.DATA_DIGEST: dataset.digest, names.VERIFIED: verified})
    for role, items in parts.items():
        log_dataset(run, dataset.name, dataset.digest, dataset.origin, (items, *dataset.item_shape), role)
    log_json(run, dataset.counts, names.DATA_COUNTS)
    if dataset.found:
        log_json(run, list(dataset.found), names.DATA_FOUND)
