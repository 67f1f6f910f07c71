"""Data preparation: download or read, verify, cache."""

from typing import Any

from pipelines.data import energy
from pipelines.runner import announce


def run(options: dict[str, Any]) -> None:
    """Prepare the data sets asked for and tell what they hold.

    Raises:
        UserError: the source cannot be read or is not what was published.
    """
    names = [energy.PJM] if options["dataset"] == "all" else [options["dataset"]]
    for name in names:
        dataset = energy.prepare(name, options["data_dir"], options["source"], options["allow_unverified"])
        parts = energy.split(dataset)
        windows = {part: sum(map(len, ranges)) for part, ranges in parts.items()}
        announce(
            f"{name}: {len(dataset.series)} series, {len(dataset.values):,} hours, {windows['train']:,} training and "
            f"{windows['test']:,} test windows, digest {dataset.digest[:12]}"
            + ("" if dataset.verified else ", NOT the published files")
        )
        for series, counts in dataset.counts.items():
            announce(f"  {series}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))
