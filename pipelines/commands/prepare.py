"""The command `prepare`: downloads or reads data sets, verifies and caches them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pipelines import names
from pipelines.commands.options import PrepareOptions
from pipelines.common import launcher
from pipelines.common.command import hint
from pipelines.common.origins import UNKNOWN
from pipelines.common.streams import announce
from pipelines.data.datasets import ALL, AUTO, find_own, named, published
from pipelines.data.energy import own as own_load
from pipelines.data.energy.own import LoadPolicy
from pipelines.data.energy.reader.format import LOAD_FORMAT, LoadFormat
from pipelines.data.energy.series import EnergyDataset, part_size, split
from pipelines.data.files.meta import elsewhere
from pipelines.data.images import own as own_images
from pipelines.data.images.dataset import PARTS, ImageDataset
from pipelines.data.images.tables import ImageFormat
from pipelines.data.protocol import IMAGES, LOAD
from pipelines.errors import UserError
from pipelines.launching.continuation import command_of
from pipelines.terminal.display import conclude, doing
from pipelines.tracking.run import Run

_OF_POLICY = ("gaps", "country")
_OF_IMAGES = ("skip_broken",)
_ANNOUNCED = 20  # series, or classes
_ONE = {"rows": "row", "readings": "reading", "gaps": "gap", "images": "image"}  # counts of one by their plurals


def run(options: PrepareOptions) -> None:
    """Prepare the requested data sets and announce their contents.

    Raises:
        UserError: the source cannot be read, does not hold the published files, or is given for several data sets; or
            options for files of one's own are given for published ones.
    """
    with suppress(UserError):  # if the launcher's run cannot be used, nothing is recorded
        if launched := Run.launchers():
            launched.set_tags({names.COMMAND: command_of("prepare", options)})
    source = str(launcher.given_input(options.source)) if options.source else ""
    for prepared in _prepared(options, source):
        is_load = isinstance(prepared, EnergyDataset)
        if isinstance(prepared, EnergyDataset):
            _announce_series(prepared)
        else:
            _announce_images(prepared)
        _announce_origin(prepared, options.data_dir)
        rows = "--models linear-ar-hourly,gru-relative" if is_load else "--variants cnn,mlp-2"
        entry = "recurrent" if is_load else "ablation"
        conclude(f"{prepared.name} is in {Path(options.data_dir).absolute()}\n")
        given = f"--dataset {prepared.name} {rows}{elsewhere(options.data_dir)}"
        conclude(f"next  {hint(f'python -m pipelines {entry} {given}')}\n")


def _prepared(options: PrepareOptions, source: str) -> Iterator[EnergyDataset | ImageDataset]:
    """Prepare each requested data set."""
    requested = options.dataset
    datasets = published() if requested == ALL else named(requested)
    if not datasets:
        doing(f"preparing {requested}")
        yield _own(options, source)
        return
    if requested == ALL and options.source:
        choices = " or ".join(f"dataset={each.name}" for each in datasets)
        raise UserError(f"source={options.source} belongs to one data set; give {choices} or a new name with it")
    if given := _given(options, "kind", *LOAD_FORMAT, *_OF_POLICY, *_OF_IMAGES):
        raise UserError(f"{' and '.join(given)}: only for files of your own; give them a new name, e.g. dataset=town")
    for each in datasets:
        doing(f"preparing {each.name}")
        yield each.prepare(options.data_dir, source, options.allow_unverified)


def _own(options: PrepareOptions, source: str) -> EnergyDataset | ImageDataset:
    """Prepare a data set of the user's own; without a source, load it as it was prepared."""
    name, data_dir = options.dataset, options.data_dir
    given = LoadFormat(**{each: getattr(options, each) for each in LOAD_FORMAT})
    policy = LoadPolicy(gaps=options.gaps, country=options.country)
    if not source:
        return find_own(name, data_dir).load(data_dir)
    if not Path(source).exists():
        raise UserError(f"source {source} does not exist; give a file, a folder or an archive")
    command = command_of("prepare", options)
    kind = options.kind
    if kind == AUTO:
        kind = IMAGES if own_images.holds_images(Path(source)) else LOAD
    foreign = _given(options, *((*LOAD_FORMAT, *_OF_POLICY) if kind == IMAGES else _OF_IMAGES))
    if foreign:
        raise UserError(f"{' and '.join(foreign)}: not for {kind}, which {source} is taken to hold; see --kind")
    if kind == IMAGES:
        return own_images.prepare(name, data_dir, source, ImageFormat(skip_broken=options.skip_broken), command)
    return own_load.prepare(name, data_dir, source, given, policy, command)


def _given(options: PrepareOptions, *of: str) -> list[str]:
    """Those of some options that are not their defaults, each with its value."""
    defaults = PrepareOptions()
    return [f"{each}={getattr(options, each)}" for each in of if getattr(options, each) != getattr(defaults, each)]


def _announce_series(dataset: EnergyDataset) -> None:
    windows = {part: part_size(targets) for part, targets in split(dataset).items()}
    announce(
        f"{dataset.name}: {len(dataset.series)} series, {len(dataset.values):,} hours, {windows['train']:,} training "
        f"and {windows['test']:,} test windows, digest {dataset.digest[:12]}"
        + (", NOT the published files" if dataset.verified is False else "")
    )
    _announce_found(dataset.found)
    for series, counts in list(dataset.counts.items())[:_ANNOUNCED]:
        # Of one's own data there are many kinds, most of which never occur.
        _announce_counts(series, counts if dataset.verified is not None else {k: n for k, n in counts.items() if n})
    if (more := len(dataset.counts) - _ANNOUNCED) > 0:
        announce(f"  and {more} more series, whose counts are in {names.DATA_COUNTS} of every run")


def _announce_images(dataset: ImageDataset) -> None:
    mean, std = (" ".join(f"{value:.4f}" for value in each) for each in (dataset.mean, dataset.deviation))
    altered = ""
    if dataset.verified is False:
        altered = f", NOT the official files: {', '.join(dataset.counts['not_official'])}"
    announce(
        f"{dataset.name}: {len(dataset.train_images):,} training and {len(dataset.test_images):,} test images of "
        f"{len(dataset.classes)} classes, mean {mean}, deviation {std}, "
        f"digest {dataset.digest[:12]}{altered}"
    )
    _announce_found(dataset.found)
    for part in PARTS:
        _announce_counts(part, dataset.counts[part])


def _announce_found(found: Sequence[str]) -> None:
    for sentence in found:
        announce(f"  {sentence}")


def _announce_origin(dataset: EnergyDataset | ImageDataset, data_dir: str) -> None:
    origin = dataset.origin
    if origin.where and isinstance(dataset, ImageDataset) and {*origin.files} <= {*PARTS}:
        read = len(dataset.train_images) + len(dataset.test_images)
        announce(f"  files: {read:,} images, {origin.where}; runs name the SHA-256 of each part")
    elif origin.where:
        announce(f"  files: {len(origin.files)}, {origin.where}; runs name them and their SHA-256")
    else:
        remedy = hint(f"python -m pipelines prepare --dataset {dataset.name} --source FOLDER{elsewhere(data_dir)}")
        announce(f"  files: {UNKNOWN}; to record them: {remedy}")


def _announce_counts(what: str, counts: Mapping[str, int]) -> None:
    named = [f"{count:,} {_ONE.get(kind, kind) if count == 1 else kind}" for kind, count in counts.items()]
    announce(f"  {what}: " + _some(named))


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - _ANNOUNCED
    return ", ".join(texts[:_ANNOUNCED]) + (f" and {more} more" if more > 0 else "")
